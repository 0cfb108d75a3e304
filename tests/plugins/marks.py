"""Marks every test with what it uses, seen from its fixtures, and orders the tests so that all processes are busy.

`-m "not postgres and not kubernetes"` is therefore true by construction: nobody has to remember a mark. A test that
starts servers without a fixture of `USES` says so itself (`pytest.mark.servers`), and `--no-servers` finds who forgot.
"""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from sandbox.processes import ServerProcess

USES: dict[str, tuple[str, ...]] = {
    "clock": ("time_skipping",),
    "postgres": ("create_database", "own_postgres", "oldest_postgres"),
    "temporal": ("temporal_server", "temporal_address", "own_temporal"),
    "kubernetes": ("cluster", "kubeconfig"),
    "helm": ("helm_charts",),
    "aws": ("aws",),
    "mail": ("mail_server",),
    "acme": ("certificate_authority",),
    "database": ("start_service_database", "unharmed", "damaged"),
    "prometheus": ("start_prometheus", "start_alertmanager"),
    "stack": ("environment", "crash_servers"),
    "browser": ("page", "browser"),
}
"""Mark → the fixtures by which a test uses it; a fixture that asks for one of these counts as well."""

SERVERS = tuple(mark for mark in USES if mark != "clock")
"""All but Temporal's test server, which is up in a tenth of a second."""

PRODUCTION = "production"
"""What `make test` leaves out: a fresh machine would build Temporal's server for many minutes, and CI has no time."""

_TESTS = Path(__file__).parent.parent
_KINDS: dict[str, str] = {
    "crash/test_kills.py": "kills",
    "crash/test_failover_proof.py": "proofs",
    "crash/test_restore_proof.py": "proofs",
    "end_to_end": "end to end",
    "replay": "replay",
}
KINDS = ("end to end", "proofs", "kills", "servers", "workflows", "replay", "unit")
"""In the order in which they begin: first what stays in one process for a quarter of an hour and more, last the short.

The kills wait for a quarter of their time even where they have all cores, so others run beside them.
"""

_TOGETHER = ("tests/crash/", "tests/end_to_end/")
"""Folders whose files share servers that take long to start."""
_WRITTEN = {"kills", "end to end", "proofs", "servers"}
"""Kinds whose tests run in the order in which they are written; all others' in random order."""
_SLOW = (
    "sandbox/test_sandbox.py",
    "workers/test_missing_workers.py",
    "starters/web/test_in_company.py",
    "starters/cli/commands/audit/test_search.py",
    "workflows/incident_response/test_p2_incident.py",
    "deploy/test_chart.py",
    "company/test_others_hold_it.py",
    "starters/cli/audit/test_own_state.py",
    "workflows/incident_response/test_incident_in_a_window.py",
    "audit/render/test_show.py",
    "activities/database/backups/test_restoring.py",
    "deploy/test_profiles.py",
    "deploy/test_processes.py",
    "deploy/test_compose.py",
    "activities/releases/test_helm_interruptions.py",
    "activities/releases/test_helm.py",
    "activities/database/upkeep/test_work.py",
    "activities/database/backups/test_barman.py",
    "workflows/audit/test_crashes.py",
    "sandbox/test_service_database.py",
)
"""The slowest files of their kind, as the table of costs says: what begins late should be short."""


def kind(item: pytest.Item) -> str:
    """Give the kind under which a test's cost is counted, one of `KINDS`."""
    path = _place_of(item)
    for place, named in _KINDS.items():
        if path.startswith(place):
            return named
    if item.get_closest_marker("servers"):
        return "servers"
    return "workflows" if item.get_closest_marker("clock") else "unit"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-servers", action="store_true", help="only tests that need no server but Temporal's test server"
    )
    parser.addoption(
        "--production",
        action="store_true",
        help="only tests on Temporal's real server with PostgreSQL, which is built first; without it, all others",
    )


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until the tests are collected: what they import stays, and looking through it takes a quarter longer
    config.addinivalue_line("markers", f"{PRODUCTION}: needs programs that take minutes to build (`make test-server`)")
    for mark, fixtures in USES.items():
        config.addinivalue_line("markers", f"{mark}: uses the fixture {' or '.join(fixtures)} (added by itself)")
    config.addinivalue_line("markers", "servers: starts or uses a real server other than Temporal's test server")


@pytest.hookimpl(trylast=True)  # after the random order
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--no-servers"):
        away = [item for item in items if item.get_closest_marker("servers")]
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if not item.get_closest_marker("servers")]
    production = config.getoption("--production")
    away = [item for item in items if (item.get_closest_marker(PRODUCTION) is not None) != production]
    config.hook.pytest_deselected(items=away)
    kept = set(items) - set(away)
    items[:] = [item for item in items if item in kept]
    _order(items)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    fixtures = set(getattr(item, "fixturenames", ()))
    for mark, names in USES.items():
        if fixtures.intersection(names):
            item.add_marker(mark)
    if any(item.get_closest_marker(mark) for mark in SERVERS):
        item.add_marker("servers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give what hands out files, or folders of `_TOGETHER`: what their fixtures start is started once."""
    return Files(config, log)


class Files(LoadScopeScheduling):
    """Hands out files, or what is together."""

    def _split_scope(self, nodeid: str) -> str:
        return self.group(nodeid)

    @staticmethod
    def group(nodeid: str) -> str:
        """Give what stays in one process with a test."""
        file = nodeid.partition("::")[0]
        if file.endswith("/test_kills.py"):
            return file
        return next((folder for folder in _TOGETHER if folder in file), file)


def _order(items: list[pytest.Item]) -> None:
    """Sort by kind, the slowest files first; files of servers' tests keep their order within.

    Those go on from what the test before has left on its server, as a person trying a server out would.
    """
    written = {item: number for number, item in enumerate(sorted(items, key=_place))}
    files = {path: number for number, path in enumerate(dict.fromkeys(_place_of(item) for item in items))}
    slow = {path: number for number, path in enumerate(_SLOW)}

    def key(item: pytest.Item) -> tuple[int, int, int, int]:
        place, named = _place_of(item), kind(item)
        at = files[place] if named != "end to end" else 0
        return KINDS.index(named), slow.get(place, len(slow)), at, written[item] if named in _WRITTEN else 0

    items.sort(key=key)


def _place_of(item: pytest.Item) -> str:
    return Path(os.path.relpath(item.path, _TESTS)).as_posix()


def _place(item: pytest.Item) -> tuple[str, int]:
    return str(item.path), item.reportinfo()[1] or 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Give one process more than there are cores; twice as many as cores without servers.

    With one a core, the cores idle for 38 % of a whole run: its tests wait for timers, ports and servers. Without real
    servers they wait for a third of their time, and need little memory.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(psutil.Process().cpu_affinity() or ()) or os.cpu_count() or 1
    return cores * 2 if config.getoption("--no-servers") else cores + 1


@pytest.fixture(autouse=True, scope="session")
def no_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--no-servers`, a test that starts one all the same fails: its mark is missing."""
    if not request.config.getoption("--no-servers"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServerProcess, "start", _refuse_servers(ServerProcess.start))
        yield


def _refuse_servers(start: Callable[[ServerProcess], None]) -> Callable[[ServerProcess], None]:
    def refuse(process: ServerProcess) -> None:
        program, *arguments = process.argv
        # Tests of processes start a line of Python that sleeps, or what isn't there: neither is a server.
        if arguments[:1] == ["-c"] or shutil.which(program) is None:
            start(process)
        else:
            pytest.fail(f"this test starts {process.name}, but has no mark that says so: `@pytest.mark.servers`")

    return refuse
