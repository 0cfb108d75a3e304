"""How procedures are run: in the SDK's sandbox, which checks their determinism, or without it.

In the sandbox, the module of the run's own procedure is loaded anew for the run, and what it reaches of the clock,
of randomness and of the machine is refused. Everything else is passed through by that very rule, imported once a
process: models and activity classes with their clients, the platform, helpers, the procedures of child runs. They keep
no state, and loading them would cost a run seconds.
"""

import dataclasses
from functools import cache
from typing import Any

from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

_NOWHERE = StorageDriverStoreContext()


class _AllBut(set[str]):
    """The names of all modules but one and the packages it is in; the SDK asks only whether a name is among them."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._path = f"{module}."

    def __contains__(self, name: object) -> bool:
        return not self._path.startswith(f"{name}.")


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

    _prepared: set[type] = dataclasses.field(default_factory=set, init=False)

    def prepare_workflow(self, defn: Any) -> None:
        """Load the procedure on trial, once a process: it takes 16 ms, and tests make many workers."""
        if defn.cls not in self._prepared:
            super().prepare_workflow(defn)
            self._prepared.add(defn.cls)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Give a run a sandbox of its own."""
        passed = _AllBut(det.defn.cls.__module__)
        restrictions = dataclasses.replace(self.restrictions, passthrough_modules=passed)
        return _WithoutContexts(SandboxedWorkflowRunner(restrictions, self.runner_class).create_instance(det))


class _Plain(UnsandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _WithoutContexts(super().create_instance(det))


@cache
def runner(*, sandbox: bool) -> WorkflowRunner:
    """Give the process' runner of procedures."""
    return _Sandboxed() if sandbox else _Plain()
