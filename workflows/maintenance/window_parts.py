"""What a maintenance window consists of, from when its settings and tasks are known."""

from dataclasses import dataclass

from activities.catalogue.windows import WindowPolicy
from workflows.maintenance.window_end import WindowEnd
from workflows.maintenance.window_hold import WindowHold
from workflows.maintenance.window_notices import WindowNotices
from workflows.maintenance.window_questions import WindowQuestions
from workflows.maintenance.window_tasks import WindowTasks
from workflows.platform.lease import Lease
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class WindowParts:
    """All of them are there, or none is."""

    desk: Desk
    lease: Lease
    hold: WindowHold
    tasks: WindowTasks
    notices: WindowNotices
    questions: WindowQuestions
    end: WindowEnd

    @property
    def policy(self) -> WindowPolicy:
        """What the service's settings say of its windows."""
        return self.desk.service.window
