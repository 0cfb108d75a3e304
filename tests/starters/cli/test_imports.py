"""What commands import before they do anything: nobody waits for what they don't use.

A module that imports something heavy at its top makes every command slow that comes by it, and nobody sees why. So what
each may import is held here, by processes of their own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from sandbox.ports import free_port

ROOT = Path(__file__).parents[3]
OURS = ("activities", "audit", "records_schema", "libraries", "sandbox", "starters", "workers", "workflows")
HELP = {"annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
"""What shows help: typer, rich, and what these stand on."""

OPTIONAL = {
    "sitecustomize",  # Debian's own Python has one
    "IPython",
    "annotated_types",
    "attr",
    "attrs",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
"""What rich looks for and typer takes for some parameters; nothing else of ours comes by it."""

CLIENTS = {
    "alembic",
    "boto3",
    "botocore",
    "docker",
    "httpx",
    "icalendar",
    "jinja2",
    "kubernetes",
    "matplotlib",
    "numpy",
    "psycopg",
    "psycopg_pool",
    "requests",
    "slack_sdk",
    "structlog",
    "typst",
    "urllib3",
    "yaml",
}
"""Libraries of outside systems, of pages and of logs."""

_COMMAND = """
import json, os, sys
from starters import __main__ as command

def told(code):
    sys.stderr.flush()
    print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.__stderr__, flush=True)
    leave(code)

leave, os._exit = os._exit, told
command.main()
"""


def run(*arguments: str, variables: dict[str, str]) -> tuple[int, set[str]]:
    """Run a command as its users do; gives its exit code and every module it had imported when it ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOKS_", "TEMPORAL_"))}
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        env={**kept, **variables, "PYTHONPATH": str(ROOT)},
        cwd=variables["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    return told["code"], set(told["modules"])


def foreign(modules: set[str]) -> set[str]:
    """The packages of others among them."""
    tops = {name.partition(".")[0] for name in modules}
    return {top for top in tops if not top.startswith("_") and top not in {*sys.stdlib_module_names, *OURS}}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in OURS}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Settings with one service, and a Temporal that nobody runs."""
    file = tmp_path / "runbooks.toml"
    service = {
        "namespace": "tensafe",
        "deployment": "tensafe-server",
        "selector": "app=tensafe",
        "health_url": "http://127.0.0.1:1/health",
    }
    address = f"127.0.0.1:{free_port()}"
    file.write_text(
        tomli_w.dumps({"temporal": {"address": address}, "services": {"tensafe-server": service}}), encoding="utf-8"
    )
    return {"RUNBOOKS_CONFIG": str(file), "HOME": str(tmp_path)}


def test_help_imports_nothing_but_what_shows_it(variables: dict[str, str]) -> None:
    code, modules = run("--help", variables=variables)
    assert code == 0
    new = foreign(modules) - HELP - OPTIONAL
    assert not new, (
        f"`runbooks --help` now imports {', '.join(sorted(new))}, and everybody waits for it: import it in the "
        "function of the command that uses it, or under TYPE_CHECKING where only annotations name it"
    )
    elsewhere = {name for name in ours(modules) if not name.startswith("starters")}
    assert not elsewhere, (
        f"`runbooks --help` now imports {', '.join(sorted(elsewhere))}: a module of starters/cli/commands declares its "
        "command, and imports what that works with when it runs"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "--help"),
        ("audit", "verify", "--help"),
        ("start", "--help"),
        ("status", "--help"),
        ("onboarding", "tick", "--help"),
    ],
    ids=" ".join,
)
def test_the_help_of_a_command_imports_nothing_that_it_works_with(
    arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    code, modules = run(*arguments, variables=variables)
    assert code == 0
    assert foreign(modules) - HELP - OPTIONAL == set()
    assert {name for name in ours(modules) if not name.startswith("starters")} == set()


@pytest.mark.parametrize("arguments", [("catalogue",), ("keys", "generate")], ids=" ".join)
def test_what_asks_no_server_imports_no_client_of_one(arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    code, modules = run(*arguments, variables=variables)
    assert code == 0
    assert foreign(modules) & {*CLIENTS, "temporalio"} == set()
    assert {name for name in modules if name.startswith("workflows")} == set(), "the catalogue is data"


def test_verifying_a_bundle_imports_what_proves_it(variables: dict[str, str], tmp_path: Path) -> None:
    bundle = tmp_path / "evidence.bundle.zip"
    bundle.write_bytes(b"no zip")
    code, modules = run("audit", "verify", str(bundle), variables=variables)
    assert code == 2
    assert "audit.verify" in modules
    assert foreign(modules) & {*CLIENTS, "temporalio", "pydantic_settings"} == set()
    assert {name for name in modules if name.startswith(("workflows", "activities", "workers.wiring"))} == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "a-run"),
        ("approve", "a-run"),
        ("cancel", "a-run"),
        ("note", "a-run", "a note"),
        ("close", "a-run", "--resolution", "r", "--root-cause", "c"),
        ("raise-to-p1", "a-run", "--reason", "orders"),
        ("stop-watching", "a-run"),
        ("start", "manual-scale-up", "--yes", "--set", "target=+2"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_speaks_to_temporal_imports_no_other_client(arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    code, modules = run(*arguments, variables=variables)
    assert code == 3
    assert "temporalio.client" in modules
    assert foreign(modules) & CLIENTS == set()
    assert "temporalio.worker" not in modules
    assert "rich.markdown" not in modules, "its parser is for a run that has a board to show"
    wanted = {"workflows.scaling.manual_scale_up"} if arguments[0] == "start" else set()
    assert modules & PROCEDURES == wanted, "only the procedure that is started is imported"


PROCEDURES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "workflows").rglob("*.py")
    if "@workflow.defn" in file.read_text(encoding="utf-8")
}


def test_all_procedures_import_no_client() -> None:
    """As a worker's start, and a webhook's, import them."""
    code = (
        "import json, sys, workers.registry as r; [p.request for p in r.PROCEDURES]; print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    new = foreign(set(json.loads(done.stdout))) & CLIENTS
    assert not new, (
        f"procedures now import {', '.join(sorted(new))}: an activity's module takes its library from `libraries`, and "
        "annotations that name it stand in quotes"
    )
