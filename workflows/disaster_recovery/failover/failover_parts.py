"""What a failover is about, from when the primary is known."""

from dataclasses import dataclass

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from workflows.disaster_recovery.failover.detection import Detection
from workflows.shared.data_hold import DataHold


@dataclass(frozen=True)
class FailoverParts:
    """All of them are there, or none is."""

    service: Service
    database: DatabasePolicy
    hold: DataHold
    detection: Detection
