"""A company with something to maintain, and its clock."""

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.maintenance.windows import Clock
from tests.workflows.worlds.busy_database import table
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.maintained import Maintained


@pytest.fixture
def world(company: Company) -> Maintained:
    made = Maintained(company)
    made.tables = [table()]
    return made


@pytest.fixture
async def clock(time_skipping: WorkflowEnvironment) -> Clock:
    return Clock(time_skipping, await time_skipping.get_current_time())
