"""The operations records' schema: plain SQL, applied by Alembic, on PostgreSQL 14 or newer.

`database.migrate(url)` brings a database up to date; `python -m database migrate|status` does it by hand.
"""

from database.schema import SchemaStatus, migrate, status
from database.server import DatabaseError

__all__ = ["DatabaseError", "SchemaStatus", "migrate", "status"]
