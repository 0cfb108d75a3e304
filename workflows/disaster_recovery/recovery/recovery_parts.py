"""What a recovery consists of, from when the namespace and the way of the traffic are known."""

from dataclasses import dataclass

from activities.catalogue.service import Service
from workflows.disaster_recovery.recovery.beside import Beside
from workflows.disaster_recovery.recovery.proving import Proof
from workflows.disaster_recovery.recovery.recovery_restore import RecoveryRestore
from workflows.disaster_recovery.recovery.restart import Stages
from workflows.disaster_recovery.recovery.retry_or_stop import RetryOrStop
from workflows.disaster_recovery.recovery.traffic_steps import TrafficSteps
from workflows.shared.incident import Incident


@dataclass(frozen=True)
class RecoveryParts:
    """All of them are there, or none is."""

    service: Service
    stages: Stages
    incident: Incident
    ways: RetryOrStop
    traffic: TrafficSteps
    restoration: RecoveryRestore
    beside: Beside
    proof: Proof
