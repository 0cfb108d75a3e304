"""An archive of many rows, made up in the database itself: the shape and size of real ones, signed by nobody."""

from datetime import UTC, datetime

import psycopg
from psycopg import sql as composed
from rich.progress import Progress

from audit.sealing import story_bytes
from audit.story import RunIdentity, Story, Trigger

_BATCH = 200_000
_HEADER_BYTES, _SKELETON_BYTES = 480, 300
"""A header is that long. A skeleton is longer by far; it lies out of the way (TOAST), and no search reads it."""

_RECORDS = """
    INSERT INTO runbooks.archive_records
        (seq, kind, namespace, workflow_id, run_id, about, story, header, signature, skeleton, size)
    SELECT n, 'run', 'default', 'p2-incident/service-' || n %% 10000, 'run-' || n, NULL,
           sha256(n::text::bytea), convert_to(rpad(n::text, {header}, 'x'), 'UTF8'), repeat('s', 88),
           convert_to(rpad(n::text, {skeleton}, 'y'), 'UTF8'), {skeleton}
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""
_INDEX = """
    INSERT INTO runbooks.archive_index
        (seq, namespace, workflow_id, run_id, first_run_id, parent_workflow, parent_run, procedure, severity, service,
         tenant, incident, outcome, status, started_at, ended_at, actors, targets, story)
    SELECT n, 'default', 'p2-incident/service-' || n %% 10000, 'run-' || n, 'run-' || n, '', '',
           (ARRAY['HourlyHealthPulse', 'P2Incident', 'EmergencyScaleUp', 'StandardDeployment'])[1 + n %% 4],
           'P2', 'service-' || n %% 10000, '', CASE WHEN n %% 4 = 1 THEN 'INC-' || n ELSE '' END, 'resolved',
           'COMPLETED',
           timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second',
           ARRAY['person-' || n %% 500], ARRAY['deployment/service-' || n %% 10000, 'service-' || n %% 10000],
           {story}
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""


_INDEXES = """
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
    WHERE i.indrelid IN ('runbooks.archive_records'::regclass, 'runbooks.archive_index'::regclass)
      AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""


def _story() -> bytes:
    """Give the shortest story that can be read, for all of them."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = RunIdentity(workflow_id="p2-incident/service-1", run_id="run-1", workflow_type="P2Incident")
    trigger = Trigger(kind="person", by="person-1")
    found = Story(
        namespace="default",
        run=run,
        first_run_id="run-1",
        title="P2",
        status="completed",
        started_at=at,
        trigger=trigger,
        events=1,
    )
    return story_bytes(found)


def fill(connection: psycopg.Connection[tuple[object, ...]], count: int, progress: Progress) -> None:
    """Write so many records with their places in the index.

    The trigger that holds the chain together is off meanwhile: it compares each record with the last one by its hash.
    Indexes are made at the end, which takes a fraction of the time.
    """
    index = composed.SQL(_INDEX).format(story=composed.Literal(_story()))
    records = composed.SQL(_RECORDS).format(
        header=composed.Literal(_HEADER_BYTES), skeleton=composed.Literal(_SKELETON_BYTES)
    )
    connection.execute("ALTER TABLE runbooks.archive_records DISABLE TRIGGER archive_records_follow_each_other")
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET maintenance_work_mem = '512MB'")
    indexes = [(str(name), str(made)) for name, made in connection.execute(_INDEXES).fetchall()]
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    bar = progress.add_task(f"writing {count:,} records", total=count)
    for first in range(1, count + 1, _BATCH):
        last = min(first + _BATCH - 1, count)
        connection.execute(records, (first, last))
        connection.execute(index, (first, last))
        progress.advance(bar, last - first + 1)
    for _, made in indexes:
        connection.execute(made.encode())
    connection.execute("SET session_replication_role = origin")
    connection.execute("ALTER TABLE runbooks.archive_records ENABLE ALWAYS TRIGGER archive_records_follow_each_other")
    connection.execute("ANALYZE runbooks.archive_records, runbooks.archive_index")
