"""Archiving on demand: a run of the archiver that somebody waits for."""

from dataclasses import asdict

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

from audit.signer import OFF
from audit.store import Store
from audit.store_connection import StoreError
from audit.store_progress import Progress
from audit.text import counted
from records_schema.pool import connect_pool
from starters.cli.configured import load_settings
from starters.cli.facts import as_document, result
from starters.cli.people import Exit, Stop, console
from starters.steering.session import Session, open_session
from workers.codec import decrypting
from workflows.audit.archive_runs import ArchiveRequest, ArchiveResult, ArchiveRuns

_ID = "archive-runs-now"


async def archive(*, status: bool, reindex: bool, as_json: bool) -> None:
    """Archive every run that has closed, and wait for it; or only say how far it is, or index anew.

    Raises:
        Stop: it can't be archived, or not all of it.

    """
    if reindex:
        settings = load_settings()
        with connect_pool(settings.records.url) as pool:
            try:
                store = Store(pool, codec=decrypting(settings.temporal.payload_keys))
                again = store.reindex()
            except StoreError as error:
                raise Stop(Exit.UNREACHABLE, str(error)) from None
        result(f"{counted(again, 'run')} indexed anew", as_json=as_json, indexed=again)
        return
    session = await open_session(load_settings())
    if status:
        _status(session, as_json=as_json)
        return
    if not session.settings.audit.enabled:
        raise Stop(Exit.USAGE, OFF)
    handle = await session.client.start_workflow(
        ArchiveRuns.run,
        ArchiveRequest(),
        id=_ID,
        task_queue=session.settings.temporal.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    try:
        done = await handle.result()
    except WorkflowFailureError as error:
        why = getattr(error.cause, "cause", None) or error.cause
        raise Stop(Exit.REFUSED, f"nothing more could be archived: {why}") from None
    if as_json:
        as_document(done.model_dump(mode="json"))
    else:
        _told(done)
    if done.failures:
        raise Stop(Exit.REFUSED, f"{counted(done.failures, 'run')} could not be archived: tried again next time")


def _told(result: ArchiveResult) -> None:
    until = f", everything that closed before {result.until:%Y-%m-%d %H:%M:%S} UTC" if result.until else ""
    console.print(
        f"{counted(result.archived, 'run')} archived{until}; the chain has {counted(result.head, 'record')}",
        soft_wrap=True,
    )
    if result.copied:
        console.print(f"{counted(result.copied, 'record')} copied to the bucket")
    if result.warning:
        console.print(result.warning, style="yellow", markup=False, soft_wrap=True)
    for failed in result.failed:
        console.print(failed, style="red", markup=False, soft_wrap=True)


def _status(session: Session, *, as_json: bool) -> None:
    namespace = session.client.namespace
    with connect_pool(session.settings.records.url) as pool:
        try:
            until, failures = Progress(pool).until(namespace), Progress(pool).failures(namespace)
            end = Store(pool).end()
        except StoreError as error:
            raise Stop(Exit.UNREACHABLE, str(error)) from None
    if as_json:
        as_document(
            {
                "enabled": session.settings.audit.enabled,
                "until": until,
                "records": end.seq,
                "failures": [asdict(failure) for failure in failures],
            }
        )
        return
    if not session.settings.audit.enabled:
        console.print(OFF, style="yellow", markup=False, soft_wrap=True)
    told = f"archived: everything that closed before {until:%Y-%m-%d %H:%M:%S} UTC" if until else "nothing archived yet"
    console.print(f"{told}; the chain has {counted(end.seq, 'record')}", soft_wrap=True)
    for failure in failures:
        again = "given up" if failure.gone else f"tried {counted(failure.attempts, 'time')}"
        line = f"{failure.workflow_id} {failure.run_id}: {failure.problem} ({again})"
        console.print(line, style="red", markup=False, soft_wrap=True)
