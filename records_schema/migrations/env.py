"""Alembic runs this: all versions on the connection and in the transaction that `database.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="runbooks",
    transaction_per_migration=False,
)
context.run_migrations()
