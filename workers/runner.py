"""How procedures are run: in the SDK's sandbox, which checks their determinism, or without it.

In the sandbox, the module of the run's own procedure is loaded anew for the run, and what it reaches of the clock,
of randomness and of the machine is refused. Everything else is passed through by that very rule, imported once a
process: models and activity classes with their clients, the platform, helpers, the procedures of child runs. They keep
no state, and loading them would cost a run seconds.

Where recorded runs are replayed in tests, all of `workflows` is loaded anew, so that what procedures share is checked
by the same rules.
"""

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

from temporalio.common import VersioningBehavior
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

_NOWHERE = StorageDriverStoreContext()


# Time zones are data, the same for every worker.
_RESTRICTIONS = dataclasses.replace(
    SandboxRestrictions.default,
    invalid_module_members=SandboxRestrictions.invalid_module_members_default.with_child_unrestricted("zoneinfo"),
)


class _AllBut(set[str]):
    """The names of all modules but one, the packages it is in, and what is in it; the SDK asks only for names."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._path = f"{module}."

    def __contains__(self, name: object) -> bool:
        path = f"{name}."
        return not (self._path.startswith(path) or path.startswith(self._path))


class _WithoutContexts(WorkflowInstance):
    """A run of which the payload codec learns nothing but the payloads, because ours looks at nothing else.

    The SDK asks three times a payload, and enters the sandbox for each answer: half of what a run costs in there.
    """

    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance

    def activate(self, act: Any) -> Any:
        """Pass on."""
        return self._instance.activate(act)

    def get_info(self) -> Info:
        """Pass on."""
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        """Pass on."""
        return self._instance.get_thread_id()

    def get_serialization_context(self, command_info: object) -> None:
        """Give none: the run's own converter has been told its context already."""
        del command_info

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        """Give an empty one: nothing is stored outside of histories."""
        del command_info
        return _NOWHERE


@dataclasses.dataclass(frozen=True)
class _Sandboxed(SandboxedWorkflowRunner):
    """The SDK's runner, by the rule above; a procedure is checked when a worker of this process first brings it."""

    loaded: str | None = None
    """What is loaded anew for each run instead of its procedure: a package."""

    _prepared: set[type] = dataclasses.field(default_factory=set, init=False)

    def prepare_workflow(self, defn: Any) -> None:
        """Load the procedure on trial, once a process: it takes 16 ms, and tests make many workers."""
        if defn.cls not in self._prepared:
            super().prepare_workflow(defn)
            self._prepared.add(defn.cls)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Give a run a sandbox of its own."""
        passed = _AllBut(self.loaded or det.defn.cls.__module__)
        restrictions = dataclasses.replace(self.restrictions, passthrough_modules=passed)
        return _WithoutContexts(SandboxedWorkflowRunner(restrictions, self.runner_class).create_instance(det))


class _Plain(UnsandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _WithoutContexts(super().create_instance(det))


class _Movable(WorkflowInstance):
    """A run that says with each of its steps whether it stays with the version that it began with.

    The SDK's own place for this is the workflow's decorator. But the server refuses what a worker without a version
    says there, so then no worker could do without Worker Versioning.
    """

    def __init__(self, instance: WorkflowInstance, behavior: VersioningBehavior) -> None:
        self._instance = instance
        self._behavior = behavior.value

    def activate(self, act: Any) -> Any:
        """Pass on, and say it."""
        done = self._instance.activate(act)
        if done.HasField("successful"):
            done.successful.versioning_behavior = self._behavior
        return done

    def get_info(self) -> Info:
        """Pass on."""
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        """Pass on."""
        return self._instance.get_thread_id()

    def get_serialization_context(self, command_info: Any) -> Any:
        """Pass on."""
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        """Pass on."""
        return self._instance.get_external_store_context(command_info)


class _Versioned(WorkflowRunner):
    """Runs procedures as another runner does; each stays with its version, or moves on, as its class says."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: Any) -> None:
        """Pass on."""
        self._runner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Give a run that says what its class says."""
        behavior = getattr(det.defn.cls, "VERSIONING", VersioningBehavior.PINNED)
        return _Movable(self._runner.create_instance(det), behavior)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """Pass on."""
        self._runner.set_worker_level_failure_exception_types(types)


def runner(*, sandbox: bool, versioned: bool = False) -> WorkflowRunner:
    """Give the process' runner of procedures; `versioned` where the worker has a version of a deployment."""
    found = _of_process(sandbox)
    return _Versioned(found) if versioned else found


@cache
def _of_process(sandbox: bool) -> WorkflowRunner:  # noqa: FBT001  a key of the cache, which keywords would double
    return _Sandboxed(_RESTRICTIONS) if sandbox else _Plain()


def strict() -> _Sandboxed:
    """Give a runner that checks all of `workflows`, for replays in tests."""
    return _Sandboxed(_RESTRICTIONS, loaded="workflows")
