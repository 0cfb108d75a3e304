"""What a procedure brings to the crash harness: its world, its input, how people steer it, and its end state."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from sandbox.mail_server import MailServer
from tests.crash.forks import Forks


@dataclass(frozen=True)
class Servers:
    """The real servers that all cases share."""

    temporal: str
    records: str
    kubeconfig: Path
    prometheus: str
    alertmanager: str
    aws: str
    mail: MailServer
    forks: Forks
    directory: Path


@dataclass(frozen=True)
class Case:
    """One run of the procedure, in a namespace and on a task queue of its own."""

    name: str
    servers: Servers
    directory: Path

    @property
    def namespace(self) -> str:
        return f"crash-{self.name}"

    @property
    def task_queue(self) -> str:
        return self.namespace

    @property
    def workflow_id(self) -> str:
        return f"{self.namespace}-run"

    @property
    def config(self) -> Path:
        """The settings of its workers."""
        return self.directory / "runbooks.toml"

    @property
    def log(self) -> Path:
        """What its workers write."""
        return self.directory / "worker.log"

    @property
    def mark(self) -> Path:
        """What a worker leaves that kills itself."""
        return self.directory / "killed"


class Strict:
    """What a scenario says of its kills unless it knows better: everything is as in the undisturbed run."""

    end: WorkflowExecutionStatus = WorkflowExecutionStatus.COMPLETED
    weight = 1.0
    databases: ClassVar[Mapping[str, Collection[str]]] = {}

    def ends(self, kill: str | None) -> Collection[WorkflowExecutionStatus]:
        return (self.end,)

    def matters(self, kill: str, name: str) -> bool:
        return True


@dataclass
class EndState:
    """Everything the run left behind, as counts by name, and what is still paused or open."""

    counts: Counter[str] = field(default_factory=Counter)
    paused: list[str] = field(default_factory=list)


class Scenario(Protocol):
    """One way that a procedure may go. Everything is asynchronous but may block for milliseconds."""

    @property
    def name(self) -> str:
        """Its own name, for example `rollback-undo`."""

    @property
    def procedure(self) -> str:
        """The procedure's name in the registry."""

    @property
    def weight(self) -> float:
        """How much its cases ask of the machine, where one with the service and a worker is 1."""

    @property
    def leaves(self) -> Mapping[str, int]:
        """What the undisturbed run must leave, among the rest: that others leave the same would prove nothing else."""

    @property
    def programs(self) -> Collection[str]:
        """The effects (`Workflow/step`) that run a program; they are killed in the middle of it as well."""

    @property
    def databases(self) -> Mapping[str, Collection[str]]:
        """At which effects (`Workflow/step`) PostgreSQL is killed as well, and on which servers of the database."""

    def ends(self, kill: str | None) -> Collection[WorkflowExecutionStatus]:
        """Tell how a run may end that is killed there."""

    def matters(self, kill: str, name: str) -> bool:
        """Tell whether a count must be what the undisturbed run leaves."""

    async def prepare(self, case: Case) -> dict[str, Any]:
        """Set the world up; give the settings (as for runbooks.toml) of the case's workers."""

    def request(self, case: Case) -> Any:
        """Give the run's input."""

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Do what people do until the run can end; must survive being told twice."""

    async def end_state(self, case: Case) -> EndState:
        """Read back what is there when the run has ended."""

    async def clean(self, case: Case) -> None:
        """Remove the case's world."""
