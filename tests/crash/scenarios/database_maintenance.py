"""A maintenance: each table vacuumed once, each index rebuilt once, nothing half built, whoever is killed."""

from typing import Any, ClassVar

import httpx
import psycopg
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.database.upkeep.sessions import OURS
from sandbox.service_database import PRIMARY, ServiceDatabase
from tests.crash.database_world import DatabaseScenario
from tests.crash.people import RunEndedError, decide, when
from tests.crash.scenario import Case, EndState
from workflows.maintenance.database_maintenance import DatabaseMaintenanceRequest

_PREPARE = (
    "CREATE TABLE samples (id bigint PRIMARY KEY, name text) WITH (autovacuum_enabled = false)",
    "INSERT INTO samples SELECT n, 'sample ' || n FROM generate_series(1, 40000) n",
    "CREATE INDEX samples_name ON samples (name)",
    # An index is bloated once vacuum has taken the entries of dead rows away, which is a maintenance ago.
    "DELETE FROM samples WHERE id % 10 <> 0",
    "VACUUM ANALYZE samples",
    "DELETE FROM samples WHERE id % 100 <> 0",
    # What a crash of REINDEX CONCURRENTLY leaves.
    "CREATE INDEX samples_pkey_ccnew ON samples (id)",
    "UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'samples_pkey_ccnew'::regclass",
    # Tells each rebuild: OIDs alone would hide a second one.
    "CREATE TABLE rebuilds (at timestamptz DEFAULT clock_timestamp())",
    """
    CREATE FUNCTION note_rebuild() RETURNS event_trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO public.rebuilds DEFAULT VALUES; END $$
    """,
    "CREATE EVENT TRIGGER note_rebuilds ON ddl_command_end WHEN TAG IN ('REINDEX') EXECUTE FUNCTION note_rebuild()",
)
_STATE = """
    SELECT (SELECT count(*) FROM rebuilds) AS rebuilds,
           (SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'samples') AS vacuums,
           (SELECT dead_tuple_count = 0 FROM pgstattuple_approx('samples')) AS clean,
           pg_relation_size('samples_name') < 100000 AS small,
           (SELECT count(*) FROM pg_index WHERE NOT indisvalid) AS invalid,
           (SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)) AS ours,
           (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'report') AS reports
"""


class MaintenanceScenario(DatabaseScenario):
    """A table full of dead rows, a bloated index, a leftover, a session that idles; PostgreSQL comes back if killed."""

    name = "database-maintenance"
    procedure = "database_maintenance"
    restart_crashed = True
    backup = True
    tables: ClassVar = ("samples",)
    databases: ClassVar = {
        "DatabaseMaintenance/vacuum": (PRIMARY,),
        "DatabaseMaintenance/drop-leftover": (PRIMARY,),
        "DatabaseMaintenance/reindex": (PRIMARY,),
        "DatabaseMaintenance/end-session": (PRIMARY,),
    }
    leaves: ClassVar = {
        "samples vacuumed": 2,
        "samples without dead rows": 1,
        "index small": 1,
        "rebuilds": 2,
        "report ended": 1,
        "backup verdicts": 1,
        "rows of samples": 400,
    }

    def __init__(self) -> None:
        super().__init__()
        self._reports: dict[str, psycopg.Connection[Any]] = {}

    def database_policy(self, case: Case) -> dict[str, Any]:
        return {"maintenance": {"dead_rows": 1000, "changed_rows": 1000, "index_size": 100_000}}

    def begin(self, case: Case, health: str) -> None:
        database = self.database(case)
        with psycopg.connect(database.url(PRIMARY), autocommit=True) as connection:
            for statement in _PREPARE:
                connection.execute(statement)
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
            connection.execute("SELECT pg_stat_force_next_flush()")
        report = psycopg.connect(database.service_url(PRIMARY), application_name="report")
        report.execute("SELECT pg_sleep(1.1)")  # its transaction is a long one from the run's first look on
        self._reports[case.namespace] = report

    def request(self, case: Case) -> DatabaseMaintenanceRequest:
        return DatabaseMaintenanceRequest(min_duration="PT1S")

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "decide drop-indexes")
        await decide(handle, "drop-indexes", "drop")
        try:
            status = await when(handle, lambda status: status.waiting_for == "decide end-1")
        except RunEndedError:
            # Where PostgreSQL was killed, the session is gone with it, and nobody is asked.
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                raise
            return
        (question,) = status.questions
        await decide(handle, question.id, list(question.options)[-1])

    def matters(self, kill: str, name: str) -> bool:
        if "@" not in kill:
            return True
        # A killed server forgets its statistics, and its sessions end without us: nobody is asked about them. Killed
        # after an index was swapped, it has no time to note that.
        forgotten = ("samples vacuumed", *(("rebuilds",) if "reindex" in kill else ()))
        return not name.startswith(forgotten) and "post-end" not in name

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        super().look(case, api, state)
        found = _state(self.database(case))
        state.counts["samples vacuumed"] = found["vacuums"] or 0
        state.counts["rebuilds"] = found["rebuilds"]
        state.counts["samples without dead rows"] = int(found["clean"])
        state.counts["index small"] = int(found["small"])
        state.counts["report ended"] = int(not found["reports"])
        state.paused += [f"{found['invalid']} invalid indexes"] * bool(found["invalid"])
        state.paused += [f"{found['ours']} sessions of ours"] * bool(found["ours"])
        with psycopg.connect(case.servers.records) as connection:
            verdicts = "SELECT count(*) FROM runbooks.backup_verdicts WHERE workflow_id = %s"
            row = connection.execute(verdicts, (case.workflow_id,)).fetchone()
        state.counts["backup verdicts"] = row[0] if row else 0

    def remove(self, case: Case) -> None:
        if report := self._reports.pop(case.namespace, None):
            report.close()
        super().remove(case)


def _state(database: ServiceDatabase) -> dict[str, Any]:
    with psycopg.connect(database.url(PRIMARY), row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute(_STATE, (OURS,)).fetchone()
    assert found is not None
    return found
