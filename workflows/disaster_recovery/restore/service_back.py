"""How a restore tells the recovery that has started it that the service is back; it itself goes on for weeks."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.common.refusable import Refusable
from activities.common.text import Key
from activities.common.times import Time

SIGNAL = "service_back"


class ServiceBack(Refusable):
    """The service runs on restored data."""

    server: Key = Field(description="That it is pointed at now.")
    backup_id: Key
    recovered_to: Annotated[datetime | None, Time(made_fit=True)] = Field(
        description="Time of the last transaction that is in the data."
    )

    def __str__(self) -> str:
        to = f"{self.recovered_to:%Y-%m-%d %H:%M:%S %Z}" if self.recovered_to else "an unknown time"
        return f"{self.server}, with the data of {to} (backup {self.backup_id})"


async def tell_parent(back: ServiceBack) -> None:
    """Tell the run that has started this one, if any; one that is gone needs no telling."""
    parent = workflow.info().parent
    if parent is None:
        return
    try:
        # Not by its run ID: one that somebody has reset goes on under another.
        await workflow.get_external_workflow_handle(parent.workflow_id).signal(SIGNAL, back)
    except FailureError:
        workflow.logger.info("the run that started this restore has ended")
