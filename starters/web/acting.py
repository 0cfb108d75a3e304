"""What people do on the page: answer, say a word, start a procedure with its plan first.

Everything goes the way of the command line: the same signed words, and it is the run that says whether they count.
"""

import asyncio
import hashlib
import json
import re
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from audit.text import shown
from starters.http.problems import Problem
from starters.steering import runs
from starters.steering.answering import answer, decided, meant
from starters.steering.catalogue import new_workflow_id
from starters.steering.errors import NoSuchRun, Over, WrongInput
from starters.steering.inputs import check_service, validated
from starters.steering.planning import changes, planned
from starters.steering.runs import Run
from starters.steering.starting import begin
from starters.steering.wording import words_of
from starters.steering.words import send
from starters.web import forms
from starters.web.guarding import form
from starters.web.live import Hub
from starters.web.pages import SIGNED, left_out
from starters.web.place import Place, not_there, part, run_path
from starters.web.visitor import Visitor
from workers.registry import Procedure, procedure
from workers.settings import explain

if TYPE_CHECKING:
    from workflows.platform.approval import Answer

_PLAN_COUNTS = timedelta(minutes=15)
_ORIGIN = "the operators' page"
_WITHIN = 8.0
_PRESS = re.compile(r"[0-9a-f]{32}")
"""What `page.js` numbers a press with."""


class Acting:
    """The routes."""

    def __init__(self, place: Place, hub: Hub) -> None:
        self._place, self._hub = place, hub

    def routes(self) -> list[Route]:
        """Give them."""
        return [
            Route("/answer", self._answer, methods=["POST"]),
            Route("/say", self._say, methods=["POST"]),
            Route("/cancel", self._cancel, methods=["POST"]),
            Route("/plan/{command}", self._plan, methods=["POST"]),
            Route("/start/{command}", self._start, methods=["POST"]),
        ]

    async def _sent(self, request: Request) -> tuple[Visitor, list[tuple[str, str]]]:
        visitor = self._place.visitor(request)
        sent = await form(request, self._place.tokens, visitor, self._place.base_url)
        if not visitor.roles:
            raise Problem(HTTPStatus.FORBIDDEN, f"{visitor.who} has no role here: [web] people or groups gives one")
        return visitor, sent

    async def _run(self, sent: dict[str, str]) -> Run:
        """Find exactly the run that was shown, and no later one of its name."""
        async with asyncio.timeout(_WITHIN):
            found = await runs.describe(self._place.session, sent.get("workflow_id", ""), sent.get("run_id") or None)
        if found is None:
            raise NoSuchRun("Temporal no longer has this run: nothing was sent")
        return found

    async def _answer(self, request: Request) -> Response:
        visitor, sent = await self._sent(request)
        given = dict(sent)
        run = await self._run(given)
        question, choice = given.get("question", ""), given.get("choice", "")
        if not run.running:
            told = await runs.told(run)
            before = decided(told, question) if told else ""
            raise Over(f"the run is {run.state}: nothing was sent{f'. {before}' if before else ''}")
        one = meant(await runs.status_of(run), question, choice)
        if given.get("subject") != one.subject:
            raise WrongInput("the question has changed meanwhile: read it again, then answer")
        speaker = visitor.speaking(one.roles, given.get("role", ""))
        said: Answer = await answer(
            self._place.session, run, one, choice=choice, reason=given.get("reason", "").strip(), by=speaker
        )
        self._hub.poke(run)
        how = f"said by {said.by}; it needs {said.needs}" if said.needs else f"decided by {said.by}"
        return _said(f"{one.id}: {said.choice}, {how}")

    async def _say(self, request: Request) -> Response:
        visitor, sent = await self._sent(request)
        given = dict(sent)
        run = await self._run(given)
        word = words_of(_procedure(run.description.workflow_type)).get(given.get("word", ""))
        if word is None:
            raise WrongInput("this run knows no such word")
        speaker = visitor.speaking((), given.get("role", ""))
        values = forms.read(
            word.kind, [(name[2:], text) for name, text in sent if name.startswith("f.")], leave_out=SIGNED
        )
        try:
            said = word.kind.model_validate(
                {**values, "who": speaker.who, "role": speaker.role, **_number(given, visitor)}
            )
        except ValidationError as error:
            raise WrongInput(explain(error)) from None
        answered = await send(self._place.session, run, said, word.answers)
        self._hub.poke(run)
        return _said(
            answered if isinstance(answered, str) else f"{word.name}: taken, by {speaker.who} ({speaker.role})"
        )

    async def _cancel(self, request: Request) -> Response:
        visitor, sent = await self._sent(request)
        given = dict(sent)
        reason = shown(given.get("reason", "").strip()[:500])
        if not reason:
            raise WrongInput("reason: a run is stopped only with one")
        run = await self._run(given)
        if not run.running:
            raise Over(f"the run is {run.state}: nothing was sent")
        speaker = visitor.speaking((), given.get("role", ""))
        await run.handle.cancel(reason=f"{speaker.who} ({speaker.role}): {reason}")
        self._hub.poke(run)
        return _said("asked to stop; what it has paused is put back first")

    # -- starting: the plan, then the start of exactly what was planned -----------------------------------------

    async def _plan(self, request: Request) -> Response:
        visitor, sent = await self._sent(request)
        wanted = _procedure(request.path_params["command"])
        given = forms.read(wanted.request, _filled(sent), leave_out=left_out(wanted))
        speaker = visitor.speaking((), dict(sent).get("role", ""))
        asked = validated(wanted, {"requested_by": f"{speaker.who} ({speaker.role})", **given})
        check_service(wanted, asked, self._place.session.settings)
        status = await planned(self._place.session, wanted, asked, speaker, origin=_ORIGIN)
        text = json.dumps(asked.model_dump(mode="json", exclude_unset=True), sort_keys=True)
        token = self._place.tokens.sign(
            "plan",
            _PLAN_COUNTS,
            sub=visitor.who,
            command=wanted.command,
            digest=_digest(text),
            role=speaker.role,
            run=new_workflow_id(wanted),
        )
        return HTMLResponse(
            part(
                "_plan.html.j2",
                procedure=wanted,
                status=status,
                changes=changes(status),
                text=text,
                token=token,
                speaker=speaker,
            ).html
        )

    async def _start(self, request: Request) -> Response:
        visitor, sent = await self._sent(request)
        given, wanted = dict(sent), _procedure(request.path_params["command"])
        text = given.get("request", "")
        plan = self._place.tokens.read("plan", given.get("plan", ""))
        fits = plan is not None and (plan["sub"], plan["command"], plan["digest"]) == (
            visitor.who,
            wanted.command,
            _digest(text),
        )
        if plan is None or not fits:
            raise WrongInput("the plan is older than a quarter of an hour, or of something else: look at it again")
        asked: BaseModel = validated(wanted, json.loads(text))
        speaker = visitor.speaking((), str(plan["role"]))
        # The plan's own ID: pressing twice starts one run. A procedure that a service has one run of gets that one's.
        its_own = None if wanted.one_a_service else str(plan["run"])
        begun = await begin(self._place.session, wanted, asked, by=speaker, origin=_ORIGIN, workflow_id=its_own)
        where = run_path(begun.workflow_id, begun.run_id)
        if "hx-request" in request.headers:
            return Response(headers={"HX-Redirect": where})
        return Response(status_code=HTTPStatus.SEE_OTHER, headers={"Location": where})


def refused(text: str, status: int) -> Response:
    """Say in a form's place why nothing was done."""
    return HTMLResponse(part("_said.html.j2", text=text, kind="bad").html, status)


def _said(text: str) -> Response:
    return HTMLResponse(part("_said.html.j2", text=text, kind="good").html)


def _procedure(name: str) -> Procedure:
    try:
        return procedure(name)
    except KeyError:
        not_there("the runbook has no such procedure")


def _filled(sent: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Give what was filled in: the fields of a model begin with `f.`, so that none can be one of the page's own."""
    return [(name[2:], text) for name, text in sent if name.startswith("f.")]


def _number(sent: dict[str, str], visitor: Visitor) -> dict[str, str]:
    """Give a word the number of its press, as a field of it.

    A browser sends the same press again where it had no answer: this process may have been killed after Temporal had
    the word. It is a number of this person's alone, so that nobody takes another's.
    """
    if not _PRESS.fullmatch(press := sent.get("press", "")):
        return {}
    named = [visitor.who, sent.get("workflow_id"), sent.get("run_id"), sent.get("word"), press]
    return {"nonce": _digest(json.dumps(named))[:32]}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
