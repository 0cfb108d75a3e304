"""The scenarios that the crash harness knows, by their procedure."""

from tests.crash.scenario import Scenario
from tests.crash.scenarios.add_gpu_node import AddGpuNodeScenario, NoNodeScenario
from tests.crash.scenarios.api_key_rotation import CompromisedScenario, ExtendedScenario, RotationScenario
from tests.crash.scenarios.customer_operations import ChurnScenario, IssueScenario, OnboardingScenario
from tests.crash.scenarios.database_failover import CancelledFailoverScenario, FailoverScenario
from tests.crash.scenarios.database_maintenance import MaintenanceScenario
from tests.crash.scenarios.emergency_scale_up import (
    CancelledScaleUpScenario,
    EmergencyScaleUpScenario,
    RaisedMinimumScenario,
)
from tests.crash.scenarios.full_service_recovery import (
    CancelledRecoveryScenario,
    RecoveryScenario,
    RestoredScenario,
)
from tests.crash.scenarios.manual_scale_up import ManualScaleUpScenario
from tests.crash.scenarios.p1_incident import P1Scenario
from tests.crash.scenarios.point_in_time_restore import (
    CancelledRestoreScenario,
    DeclinedRestoreScenario,
    RestoreScenario,
)
from tests.crash.scenarios.rollback import RollbackScenario, UndoScenario
from tests.crash.scenarios.standard_deployment import BadVersionScenario, GoodVersionScenario

SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "p1_incident": (P1Scenario(),),
    "manual_scale_up": (ManualScaleUpScenario(),),
    "emergency_scale_up": (EmergencyScaleUpScenario(), CancelledScaleUpScenario(), RaisedMinimumScenario()),
    "add_gpu_node": (AddGpuNodeScenario(), NoNodeScenario()),
    "standard_deployment": (GoodVersionScenario(), BadVersionScenario()),
    "rollback": (RollbackScenario(), UndoScenario()),
    "enterprise_onboarding": (OnboardingScenario(),),
    "issue_escalation": (IssueScenario(),),
    "churn_prevention": (ChurnScenario(),),
    "database_maintenance": (MaintenanceScenario(),),
    "database_failover": (FailoverScenario(), CancelledFailoverScenario()),
    "full_service_recovery": (RecoveryScenario(), CancelledRecoveryScenario(), RestoredScenario()),
    "point_in_time_restore": (RestoreScenario(), DeclinedRestoreScenario(), CancelledRestoreScenario()),
    "api_key_rotation": (RotationScenario(), ExtendedScenario(), CompromisedScenario()),
}
