"""Connections that only look at a database: nothing is made, changed or left in it or beside it."""

import weakref
from typing import Any

import optuna
import sqlalchemy

from search.storage import addresses, blanks, connections, places, sightings, storages


def connect(url: str) -> optuna.storages.RDBStorage:
    """Optuna's storage at an address, to look at; tables that are missing are read as empty ones.

    Raises:
        errors.InputError: the address, the password or the schema is wrong, or the file cannot be read.
    """
    file = addresses.sqlite_file(url)
    kwargs: dict[str, Any] = {**connections.postgres_kwargs(), "execution_options": {"postgresql_readonly": True}}
    sight = None
    if file is not None:
        places.check_to_read(file)
        sight = sightings.Sighting(file.absolute())
        # none stays open: whoever writes puts SQLite's log into the file when the last connection is closed
        kwargs = {"creator": sight.open, "poolclass": sqlalchemy.NullPool}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with connections.rules(url):
        storage = storages.Storage(url, kwargs)
        if sight is not None:
            sight.watch(storage.engine)
            weakref.finalize(storage, sight.close)
        else:
            connections.limit_locks(storage.engine)
        sqlalchemy.event.listen(storage.engine, "handle_error", connections.renew)
        blanks.Blanks(storage.engine, url)
        with storage.engine.connect() as connection, connection.begin():
            pass
    weakref.finalize(storage, storage.engine.dispose)
    return storage
