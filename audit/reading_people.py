"""What people sent into a run, what they were asked, and what their signatures are worth."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from audit.history import Event, at, failure
from audit.payloads import Decoder
from audit.signatures import Standing, fitting, word_bytes
from audit.story import Question, Said, Timer, Word

_RESOLVE = "catalogue.resolve"
"""Name of the activity that a run looks its settings up by (`activities/catalogue/lookup.py`)."""

_ASKED = frozenset(
    {"id", "title", "options", "recommended", "default", "kind", "roles", "subject", "two_persons", "asked_at"}
)


def words(events: Sequence[Event], decoder: Decoder, workflow_id: str, run_ids: Collection[str]) -> list[Word]:
    """Give every update that a run has taken.

    A word is signed for one run. `run_ids` are those that the history was of: its own, the one it was reset from, and
    the first of its chain, for which words were signed that carry no number used once.
    """
    ends = {
        event.text("meta", "updateId"): event for event in events if event.kind == "WORKFLOW_EXECUTION_UPDATE_COMPLETED"
    }
    keys = list(_pinned_keys(events, decoder))
    found = []
    for event in events:
        if event.kind != "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
            continue
        update = event.text("acceptedRequest", "input", "name")
        payloads = event.payloads("acceptedRequest", "input", "args")
        unread = decoder.unreadable
        body = decoder.read(payloads[0]) if payloads else None
        word = body if isinstance(body, dict) else {}
        standing, key = _standing(update, word, workflow_id, run_ids, keys)
        end = ends.get(event.text("acceptedRequest", "meta", "updateId"))
        found.append(
            Word(
                event_id=event.id,
                at=event.at,
                update=update,
                who=_text(word.get("who")),
                role=_text(word.get("role")),
                fields={name: value for name, value in word.items() if name not in {"who", "role", "signature"}},
                standing="unreadable" if decoder.unreadable > unread else standing,
                key=key,
                outcome=_outcome(end, decoder),
                failed=bool(end and end.fields("outcome", "failure")),
            )
        )
    return found


def _standing(
    update: str, word: dict[str, Any], workflow_id: str, run_ids: Iterable[str], keys: Collection[str]
) -> tuple[Standing, str]:
    signature = word.get("signature")
    if not isinstance(signature, str):
        return "unsigned", ""
    for run_id in run_ids:
        if (key := fitting(signature, word_bytes(update, workflow_id, run_id, word), keys)) is not None:
            return "valid", key
    return "invalid", ""


def _pinned_keys(events: Iterable[Event], decoder: Decoder) -> Iterable[str]:
    """Give the gateways' public keys that the run had pinned by the first thing it did."""
    for payload in _looked_up(list(events)):
        keys = at(_again(decoder, payload), "approvals", "public_keys")
        yield from (key for key in (keys if isinstance(keys, list) else ()) if isinstance(key, str))


def _looked_up(events: Sequence[Event]) -> list[Any]:
    """Give what a run first looked settings up by; runs from before did it by a local activity."""
    # Markers of versions may come before it (`workflow.patched`), and say nothing of keys.
    asked = (one for one in events if one.is_local_activity or one.text("activityType", "name") == _RESOLVE)
    first = next(asked, None)
    if first is None or first.is_local_activity:
        return list(first.payloads("details", "result")) if first else []
    ended = (one for one in events if one.kind == "ACTIVITY_TASK_COMPLETED")
    answer = next((one for one in ended if one.number("scheduledEventId") == first.id), None)
    return list(answer.payloads("result")) if answer else []


def _again(decoder: Decoder, payload: Any) -> Any:
    """Read what is read, and counted where it can't be, as a step already."""
    counted = decoder.unreadable
    value = decoder.read(payload)
    decoder.unreadable = counted
    return value


def _outcome(end: Event | None, decoder: Decoder) -> str:
    if end is None:
        return ""
    why = failure(end.fields("outcome", "failure"), decoder)
    if why:
        return why
    answer = next((decoder.read(payload) for payload in end.payloads("outcome", "success")), None)
    if isinstance(answer, dict):
        return ", ".join(f"{name}: {value}" for name, value in answer.items() if isinstance(value, str) and value)
    return "" if answer is None else str(answer)


def questions(
    asked: Iterable[Any],
    taken: Sequence[Word],
    timers: Sequence[Timer],
    said: Sequence[Said],
    ended_at: datetime | None,
) -> list[Question]:
    """Give every question with how it ended: a person's answer, or what the run said instead."""
    return [question for body in asked if (question := _question(body, taken, timers, said, ended_at)) is not None]


def _question(
    body: Any, taken: Sequence[Word], timers: Sequence[Timer], said: Sequence[Said], ended_at: datetime | None
) -> Question | None:
    if not isinstance(body, dict):
        return None
    try:
        question = Question.model_validate({name: body[name] for name in _ASKED if name in body})
    except ValidationError:
        return None
    escalated = next((t.fired_at for t in timers if t.kind == "escalation" and t.name == question.id), None)
    return question.model_copy(update={"escalated_at": escalated, **_answer(question, taken, said, ended_at)})


def _answer(
    question: Question, taken: Sequence[Word], said: Sequence[Said], ended_at: datetime | None
) -> dict[str, Any]:
    first: Word | None = None
    for word in taken:
        if word.update != "decide" or word.failed or word.fields.get("question") != question.id:
            continue
        choice = _text(word.fields.get("choice"))
        by = f"{word.who} ({word.role})"
        if question.two_persons and choice != question.default:
            if first is None or first.fields.get("choice") != choice:
                first = word
                continue
            by = f"{first.who} ({first.role}) and {by}"
        return {"answered_at": word.at, "choice": choice, "by": by, "reason": _text(word.fields.get("reason"))}
    # Nobody answered: the run said so itself, `mitigation-1: rollback (no answer)`.
    told = f"{question.id}: "
    for line in said:
        if line.kind == "decision" and not line.who and line.at >= question.asked_at and line.text.startswith(told):
            choice, _, by = line.text.removeprefix(told).removesuffix(")").rpartition(" (")
            return {"answered_at": line.at, "choice": choice, "by": by}
    return {"answered_at": None, "by": "the run ended" if ended_at else ""}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
