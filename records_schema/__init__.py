"""The operations records' schema: plain SQL, applied by Alembic, on PostgreSQL 13 or newer.

`records_schema.migrate(url)` brings a database up to date; `python -m records_schema migrate|status` does it by hand.
"""

from records_schema.schema import SchemaStatus, migrate, status
from records_schema.server import DatabaseError

__all__ = ["DatabaseError", "SchemaStatus", "migrate", "status"]
