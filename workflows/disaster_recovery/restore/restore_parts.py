"""What a restore consists of, from when it is planned."""

from dataclasses import dataclass

from activities.catalogue.service import Service
from workflows.disaster_recovery.restore.notices import Notices
from workflows.disaster_recovery.restore.restore_beside import RestoreBeside
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.disaster_recovery.restore.write_stop import WriteStop
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk


@dataclass(frozen=True)
class RestoreParts:
    """All of them are there, or none is."""

    service: Service
    plan: RestorePlan
    desk: Desk
    notices: Notices
    hold: DataHold
    restoration: RestoreBeside
    writes: WriteStop
