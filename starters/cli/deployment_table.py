"""The table of the workers' versions."""

from dataclasses import asdict

from rich import box
from rich.table import Table

from audit.text import counted
from starters.cli.facts import as_document
from starters.cli.people import Exit, Stop, console
from starters.steering.deployments import MOST_VERSIONS, Deployment, Version, look
from starters.steering.session import Session


async def show(session: Session, *, as_json: bool = False) -> None:
    """Show every version of the settings' deployment, newest first.

    Raises:
        Stop: open runs wait for a version that has no worker.

    """
    found = await look(session)
    if as_json:
        as_document(asdict(found))
    else:
        _show(found)
    if found.current is None:
        raise Stop(Exit.REFUSED, "no version is current, so no run begins: `runbooks deployments current BUILD`")
    if stranded := [version for version in found.versions if version.stranded]:
        raise Stop(Exit.REFUSED, "; ".join(map(_stranded, stranded)))


def _show(found: Deployment) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("version", "state", "since", "open runs", "workers"):
        table.add_column(name, overflow="fold")
    for version in found.versions:
        state = f"ramping, {version.percentage:g} %" if version.status == "ramping" else version.status
        since = f"{version.since:%Y-%m-%d %H:%M} UTC"
        table.add_row(version.build_id, state, since, str(version.open_runs), str(version.workers))
    console.print(table)
    if found.unversioned_runs:
        console.print(f"{counted(found.unversioned_runs, 'open run')} from before versions", markup=False)
    if len(found.versions) * 10 >= MOST_VERSIONS * 9:
        console.print(f"{len(found.versions)} of {MOST_VERSIONS} versions that Temporal keeps", style="yellow")


def _stranded(version: Version) -> str:
    waiting = counted(version.open_runs, "open run")
    return (
        f"{waiting} of {version.build_id} wait for a worker that is not there: start one of that version, or see "
        f"`runbooks deployments runs {version.build_id}`"
    )
