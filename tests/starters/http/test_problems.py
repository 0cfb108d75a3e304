"""A refusal is a problem body of RFC 9457; a model's errors are told by field, never with what was sent."""

import json
from http import HTTPStatus

import pytest
from pydantic import BaseModel, ValidationError

from starters.http.problems import Problem, errors_of


class Asked(BaseModel):
    """What is sent."""

    limits: dict[str, int]


def errors(sent: object) -> list[dict[str, str]]:
    with pytest.raises(ValidationError) as wrong:
        Asked.model_validate(sent)
    return errors_of(wrong.value)


def test_a_problem_has_what_the_standard_wants_and_what_it_adds() -> None:
    problem = Problem(HTTPStatus.TOO_MANY_REQUESTS, "come again", headers={"Retry-After": "3"}, notTaken=2)
    answer = problem.response()
    assert (answer.status_code, answer.media_type) == (429, "application/problem+json")
    assert answer.headers["retry-after"] == "3"
    assert json.loads(bytes(answer.body)) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "come again",
        "notTaken": 2,
    }


def test_errors_are_told_by_field_and_without_values() -> None:
    (one,) = errors({"limits": {"cpu": "hunter2"}})
    assert one["field"] == "limits.cpu"
    assert "hunter2" not in json.dumps(one)
    (whole,) = errors("hunter2")
    assert whole["field"] == "body"
    assert "hunter2" not in json.dumps(whole)


def test_neither_a_name_nor_their_number_is_without_bounds() -> None:
    told = errors({"limits": {f"{'k' * 300}{number}": "x" for number in range(80)}})
    assert len(told) == 50
    assert all(len(one["field"]) < 150 for one in told)
