"""What an onboarding consists of, from when its service and its customer are known."""

from dataclasses import dataclass

from workflows.customer_operations.checklist import Checklist
from workflows.customer_operations.checklist_watch import ChecklistWatch
from workflows.customer_operations.day_0 import Account, Day0
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class OnboardingParts:
    """All of them are there, or none is."""

    day_0: Day0
    items: Checklist
    watch: ChecklistWatch

    @property
    def account(self) -> Account:
        """Who is brought in."""
        return self.day_0.account

    @property
    def desk(self) -> Desk:
        """Where its people are told."""
        return self.day_0.desk
