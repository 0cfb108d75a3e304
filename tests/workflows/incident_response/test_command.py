"""What a person has said no to isn't asked again, until something else is proposed."""

from datetime import timedelta
from typing import Any

from workflows.incident_response.command import Declined
from workflows.platform.approval import Question


def question(recommended: str | None = "rollback", **fields: Any) -> Question:
    return Question(
        **{
            "id": "mitigation-1",
            "title": "What is to be done?",
            "options": {"rollback": "to v1", "none": "nothing"},
            "recommended": recommended,
            "default": "none",
            "kind": "mitigate",
            "timeout": timedelta(minutes=5),
        }
        | fields
    )


def test_the_same_proposal_under_another_number_is_covered() -> None:
    declined = Declined()
    assert not declined.covers(question())
    assert not declined
    declined.say(question())
    assert declined
    assert declined.covers(question(id="mitigation-2", title="Again?"))


def test_another_proposal_is_not() -> None:
    declined = Declined()
    declined.say(question())
    assert not declined.covers(question("restart"))
    assert not declined.covers(question(options={"rollback": "", "scale": "", "none": ""}))


def test_what_is_forgotten_is_asked_again() -> None:
    declined = Declined()
    declined.say(question(None))
    assert declined.covers(question(None))
    declined.forget()
    assert not declined
    assert not declined.covers(question(None))
