"""Runs the steps in the transaction of `search.storage.upgrades`, whose connection it is given."""

from alembic import context

from search.storage import schema

context.configure(
    connection=context.config.attributes["connection"],
    version_table=schema.version.name,
    # SQLite's too, where the driver begins no transactions of its own
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
