"""Who is waited for is said, question or not."""

from starters.steering.listing import may
from tests.starters.steering.said import status
from workers.settings import Settings


def test_who_is_waited_for_is_said_where_it_is_no_question() -> None:
    def who(procedure: str, waiting_for: str) -> list[str]:
        return may(Settings(), status(waiting_for=waiting_for, procedure=procedure))

    assert who("P1Incident", "close") == ["commander", "on-call", "engineering-lead"]
    assert who("MaintenanceWindow", "tick disk")[0] == "dba"
    assert who("EnterpriseOnboarding", "Day 1–3: Technical kickoff: 5 of 5 open")[:2] == ["csm", "se"]
    assert who("EnterpriseOnboarding", "") == []
