"""What goes first where many tasks wait for a slot: an outage before an onboarding, and no service before all others.

A run's tasks and its children's have the priority that it was started with. It orders what waits, and stops nothing.
Within a priority the services take turns (`fairness_key`), where the server does so: `matching.enableFairness` in
deploy/temporal/dynamicconfig.yaml.
"""

from temporalio.common import Priority

from activities.common.severity import Severity
from workers.registry import Procedure

_OF_SEVERITY: dict[Severity, int] = {"P1": 1, "P2": 2}
_KEY_BYTES = 64
"""Temporal takes no longer key, and would refuse the run."""


def priority(procedure: Procedure | None, service: str | None, severity: Severity | None = None) -> Priority:
    """Give a run's priority, from 1 (first) to 5: that of its severity, or else of its procedure.

    `procedure` is None for what runs beside the procedures, which goes with the ordinary ones.
    """
    of_procedure = procedure.priority if procedure else Procedure.priority
    key = _OF_SEVERITY.get(severity, of_procedure) if severity else of_procedure
    fair = (service or "").encode()[:_KEY_BYTES].decode(errors="ignore")
    return Priority(priority_key=min(key, of_procedure), fairness_key=fair or None)
