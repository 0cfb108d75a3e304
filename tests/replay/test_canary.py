"""One set of text that is up to no good, fed through every procedure; every way out that people read is looked at.

The recorded runs are taken up again with that text in whatever people, alerts and systems had said: replay compares
what a run does, not what it says. What it would say now is caught on its way out, and then goes through the very doors
of chat, mail, page, Temporal's UI, terminal and evidence.
"""

import base64
import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from activities.common.effects import Change
from activities.messages.mail.mail import SendMail, compose
from activities.messages.status_page.status_page import (
    LeaveStatusPage,
    StatusPages,
    UpdateMaintenance,
    UpdateStatusPage,
)
from audit import postmortem
from audit.payloads import Decoder
from audit.reading import read
from audit.render import show, show_terminal
from audit.render.chapters import Told
from starters.cli import people
from starters.cli.view import timeline_table
from tests.replay.guard import HISTORIES
from workers.converter import DATA_CONVERTER
from workers.interceptors import RunbookInterceptor
from workers.registry import PROCEDURES, procedure
from workers.runner import runner
from workflows.platform.run_status import RunStatus

CANARY = (
    "<!channel> <https://evil.example|ok> <script>x()</script> [c](http://evil.example) `cnry` \x1b[31mr \u202eb\u2066"
)
"""In every door's language: a mention, a disguised link, markup, colours of a terminal, text that runs backwards."""

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
SAID_BY_PEOPLE = {
    "reason",
    "root_cause",
    "resolution",
    "impact",
    "change_log",
    "why",
    "description",
    "problem",
    "summary",
    "text",
    "commander",
    "requested_by",
    "csm",
    "se",
    "note",
}
"""Fields of requests, words and alerts that hold free text, and decide nothing."""

READ_FROM_SYSTEMS = {"summary", "text", "change_cause", "deployer", "note", "link", "breach", "detail", "author"}
"""The same of what activities have answered; the reasons that systems give do decide."""


def poisoned(value: Any, fields: set[str], name: str = "") -> Any:
    """Put the canary wherever somebody had said something."""
    if isinstance(value, dict):
        values = {key: poisoned(one, fields, key) for key, one in value.items()}
        if {"fingerprint", "annotations"} <= values.keys():
            values |= {"name": CANARY, "labels": {**value.get("labels", {}), "canary": CANARY}}
            values["annotations"] = {"summary": CANARY, "runbook_url": f"http://x/> {CANARY}"}
        return values
    if isinstance(value, list):
        return [poisoned(one, fields, name) for one in value]
    return CANARY if isinstance(value, str) and value and name in fields else value


def payloads(event: Any) -> Iterator[dict[str, Any]]:
    if isinstance(event, dict):
        if "metadata" in event and "data" in event:
            yield event
        else:
            for one in event.values():
                yield from payloads(one)
    elif isinstance(event, list):
        for one in event:
            yield from payloads(one)


def told_by_canaries(file: Path) -> dict[str, Any]:
    history: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for number, event in enumerate(history["events"]):
        for held in payloads(event):
            with contextlib.suppress(ValueError):
                fields = READ_FROM_SYSTEMS if "COMPLETED" in event["eventType"] else SAID_BY_PEOPLE
                value = poisoned(json.loads(base64.b64decode(held["data"])), fields)
                if number == 0 and isinstance(value, dict):
                    value |= {"requested_by": CANARY} | ({"title": CANARY} if value.get("title") else {})
                held["data"] = base64.b64encode(json.dumps(value).encode()).decode()
    return history


@dataclass
class Heard:
    """What a run says."""

    requests: list[tuple[str, Any]] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    status: RunStatus | None = None


def listening(heard: Heard) -> Interceptor:
    class Outbound(WorkflowOutboundInterceptor):
        def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
            heard.requests += [(input.activity, one) for one in input.args]
            return super().start_activity(input)

    class Inbound(WorkflowInboundInterceptor):
        def init(self, outbound: WorkflowOutboundInterceptor) -> None:
            super().init(Outbound(outbound))

        async def execute_workflow(self, input: Any) -> Any:
            try:
                return await super().execute_workflow(input)
            finally:
                heard.status = workflow.instance().status()

    class Listening(Interceptor):
        def workflow_interceptor_class(
            self, _: WorkflowInterceptorClassInput
        ) -> type[WorkflowInboundInterceptor] | None:
            return Inbound

    return Listening()


def fullest(name: str) -> Path:
    """Give the procedure's recorded run in which most happened."""
    return max(HISTORIES.glob(f"{name}-*.json"), key=lambda file: file.stat().st_size)


async def run_again(name: str, workflow_id: str, history: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    real = workflow.set_current_details

    def details(text: str) -> None:
        heard.details.append(text)
        real(text)

    monkeypatch.setattr(workflow, "set_current_details", details)
    replayer = Replayer(
        workflows=[procedure(name).workflow],
        data_converter=DATA_CONVERTER,
        workflow_runner=runner(sandbox=False),
        interceptors=[RunbookInterceptor(), listening(heard)],
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(workflow_id, json.dumps(history)))
    return heard


def said_in_chat(text: str) -> None:
    assert not re.search("<(?![@#!]?[A-Z0-9]+>)", text), text
    assert "<!channel>" not in text
    assert not OBEYED.search(text), text


def said_in_markdown(text: str) -> None:
    assert not re.search(r"<script|<https|(?<!\\)\[c\]|(?<!\\)`cnry", text), text
    assert not OBEYED.search(text.replace("\n", " ")), text


class Page:
    """A status page that only remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def update(self, request: UpdateStatusPage) -> Change:
        return self._take(request)

    def maintenance(self, request: UpdateMaintenance) -> Change:
        return self._take(request)

    def leave(self, request: LeaveStatusPage) -> Change:
        raise AssertionError(f"no run says a last word by itself: {request}")

    def _take(self, request: UpdateStatusPage | UpdateMaintenance) -> Change:
        self.said += [request.title, request.message]
        return Change(target="page", after=request.status, applied=True)


def published(request: UpdateMaintenance) -> str:
    page = Page()
    StatusPages(page).maintenance(request)
    return " ".join(page.said)


def mailed(request: SendMail) -> None:
    message = compose(request, "Ops <ops@tensafe.example>", "http://127.0.0.1:1/once" if request.handover_id else None)
    html = message.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()
    assert not OBEYED.search(str(message["Subject"]))
    assert not OBEYED.search(html.get_content().replace("\n", " "))


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
async def test_a_canary_that_anybody_says_harms_nobody_who_reads(entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = fullest(entry.name)
    history = told_by_canaries(file)
    heard = await run_again(entry.name, file.stem, history, monkeypatch)

    assert "evil.example" in f"{heard.details} {heard.requests}", "the canary never sang"
    for text in heard.details:
        said_in_markdown(text)
    for activity, request in heard.requests:
        if activity in {"slack.post", "slack.schedule"}:
            said_in_chat(request.text)
        if activity == "statuspage.update":
            assert "evil.example" not in request.title + request.message, "what alerts and people say stays inside"
        if activity == "statuspage.maintenance":  # what a person announces is for customers
            assert not OBEYED.search(published(request).replace("\n", " "))
        if activity == "mail.send":
            mailed(request)
    assert heard.status is not None
    with contextlib.redirect_stdout(io.StringIO()) as terminal:
        people.console.print(timeline_table(heard.status))
    assert not OBEYED.search(terminal.getvalue())


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_so_does_its_evidence(entry: Any) -> None:
    history = told_by_canaries(fullest(entry.name))
    story = read(history, namespace="default", workflow_id="w", run_id="r", decoder=Decoder())
    told = [Told(story=story)]
    html = show.html(told, LATER)
    assert "evil.example" in html
    assert not re.search(r"<script>x|<https", html)
    assert not OBEYED.search(html.replace("\t", " "))
    said_in_markdown(show.markdown(told, LATER))
    material = postmortem.Material("INC-1", [story])
    said_in_markdown("\n".join(section.text for section in postmortem.sections(material)))
    with contextlib.redirect_stdout(io.StringIO()) as terminal:
        people.console.print(show_terminal.render(told, LATER))
    assert not OBEYED.search(terminal.getvalue())
