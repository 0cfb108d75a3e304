"""The versions of PostgreSQL that runs know: 13 to 18, and what an older one of them does not have.

What a server may not have is looked up on the server: a parameter by `current_setting(name, true)`, a column of a view
by `to_jsonb(row) ->> 'column'`, an extension's function in pg_proc. What SQL can't ask for without having it goes by
the numbers here. Newer servers are taken as 18: nothing says what they will have taken away.
"""

from records_schema.server import OLDEST, version

PAUSE_STATE = 140_000
"""From here on there is pg_get_wal_replay_pause_state()."""
PARTITIONED_STATISTICS = 140_000
"""From here on pg_stat_all_tables says when a partitioned table was analyzed."""
ONLY = 180_000
"""From here on VACUUM and ANALYZE do what belongs to a table (partitions, heirs) as well, unless they are told ONLY."""


def unsupported(server_version: int) -> str:
    """Say why a server can't be worked with; empty where it can."""
    if server_version >= OLDEST:
        return ""
    return f"is PostgreSQL {version(server_version)}: runs know 13 to 18. Upgrade it first"
