"""The workflow sandbox: a procedure is checked, everything else is passed through though nobody lists it."""

import dataclasses
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import _workflow_instance
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, _runner

import workers.runner
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import strict
from workers.settings import TemporalSettings, WorkerSettings
from workers.worker import build

HELPER = """
from datetime import datetime

HERE = object()


def now() -> str:
    return str(datetime.now())
"""

PROCEDURE = """
from datetime import datetime

from temporalio import workflow

from {package} import child, helper

HERE = object()


@workflow.defn(failure_exception_types=[Exception])
class Procedure:
    @workflow.run
    async def run(self) -> dict[str, int]:
        return {{"own": id(HERE), "helper": id(helper.HERE), "child": id(child.HERE)}}


@workflow.defn(failure_exception_types=[Exception])
class Clock:
    @workflow.run
    async def run(self) -> str:
        return str(datetime.now())


@workflow.defn(failure_exception_types=[Exception])
class Files:
    @workflow.run
    async def run(self) -> str:
        return helper.read()
"""

HELPED = """

@workflow.defn(failure_exception_types=[Exception])
class Helped:
    @workflow.run
    async def run(self) -> str:
        return helper.now()
"""

CHILD = """
from temporalio import workflow

HERE = object()


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> None:
        pass
"""

READ = """

def read() -> str:
    return open("/dev/null").read()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Modules that nobody has heard of before: a procedure, one of a child run, and what they share."""
    name = f"package_{uuid4().hex}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helper.py").write_text(HELPER + READ)
    (folder / "child.py").write_text(CHILD)
    (folder / "procedure.py").write_text(PROCEDURE.format(package=name) + HELPED)
    monkeypatch.syspath_prepend(tmp_path)
    return name


async def _run(time_skipping: WorkflowEnvironment, workflow: type, *, sandbox: bool = True) -> Any:
    queue = f"q-{uuid4()}"
    how = WorkerSettings(workflow_sandbox=sandbox)
    async with build(time_skipping.client, TemporalSettings(task_queue=queue), [], how=how, workflows=[workflow]):
        return await time_skipping.client.execute_workflow(workflow.__name__, id=queue, task_queue=queue)


async def test_all_but_the_runs_own_procedure_is_passed_through(
    package: str, time_skipping: WorkflowEnvironment
) -> None:
    procedure = import_module(f"{package}.procedure")
    seen = await _run(time_skipping, procedure.Procedure)
    outside = {name: id(sys.modules[f"{package}.{name}"].HERE) for name in ("helper", "child")}
    assert {"helper": seen["helper"], "child": seen["child"]} == outside
    assert seen["own"] != id(procedure.HERE)
    assert await _run(time_skipping, procedure.Procedure, sandbox=False) == {**outside, "own": id(procedure.HERE)}


@pytest.mark.parametrize(("name", "says"), [("Clock", "datetime.datetime.now"), ("Files", "__builtins__.open")])
async def test_what_is_not_deterministic_is_refused_in_the_sandbox_only(
    package: str, time_skipping: WorkflowEnvironment, name: str, says: str
) -> None:
    workflow = getattr(import_module(f"{package}.procedure"), name)
    with pytest.raises(WorkflowFailureError) as failed:
        await _run(time_skipping, workflow)
    assert says in cast("ApplicationError", failed.value.cause).message
    await _run(time_skipping, workflow, sandbox=False)


async def test_helpers_are_checked_where_all_of_a_package_is_loaded_anew(
    package: str, time_skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    helped = import_module(f"{package}.procedure").Helped
    assert await _run(time_skipping, helped)
    checks_all = dataclasses.replace(strict(), loaded=package)
    monkeypatch.setattr("workers.worker.runner", lambda **_: checks_all)
    with pytest.raises(WorkflowFailureError) as failed:
        await _run(time_skipping, helped)
    assert "datetime.datetime.now" in cast("ApplicationError", failed.value.cause).message
    assert strict().loaded == "workflows"


@pytest.mark.parametrize("sandbox", [True, False])
async def test_the_codec_is_told_no_context_and_the_run_not_asked_for_one(
    package: str, time_skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, *, sandbox: bool
) -> None:
    """The SDK asks its instance for each payload; where that ends, ours is no longer what it asks, and costs again."""
    asked: dict[type, int] = {}
    owners = (workers.runner._WithoutContexts, _workflow_instance._WorkflowInstanceImpl, _runner._Instance)
    for owner in owners:
        for method in ("get_serialization_context", "get_external_store_context"):
            _count(owner, method, asked, monkeypatch)
    await _run(time_skipping, import_module(f"{package}.procedure").Procedure, sandbox=sandbox)
    assert list(asked) == [workers.runner._WithoutContexts]


def _count(owner: Any, method: str, asked: dict[type, int], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = getattr(owner, method)

    def counted(self: Any, command_info: Any) -> Any:
        asked[owner] = asked.get(owner, 0) + 1
        return answer(self, command_info)

    monkeypatch.setattr(owner, method, counted)


async def test_a_procedure_is_prepared_once_a_process(
    time_skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    prepare = SandboxedWorkflowRunner.prepare_workflow

    def counted(self: Any, defn: Any) -> None:
        prepared.append(defn.name)
        prepare(self, defn)

    monkeypatch.setattr(SandboxedWorkflowRunner, "prepare_workflow", counted)
    workers.runner._of_process.cache_clear()
    build(time_skipping.client, TemporalSettings(task_queue="one"), [], workflows=[PROCEDURES[0].workflow])
    assert prepared == [PROCEDURES[0].workflow_type]
    for queue in ("all", "all again"):
        build(time_skipping.client, TemporalSettings(task_queue=queue), [])
    assert sorted(prepared) == sorted([p.workflow.__name__ for p in PROCEDURES] + [s.workflow.__name__ for s in SYSTEM])
