"""A database that loses the acknowledgements of commits, for what must be safe to run twice."""

from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from search.storage import databases


class Forgetful(databases.Database):
    """A real store whose connection breaks after a commit: the work is done, and the caller does not know it."""

    losses = 0

    def lossy(self, call: Callable[[], Any]) -> Any:
        """What a call returns whose first acknowledgement is lost."""
        self.losses = 1
        result = call()
        assert self.losses == 0
        return result

    def _run(
        self, transaction: Callable[[sqlalchemy.Connection], Any], immediate: bool, one_moment: bool = False
    ) -> Any:
        result = super()._run(transaction, immediate, one_moment)
        if immediate and self.losses:
            self.losses -= 1
            raise exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        return result
