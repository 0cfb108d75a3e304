"""A recovery whose restore is a run that a test steers."""

from collections.abc import Sequence

import pytest
from temporalio.client import Client

from tests.workflows.disaster_recovery.recovery.fake_restore import FakeRestore
from tests.workflows.steering import Handle
from tests.workflows.worlds.outage import DATABASE, Outage
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore


@pytest.fixture
def workflow_types(workflow_types: Sequence[type]) -> Sequence[type]:
    return [FakeRestore if known is PointInTimeRestore else known for known in workflow_types]


def world() -> Outage:
    return Outage(database=DATABASE).broken()


def restore_of(client: Client, handle: Handle, suffix: str = "restore") -> Handle:
    return client.get_workflow_handle(f"{handle.id}/{suffix}")
