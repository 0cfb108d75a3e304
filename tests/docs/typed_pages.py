"""What is typed for each line of the pages that `tests.docs.transcript` does, and what must be answered."""

import os
import re
import signal
import time
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from docs.steps import ROOT
from tests.docs.blocks import blocks
from tests.docs.shell import ACTIVATED, Shell, Typed, named

_LOOKS, _BACKUP_LOOK_SECONDS = 40, 3
"""A first backup takes half a minute, and longer on a busy machine."""

# -- README ----------------------------------------------------------------------------------------------


def _activate(shell: Shell) -> str:
    shell.prelude = [ACTIVATED]
    return "command -v runbooks"


def _setup(shell: Shell) -> str:
    shell.prelude = []
    return f"make setup && {ACTIVATED}"


def _sandbox(shell: Shell) -> dict[str, Any]:
    """Give the settings of this checkout's sandbox."""
    return tomllib.loads((shell.folder / "var/sandbox/runbooks.toml").read_text(encoding="utf-8"))


def with_sandbox(shell: Shell) -> None:
    """Have a sandbox that runs, as the pages behind the README suppose."""
    shell.prelude = [ACTIVATED] if (shell.folder / ".venv").is_dir() else []
    shell.type("make setup", within=1200)
    shell.prelude = [ACTIVATED]
    shell.type("make sandbox", says="ready in", within=2400)


def _service_of_ones_own(shell: Shell, namespace: str) -> dict[str, Any]:
    """Have a Deployment `api` in a namespace, which the pages suppose; gives the sandbox's settings."""
    sandbox = _sandbox(shell)
    shell.known["health"] = sandbox["services"]["tensafe-server"]["health_url"]
    made = (
        f"python - <<'EOF'\nfrom pathlib import Path\nfrom sandbox import kubernetes_api\n"
        f"from tests.docs.test_adopting import DEPLOYMENT\n"
        f"with kubernetes_api.connect(Path({sandbox['kubernetes']['kubeconfig']!r})) as api:\n"
        f"    kubernetes_api.apply(api, [{{'apiVersion': 'v1', 'kind': 'Namespace',\n"
        f"        'metadata': {{'name': {namespace!r}}}}},\n"
        f"        {{**DEPLOYMENT, 'metadata': {{'name': 'api', 'namespace': {namespace!r}}}}}])\nEOF"
    )
    shell.quietly(made)
    return sandbox


def _own_service(shell: Shell) -> None:
    with_sandbox(shell)
    sandbox = _service_of_ones_own(shell, "prod")
    kubeconfig = sandbox["kubernetes"]["kubeconfig"]
    # Where the servers are, which the page leaves to docs/adopting.md.
    shell.prelude += [
        f"export RUNBOOKS_TEMPORAL__ADDRESS={sandbox['temporal']['address']} RUNBOOKS_TEMPORAL__TASK_QUEUE=prod",
        f"export RUNBOOKS_RECORDS__URL={sandbox['records']['url']} RUNBOOKS_KUBERNETES__KUBECONFIG={kubeconfig}",
        f"export RUNBOOKS_PROMETHEUS__URL={sandbox['prometheus']['url']}",
    ]


def _exported(shell: Shell) -> str:
    shell.prelude.append("export RUNBOOKS_CONFIG=$PWD/runbooks.toml")
    return "echo $RUNBOOKS_CONFIG"


def _worker(shell: Shell) -> str:
    shell.background.append(shell.start("exec python -m workers >worker.log 2>&1"))
    return "sleep 3"


def _no_own_service(shell: Shell) -> None:
    for process in shell.background:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    shell.background.clear()
    for name in ("runbooks.toml", "routes.toml", "gateway.pem"):
        (shell.folder / name).unlink(missing_ok=True)
    shell.prelude = [ACTIVATED]


def _break(shell: Shell, image: str = "BAD_IMAGE") -> None:
    """Ship a release."""
    line = (
        'python -c "from pathlib import Path; from sandbox import manifests; '
        f"manifests.release(Path('{_sandbox(shell)['kubernetes']['kubeconfig']}'), 'tensafe', manifests.{image})\""
    )
    shell.quietly(line)


def _incident(shell: Shell) -> None:
    """Wait for the question of an incident that has begun, and learn its number."""
    shell.until("-", "decide mitigation-1")
    (run,) = shell.ask("runbooks list")
    shell.known["incident"] = run["incident"]
    shell.known["number"] = run["incident"].rpartition("-")[2]


def _held(shell: Shell) -> str:
    """Have something to cancel: a run that holds the autoscaler."""
    begun = shell.ask("runbooks start emergency-scale-up --yes")
    shell.until(begun["workflow_id"], "Autoscaler paused")
    return f"runbooks cancel {begun['workflow_id'].rpartition('-')[2]}"


def _archived(shell: Shell) -> None:
    shell.type("runbooks audit archive", says="archived")


THIS_MONTH = datetime.now(UTC)
README = (
    Typed("make demo ARGS=--keep", says="It goes on running"),
    Typed(ACTIVATED, _activate),
    Typed("runbooks list --all", says="P1"),
    Typed("runbooks start emergency-scale-up --dry-run --wait", says="would"),
    Typed("runbooks sandbox down", says="stopped: var/demo"),
    Typed("make setup && ", _setup, after=_own_service),
    Typed(
        "runbooks config init api",
        lambda shell: f"runbooks config init api --namespace prod --health-url {shell.known['health']}",
        says="written",
    ),
    Typed("export RUNBOOKS_CONFIG=", _exported),
    Typed("runbooks config check", ends=(0, 1), says="api"),
    Typed("runbooks doctor api", ends=(0, 1), says="1 of 1 ready"),
    Typed("runbooks services", says="ready"),
    Typed("python -m records_schema migrate"),
    Typed("python -m workers &", _worker),
    Typed("runbooks start p1-incident --set service=api --dry-run --wait", says="would", after=_no_own_service),
    Typed("runbooks list", says="nothing is open"),
    Typed(
        "runbooks start p1-incident --set title=",
        lambda _: 'runbooks start p1-incident --set title="API down" --set mitigation=approve --yes',
        says="next",
        before=_break,
        after=_incident,
    ),
    Typed("runbooks status INC-", says="mitigation-1"),
    Typed("runbooks approve - --choice rollback", says="decided by", after=lambda shell: shell.until("-", "close")),
    Typed("runbooks note", says="noted"),
    Typed("runbooks take-over", says="is yours"),
    Typed(
        "runbooks close", says="is being closed", after=lambda shell: shell.until(shell.known["incident"], "completed")
    ),
    Typed("runbooks cancel", _held, says="asked to stop", after=_archived),
    Typed("runbooks audit show", says="written"),
    Typed("runbooks audit search", says="P1"),
    Typed(
        "runbooks audit report",
        lambda _: f"runbooks audit report --month {THIS_MONTH:%Y-%m} --format pdf --output month.pdf",
    ),
    Typed("runbooks audit postmortem", says="written"),
    Typed(
        "runbooks audit export",
        lambda _: f"runbooks audit export --since {THIS_MONTH:%Y-%m}-01 --until {THIS_MONTH:%Y-%m-%d}",
        says="signed",
    ),
    Typed("runbooks audit verify --all", says="whole"),
)

# -- docs/adopting.md ------------------------------------------------------------------------------------


def _shop(shell: Shell) -> str:
    _service_of_ones_own(shell, "shop")
    return shell.known["line"].replace("http://api.shop.svc:8080/health", shell.known["health"])


def _pasted(shell: Shell) -> None:
    """Put into the settings what the page says, with this machine's addresses."""
    sandbox, here = _sandbox(shell), {"…": shell.known["answer"].strip().splitlines()[0]}
    here["temporal.internal:7233"] = sandbox["temporal"]["address"]
    here["file:/run/secrets/records_url"] = sandbox["records"]["url"]
    here['"kubeconfig"'] = f'"{sandbox["kubernetes"]["kubeconfig"]}"'
    here["http://prometheus.internal:9090"] = sandbox["prometheus"]["url"]
    # The sandbox's own workers take what is on its task queue, and know nothing of `api`.
    here["[records]"] = 'task_queue = "shop"\n\n[records]'
    block = blocks(ROOT / "docs/adopting.md", "toml")[0]
    for written, meant in here.items():
        block = block.replace(written, meant)
    with (shell.folder / "runbooks.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{block}")
    shell.known["records"] = sandbox["records"]["url"]


def _migrated(shell: Shell) -> str:
    return shell.known["line"].replace("file:/run/secrets/records_url", shell.known["records"])


ADOPTING = (
    Typed("make setup"),
    Typed(ACTIVATED, _activate),
    Typed("runbooks config init api", _shop, says="written"),
    Typed("runbooks keys generate", after=_pasted),
    Typed("python -m records_schema migrate", _migrated),
    Typed("runbooks config check", says="no worker yet"),
    Typed("runbooks doctor api", says="1 of 1 ready"),
    Typed("runbooks services api", says="p1-incident"),
    Typed("python -m workers", _worker),
    Typed("runbooks start manual-scale-up --set target=+1 --dry-run", says="would"),
    Typed("runbooks start manual-scale-up --set target=+1 --yes", says="1 replica → 2 replicas"),
    Typed("runbooks list --all", says="scaled", after=_no_own_service),
)

# -- docs/using.md ---------------------------------------------------------------------------------------


_STARTED = re.compile(r"^workflow ID +(\S+)", re.MULTILINE)


def _started(line: str, until: str = "", **more: Any) -> Typed:
    """Say --yes, since nobody can be asked; RUN is then this run, and it comes to something."""

    def after(shell: Shell) -> None:
        shell.known["RUN"] = _STARTED.findall(shell.known["answer"])[-1]
        if until:
            shell.until(shell.known["RUN"], until)

    return Typed(line, lambda shell: f"{shell.known['line']} --yes", after=after, **more)


def _also(*lines: str, until: str = "") -> Callable[[Shell], None]:
    """Type more, where a page leaves a run open."""

    def after(shell: Shell) -> None:
        for line in lines:
            shell.type(named(shell, line))
        if until:
            shell.until(shell.known["RUN"], until)

    return after


_TOMORROW = datetime.now(UTC) + timedelta(days=1)


def _tomorrow(shell: Shell) -> str:
    return shell.known["line"].replace("2026-02-05", f"{_TOMORROW:%Y-%m-%d}") + " --yes"


def _closed(shell: Shell) -> None:
    shell.until("-", "close")
    shell.type("runbooks close - --resolution quiet --root-cause 'a drill'")
    shell.until(shell.known["RUN"], "completed")


USING = (
    _started("runbooks start p2-incident", "running"),
    # It is healthy, and so nothing is suspected.
    Typed("runbooks approve RUN --choice rollback", ends=(8,), says="nothing is asked"),
    Typed(
        "runbooks raise-to-p1 RUN",
        after=_closed,
    ),
    _started("runbooks start emergency-scale-up", "Autoscaler paused"),
    Typed("runbooks extend RUN --by 15m", says="paused until", after=_also("runbooks resume RUN", until="completed")),
    Typed("runbooks ci v1.2.5", says="passed"),
    _started("runbooks start standard-deployment", says="ended"),
    _started("runbooks start rollback", "completed"),
    Typed("runbooks schedules diff", ends=(0, 1)),
    Typed("runbooks schedules apply"),
    Typed("runbooks schedules list"),
    Typed(
        "runbooks schedules pause", says="is paused", after=_also("runbooks schedules resume end-of-day/tensafe-server")
    ),
    _started("runbooks start morning-startup", "completed"),
    _started("runbooks start enterprise-onboarding", "running"),
    Typed("runbooks status RUN", says="kickoff-call"),
    Typed("runbooks onboarding tick"),
    Typed("runbooks onboarding assign", after=_also("runbooks onboarding stop RUN --tenant keep --reason 'a drill'")),
    *(
        Typed(line, elsewhere="tests/starters/cli/test_customer_commands.py")
        for line in (
            "runbooks start issue-escalation",
            "runbooks ticket update",
            "runbooks start churn-prevention",
            "runbooks outreach",
            "runbooks start api-key-rotation",
            "runbooks extend RUN --by 6h",
            "runbooks start api-key-rotation",
        )
    ),
    Typed(
        "runbooks start maintenance-window",
        _tomorrow,
        after=lambda shell: shell.known.update(RUN=_STARTED.findall(shell.known["answer"])[-1]),
    ),
    Typed("runbooks windows list", says="Database upgrade"),
    Typed("runbooks windows tick", ends=(1,)),  # it begins tomorrow
    Typed("runbooks extend RUN --by 30m", ends=(0, 1)),
    Typed("runbooks cancel RUN", says="asked to stop"),
    Typed("runbooks start database-maintenance --dry-run --wait", says="would"),
    *(
        Typed(line, elsewhere="tests/starters/cli/test_maintenance_commands.py")
        for line in (
            "runbooks start database-maintenance --set tables",
            "runbooks start database-maintenance --set end",
        )
    ),
    *(
        Typed(line, elsewhere="tests/end_to_end/test_restore.py")
        for line in (
            "runbooks start point-in-time-restore",
            "runbooks approve RUN --choice switch",
            "runbooks extend RUN --by 7d",
        )
    ),
    Typed("runbooks start full-service-recovery --dry-run --wait", says="would"),
    Typed("runbooks stop-watching", elsewhere="tests/end_to_end/test_full_recovery.py"),
    Typed("runbooks start certificate-renewal --dry-run --wait", says="ended"),
    Typed("runbooks start certificate-renewal --set only", elsewhere="tests/end_to_end/test_certificates.py"),
    Typed("runbooks approve RUN --choice retry", elsewhere="tests/end_to_end/test_certificates.py"),
    Typed("runbooks start compliance-audit", elsewhere="tests/workflows/security/test_compliance_audit.py"),
    Typed("runbooks audit verify soc2", elsewhere="tests/workflows/security/test_compliance_audit.py"),
)


# -- docs/demo.md ----------------------------------------------------------------------------------------


def _both_stopped(shell: Shell) -> None:
    shell.type("runbooks sandbox status", says=f"{shell.folder.name}/var/demo")
    shell.type("runbooks sandbox down", says="var/demo")


def _primary_killed(shell: Shell) -> None:
    """Kill the primary of the service's database, as the page says, once there is a backup."""
    for _ in range(_LOOKS):
        if "is being taken" not in shell.type("runbooks sandbox status"):
            break
        time.sleep(_BACKUP_LOOK_SECONDS)
    directory = Path(_sandbox(shell)["databases"]["tensafe"]["servers"]["primary"]["directory"])
    pid = (directory / "postmaster.pid").read_text(encoding="ascii").split()[0]
    shell.type(f"kill -9 {pid}")
    shell.known["RUN"] = shell.open_run("database-failover")
    shell.until(shell.known["RUN"], "decide failover-1")


DEMO = (
    Typed("make demo", says="All of it was real"),
    Typed("make demo ARGS=--keep", says="It goes on running", after=_both_stopped),
    Typed("make sandbox", says="ready in"),
    Typed(
        "runbooks approve RUN --choice promote",
        says="decided by",
        before=_primary_killed,
        after=_also("runbooks status RUN", until="decide return-1"),
    ),
)


PAGES: dict[str, Sequence[Typed]] = {
    "README.md": README,
    "docs/adopting.md": ADOPTING,
    "docs/using.md": USING,
    "docs/demo.md": DEMO,
}
"""In the order in which they are done: the last one leaves a database without its first primary."""
