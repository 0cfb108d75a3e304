"""Settings that no run could work with are found at start: all of them, each with its line."""

import ast
from pathlib import Path

import pytest

from activities.catalogue.service import ApprovalPolicy, Service
from tests.workers.fine_settings import FINE
from workers.checks import QUESTIONS, faults
from workers.settings import SettingsError, load

ROOT = Path(__file__).parents[2]
WRONG = [
    ('"restore", "failover"', '"restore", "failovr"', 2, "approvals.second_person.1: no question is called 'failovr'"),
    ('"restore", "failover"', '"close"', 2, "approvals.second_person.0: no question is called 'close'"),
    ("[approvals]", '[approvals]\nroles.restor = ["dba"]', 2, "approvals.roles.restor: nothing asks for 'restor'"),
    ("[approvals]", "[approvals]\nroles.restore = []", 1, "approvals.roles: nobody may restore"),
    ('lease = "PT30M"', 'lease = "PT5H"', 11, "services.api.scaling.lease: 5 h is longer than longest_lease"),
    ("min_nodes = 2", "min_nodes = 11", 16, "services.api.gpu.min_nodes: 11 is above max_nodes, 10"),
    ('"PT24H"', '"P20D"', 20, "services.api.customers.key_grace: 20 d"),
    ('"P2D"', '"P6D"', 21, "services.api.customers.churn.remind_after: 6 d is longer than escalate_after"),
    ('"P5D"', '"P31D"', 21, "services.api.customers.churn.escalate_after: 31 d"),
    (
        'forensics = "P14D"',
        'forensics = "P14D"\npoolers = ["front"]',
        28,
        "services.api.database.poolers.0: [databases.d.poolers] has no 'front'; it has: none",
    ),
    ('"P14D"', '"P99D"', 27, "services.api.database.restore.forensics: 99 d"),
]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runbooks.toml"
    path.write_text(FINE, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(path))
    return path


def test_what_holds_together_is_fine(file: Path) -> None:
    assert load().services["api"].scaling.lease.total_seconds() == 1800
    assert (
        faults({"default": Service(namespace="n", deployment="d", selector="s", health_url="u")}, ApprovalPolicy())
        == []
    )


@pytest.mark.parametrize(("right", "wrong", "line", "says"), WRONG)
def test_what_no_run_could_work_with_is_named_with_its_line(
    file: Path, right: str, wrong: str, line: int, says: str
) -> None:
    assert right in FINE
    file.write_text(FINE.replace(right, wrong), encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load()
    assert f"runbooks.toml:{line}: {says}" in str(error.value)


def test_one_start_tells_every_fault(file: Path) -> None:
    content = FINE
    for right, wrong, _, _ in (WRONG[0], WRONG[4], WRONG[5], WRONG[7]):
        content = content.replace(right, wrong)
    file.write_text(
        f"{content}[slack]\nbakend = 'slack'\n[services.other]\nnamespace = 'n'\nhealth_url = 'u'\n", encoding="utf-8"
    )
    with pytest.raises(SettingsError) as error:
        load()
    told = str(error.value).splitlines()
    assert len(told) == 7
    for place in ("slack.bakend", "other.deployment", "other.selector", "second_person", "lease", "min_nodes", "churn"):
        assert sum(place in line for line in told) == 1, place
    assert all("runbooks.toml:" in line for line in told)


def test_variables_that_nobody_reads_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_WEBHOK__PORT", "8081")
    with pytest.raises(SettingsError, match="RUNBOOKS_WEBHOK__PORT: there is no section webhok"):
        load()
    monkeypatch.delenv("RUNBOOKS_WEBHOK__PORT")
    monkeypatch.setenv("RUNBOOKS_WEBHOOK__PROT", "8081")
    with pytest.raises(SettingsError, match=r"webhook.prot: there is no such field"):
        load()


def test_questions_are_those_that_procedures_ask() -> None:
    asked = set()
    for path in (ROOT / "workflows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Question":
                (kind,) = [word.value for word in node.keywords if word.arg == "kind"]
                assert isinstance(kind, ast.Constant), path
                asked.add(kind.value)
    assert asked == QUESTIONS
    assert set(ApprovalPolicy().roles) > QUESTIONS
