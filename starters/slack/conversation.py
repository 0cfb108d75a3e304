"""What Slack sends, whichever way it comes, and what it is answered: `/runbook`, buttons and modals.

Each is answered within three seconds. What takes longer is told through the `response_url` that came with it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import ValidationError
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.webhook.async_client import AsyncWebhookClient
from temporalio.service import RPCError

from activities.common.errors import ActivityFailure
from activities.messages.chat.slack_calls import SlackCalls
from starters.slack import forms, head, limits, offers, presses
from starters.slack.limits import Block, mrkdwn
from starters.slack.people import People, Someone
from starters.slack.presses import Begun, Press
from starters.slack.speaking import Speaker
from starters.steering import runs
from starters.steering.ending import ending_of
from starters.steering.errors import NoSuchRun, SteeringError, WrongInput
from starters.steering.finding import find
from starters.steering.inputs import check_service, validated
from starters.steering.listing import Listed, Wanted, listed
from starters.steering.session import Session
from starters.steering.starting import begin
from workers.registry import PROCEDURES, Procedure, procedure
from workers.settings import SettingsError
from workflows.platform.approval import Decision
from workflows.platform.signing import SignedWord

WITHIN = 2.4
"""Seconds from when it came until Slack is answered; Slack waits for 3."""

_SHOWN = 20
_TOLD_TRIES = 3
"""How often an answer that follows is sent again, each time after as long as Slack has asked for."""

_CONFIDENTIAL = "SecurityIncident"
_START, _WORD, _CHOSEN = "start", "word", "chosen"
_HELP = (
    "`/runbook list` — what is open, and what waits for whom\n"
    "`/runbook start PROCEDURE` — start one\n"
    "`/runbook status RUN` — where it stands, with its buttons\n"
    "`/runbook take-over RUN REASON` — you do it by hand; the run watches and reminds"
)
_log = structlog.get_logger(__name__)
Answer = dict[str, Any]


@dataclass(frozen=True)
class _From:
    """Where something comes from, and where its later answer goes."""

    someone: Someone
    response_url: str
    trigger_id: str


class Conversation:
    """Answers one workspace."""

    def __init__(self, session: Session, people: People, calls: SlackCalls, speaker: Speaker) -> None:
        self._session = session
        self._people = people
        self._calls = calls
        self._speaker = speaker
        self._later: set[asyncio.Task[Any]] = set()
        base = urlsplit(session.settings.slack.base_url)
        self._origins = {("https", "hooks.slack.com"), (base.scheme, base.netloc)}

    async def command(self, given: dict[str, Any]) -> Answer:
        """Answer `/runbook …`; only whoever typed it sees the answer."""
        user = {"id": given.get("user_id")}
        return await self._answered(
            self._command(str(given.get("text") or ""), given, user), str(given.get("response_url") or ""), _whisper
        )

    async def interaction(self, payload: dict[str, Any]) -> Answer:
        """Answer a button, a menu, or a modal that was sent."""
        url = str(payload.get("response_url") or "")
        if payload.get("type") == "view_submission":
            return await self._submitted(payload)
        if payload.get("type") == "block_actions":
            told = await self._answered(self._pressed(payload), url, _whisper)
            if told:  # a press can't be answered with words: they follow it
                self._tell(url, told)
        return {}

    async def settle(self, within: float) -> None:
        """End what is still being told and sent: this process ends."""
        await self._speaker.settle(within)
        if self._later:
            await asyncio.wait(self._later, timeout=within)

    async def _answered(
        self, work: Awaitable[Answer], url: str, refusal: Callable[[str], Answer], late: Answer | None = None
    ) -> Answer:
        """Give its answer in time; else `late`, and its answer follows where there is an address for it."""
        task = asyncio.ensure_future(self._explained(work, refusal))
        done, _ = await asyncio.wait({task}, timeout=WITHIN)
        if done:
            return task.result()
        self._keep(asyncio.create_task(self._follow(task, url)))
        return late or {}

    async def _explained(self, work: Awaitable[Answer], refusal: Callable[[str], Answer]) -> Answer:
        """Give its answer; what goes wrong is a sentence."""
        try:
            return await work
        except forms.NotFit as error:
            return {"response_action": "errors", "errors": error.errors}
        except (SteeringError, SettingsError, limits.TooLong) as error:
            return refusal(str(error))
        except ActivityFailure as error:
            return refusal(f"Slack: {error.message}")
        except (RPCError, RuntimeError) as error:
            _log.warning("temporal doesn't answer", why=str(error)[:200])
            return refusal("Temporal does not answer: nothing was sent. Try again in a moment.")
        except Exception:  # noqa: BLE001  Slack would call it a time-out, and send it again
            _log.exception("what slack sent could not be answered")
            return refusal("This failed here, and may not have been sent: look at the run. Our log says why.")

    async def _follow(self, task: "asyncio.Future[Answer]", url: str) -> None:
        if told := await task:
            await self._post(url, told)

    # -- /runbook ----------------------------------------------------------------------------------------

    async def _command(self, text: str, given: dict[str, Any], user: dict[str, Any]) -> Answer:
        someone = await self._people.known(user, str(given.get("team_id") or ""))
        where = _From(someone, str(given.get("response_url") or ""), str(given.get("trigger_id") or ""))
        verb, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if verb == "list":
            return await self._list(someone)
        if verb == "start":
            return await self._start(rest, where)
        if verb == "status" and rest:
            return await self._status(rest, someone)
        if verb == "take-over" and rest:
            return await self._take_over(rest, where)
        return _whisper(_HELP, ours=True)

    async def _list(self, someone: Someone) -> Answer:
        rows = await listed(self._session, Wanted(limit=100))
        seen = [row for row in rows if self._may_see(someone, _type_of(row.procedure))]
        blocks = [limits.section("*Open runs*" if seen else "Nothing is open.")]
        blocks += [_row(row) for row in seen[:_SHOWN]]
        if len(seen) > _SHOWN:
            blocks.append(limits.context(f"and {len(seen) - _SHOWN} more: `runbooks list`"))
        return {"response_type": "ephemeral", "text": f"{len(seen)} open", "blocks": limits.message(blocks)}

    async def _start(self, name: str, where: _From) -> Answer:
        if not name:
            names = [f"{one.command}: {one.title}" for one in PROCEDURES]
            choose = {"type": "actions", "elements": [limits.menu(names, _CHOSEN)]}
            return {
                "response_type": "ephemeral",
                "text": "Which one?",
                "blocks": [limits.section("Which one?"), choose],
            }
        await self._open_start(_procedure(name), where.trigger_id)
        return {}

    async def _open_start(self, wanted: Procedure, trigger: str) -> None:
        services = [*self._session.settings.services]
        blocks = [
            limits.section(f"*{mrkdwn(wanted.title, 200)}* ({wanted.section})"),
            *forms.inputs(wanted.request, given={}, services=services),
        ]
        await self._open(
            trigger, limits.view(wanted.title, blocks, callback=_START, data=wanted.command, submit="Start")
        )

    async def _status(self, reference: str, someone: Someone) -> Answer:
        run = await find(self._session, reference)
        if not self._may_see(someone, run.description.workflow_type):
            raise NoSuchRun(f"no run {reference!r}")
        status = await runs.status_of(run)
        ending = None if run.running else await ending_of(run, status)
        said = head.head((run.workflow_id, run.description.run_id), status, run.link, ending)
        return {"response_type": "ephemeral", "text": said.text, "blocks": said.blocks}

    async def _take_over(self, text: str, where: _From) -> Answer:
        reference, _, reason = text.partition(" ")
        run = await find(self._session, reference)
        # Its number is that of the command: what is sent again is not said again, whatever has happened meanwhile.
        press = Press(w=run.workflow_id, r=run.description.run_id, u="take-over", t=where.trigger_id)
        return await self._said(press, where, {"reason": reason.strip()})

    def _may_see(self, someone: Someone, workflow_type: str) -> bool:
        """Tell whether somebody may read of a run here: a security incident is its investigators' alone."""
        if workflow_type != _CONFIDENTIAL:
            return True
        return bool({*someone.roles} & {*self._session.settings.approvals.roles.get("contain", ())})

    # -- buttons and modals ------------------------------------------------------------------------------

    async def _pressed(self, payload: dict[str, Any]) -> Answer:
        user, team = payload.get("user") or {}, str((payload.get("team") or {}).get("id") or "")
        someone = await self._people.known(user, team)
        where = _From(someone, str(payload.get("response_url") or ""), str(payload.get("trigger_id") or ""))
        for action in payload.get("actions") or []:
            kind, _, _ = str(action.get("action_id") or "").partition(":")
            if kind == _CHOSEN:
                number = str((action.get("selected_option") or {}).get("value") or "")
                if not number.isascii() or not number.isdecimal() or int(number) >= len(PROCEDURES):
                    raise WrongInput("this menu is of another version: use `/runbook start` for a new one")
                await self._open_start(PROCEDURES[int(number)], where.trigger_id)
            elif kind == "status":
                return await self._status(str(action.get("value") or ""), someone)
            elif kind == offers.SAY:
                return await self._said(presses.read(str(action.get("value") or "")), where, {})
            elif kind == offers.ASK:
                await self._ask(presses.read(str(action.get("value") or "")), where)
        return {}

    async def _said(self, press: Press, where: _From, fields: dict[str, Any]) -> Answer:
        async def later(told: str) -> None:
            await self._post(where.response_url, _whisper(told))

        told = await self._speaker.say(press, where.someone, fields, WITHIN - 0.3, later)
        return _whisper(told) if told else {}

    async def _ask(self, press: Press, where: _From) -> None:
        """Open a modal for what a word still lacks."""
        asked = await self._speaker.look(press)
        model = offers.word_of(asked.run.description.workflow_type, press.update)
        if model is None:
            raise WrongInput("this button is of another version: use `/runbook status` for new ones")
        need = ["reason"] if press.update == Decision.UPDATE else offers.lacking(model, press.fields)
        blocks = forms.inputs(model, given=press.fields)
        for block in blocks:
            block["optional"] = block["optional"] and block["block_id"] not in need
        data = Begun(press=press, response_url=where.response_url, need=need).model_dump_json(by_alias=True)
        title = str(press.fields.get("choice") or press.update).replace("_", " ").replace("-", " ").capitalize()
        await self._open(where.trigger_id, limits.view(title, blocks, callback=_WORD, data=data, submit="Say it"))

    async def _submitted(self, payload: dict[str, Any]) -> Answer:
        """Start what a modal says, or say its word; what is wrong stands at its input, and the modal stays."""
        view = payload.get("view") or {}
        values = (view.get("state") or {}).get("values") or {}
        inputs = [str(block.get("block_id")) for block in view.get("blocks") or [] if block.get("type") == "input"]

        def refusal(sentence: str) -> Answer:
            place = inputs[0] if inputs else "value"
            return {"response_action": "errors", "errors": {place: limits.cut(sentence, 300)}}

        user, team = payload.get("user") or {}, str((payload.get("team") or {}).get("id") or "")
        work = self._begun if view.get("callback_id") == _START else self._typed
        return await self._answered(work(user, team, view, values, inputs), "", refusal, late=_LATE)

    async def _begun(
        self, user: dict[str, Any], team: str, view: dict[str, Any], values: dict[str, Any], inputs: list[str]
    ) -> Answer:
        someone = await self._people.known(user, team)
        wanted = _procedure(str(view.get("private_metadata") or ""))
        services = [*self._session.settings.services]
        given = forms.filled(wanted.request, values, services)
        speaker = someone.first
        given["requested_by"] = f"{speaker.who} ({speaker.role})"
        try:
            wanted.request.model_validate(given)
        except ValidationError as error:
            raise forms.NotFit(forms.explained(error, inputs)) from None
        request = validated(wanted, given)
        check_service(wanted, request, self._session.settings)
        key = f"slack/{re.sub(r'[^A-Za-z0-9]', '', str(view.get('id') or ''))}"
        own = None if wanted.one_a_service and not given.get("dry_run") else f"{wanted.command}/{key}"
        begun = await begin(self._session, wanted, request, by=speaker, origin="Slack", workflow_id=own, key=key)
        _log.info("started", procedure=wanted.command, run=begun.workflow_id, who=speaker.who)
        text = (
            f":arrow_forward: `{mrkdwn(begun.workflow_id, 300)}` has begun. Its thread opens in the service's channel."
        )
        shown = [limits.section(text), limits.context(f"<{begun.link}|Temporal UI>")]
        return _said_in_modal("Started", shown)

    async def _typed(
        self, user: dict[str, Any], team: str, view: dict[str, Any], values: dict[str, Any], inputs: list[str]
    ) -> Answer:
        someone = await self._people.known(user, team)
        try:
            begun = Begun.model_validate_json(str(view.get("private_metadata") or ""))
        except ValidationError:
            raise WrongInput("this modal is of another version: press the button again") from None
        press = begun.press
        asked = await self._speaker.look(press)
        model = offers.word_of(asked.run.description.workflow_type, press.update) or SignedWord
        fields = forms.filled(model, values)
        if missing := [name for name in begun.need if not fields.get(name)]:
            raise forms.NotFit(dict.fromkeys(missing, "has to be said"))
        try:
            model.model_validate({**press.fields, **fields, "who": "x", "role": "x"})
        except ValidationError as error:
            raise forms.NotFit(forms.explained(error, inputs)) from None
        told = await self._said(press, _From(someone, begun.response_url, ""), fields)
        if told:
            self._tell(begun.response_url, told)
        return {}

    async def _open(self, trigger: str, view: dict[str, Any]) -> None:
        await asyncio.to_thread(self._calls.once, "views.open", (), trigger_id=trigger, view=view)

    # -- answers that follow -----------------------------------------------------------------------------

    def _tell(self, url: str, answer: Answer) -> None:
        self._keep(asyncio.create_task(self._post(url, answer)))

    async def _post(self, url: str, answer: Answer) -> None:
        """Post to where Slack has said; only Slack's own address is taken."""
        place = urlsplit(url)
        if (place.scheme, place.netloc) not in self._origins:
            _log.info("nowhere to tell it", told=str(answer.get("text", ""))[:200])
            return
        body = {"response_type": "ephemeral", "replace_original": False, **answer}
        client = AsyncWebhookClient(url, timeout=10, retry_handlers=[AsyncRateLimitErrorRetryHandler(_TOLD_TRIES)])
        try:
            answered = await client.send_dict(body)
        except (OSError, SlackClientError, TimeoutError) as error:
            _log.warning("an answer could not be told", why=type(error).__name__)
            return
        if answered.status_code != HTTPStatus.OK:
            _log.warning("an answer could not be told", status=answered.status_code)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._later.add(task)
        task.add_done_callback(self._later.discard)


def _whisper(text: str, *, ours: bool = False) -> Answer:
    """Say something to one person."""
    told = text if ours else mrkdwn(text)
    return {"response_type": "ephemeral", "text": limits.cut(told, limits.TEXT), "blocks": [limits.section(told)]}


def _said_in_modal(title: str, blocks: list[Block]) -> Answer:
    view = {"type": "modal", "title": limits.plain(title, limits.VIEW_TITLE), "blocks": blocks}
    return {"response_action": "update", "view": view}


_LATE = _said_in_modal(
    "Not known yet",
    [
        limits.section(
            "Temporal has not answered in time. `/runbook list` says what is open: look before you try again."
        )
    ],
)


def _row(row: Listed) -> Block:
    waits = f" · waits for *{mrkdwn(row.waiting_for, 200)}*" if row.waiting_for else ""
    facts = " · ".join(filter(None, (row.severity, row.service, row.phase)))
    block = limits.section(f"*{mrkdwn(row.title or row.procedure, 300)}*\n{mrkdwn(facts, 500)}{waits}")
    reference = f"{row.workflow_id}@{row.run_id}"
    if limits.size(reference) <= limits.VALUE:
        block["accessory"] = limits.button("Status", "status", reference)
    return block


def _procedure(name: str) -> Procedure:
    try:
        return procedure(name)
    except KeyError as error:
        raise WrongInput(str(error.args[0])) from None


def _type_of(command: str) -> str:
    return next((one.workflow_type for one in PROCEDURES if one.command == command), "")


def decoded(text: str) -> dict[str, Any]:
    """Read an interaction's payload, which comes as JSON in a form.

    Raises:
        WrongInput: it is none.

    """
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        raise WrongInput("payload: no JSON") from None
    if not isinstance(payload, dict):
        raise WrongInput("payload: no object")
    return payload
