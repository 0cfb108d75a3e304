"""A stand-in of Slack with people in it: the Web API, the socket of Socket Mode, and signed posts.

It delivers as Slack does: it signs posts, waits for an answer, sends an envelope to one socket, and gives nobody two
answers. A button is pressed as it stands in the message, by whoever sees it.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web
from slack_sdk.signature import SignatureVerifier

from tests.activities.contracts.block_kit import faults, faults_of_view
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.contracts.slack import SlackContract

TOKEN, APP_TOKEN, SIGNING_SECRET = "xoxb-for-tests", "xapp-for-tests", "signs-for-tests"
TEAM = "T1"
PATIENCE = 120.0
"""Seconds. Slack has three; a machine on which everything else runs as well is not what a test should fail on."""


class NotAnsweredError(AssertionError):
    """Slack shows whoever pressed that the app did not answer."""


class Workspace:
    """One workspace; `url` is where the app listens, or None where it has a socket."""

    def __init__(self, contract: SlackContract, base: str) -> None:
        self.contract = contract
        self.base = base
        self.url: str | None = None
        self.sockets: list[web.WebSocketResponse] = []
        self.patience = PATIENCE
        self._waiting: dict[str, tuple[web.WebSocketResponse, asyncio.Future[Any]]] = {}
        self._numbers = itertools.count(1)
        self._tickets: set[str] = set()

    # -- delivering --------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Wait until the app has a socket."""
        async with asyncio.timeout(PATIENCE):
            while not self.sockets:
                await asyncio.sleep(0.05)

    async def deliver(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Bring something to the app; gives its answer, which came in time."""
        began = time.monotonic()
        answer = await (self._envelope(kind, payload) if self.url is None else self.post(kind, payload))
        assert time.monotonic() - began < self.patience
        if "blocks" in answer:
            assert not (wrong := faults(answer["blocks"])), wrong
        if "view" in answer:
            assert not (wrong := faults_of_view(answer["view"])), wrong
        return answer

    async def post(self, kind: str, payload: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Post it, signed."""
        given = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        body = urlencode({name: str(value) for name, value in given.items()})
        now = str(int(time.time()))
        signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=now, body=body)
        sent = {
            "X-Slack-Request-Timestamp": now,
            "X-Slack-Signature": str(signature),
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        path = "commands" if kind == "slash_commands" else "interactions"
        limit = aiohttp.ClientTimeout(total=self.patience)
        async with aiohttp.ClientSession(timeout=limit) as http:
            try:
                async with http.post(f"{self.url}/slack/{path}", data=body, headers=sent) as response:
                    text = await response.text()
                    assert response.status == 200, (response.status, text)
            except (TimeoutError, aiohttp.ClientError) as error:
                raise NotAnsweredError(str(error)) from None
        return json.loads(text) if text else {}

    async def _envelope(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        identity = f"envelope-{next(self._numbers)}"
        answer = asyncio.get_running_loop().create_future()
        envelope = {"type": kind, "envelope_id": identity, "payload": payload, "accepts_response_payload": True}
        assert self.sockets, "no socket is open"
        socket = self.sockets[-1]
        self._waiting[identity] = socket, answer
        await socket.send_str(json.dumps(envelope))
        try:
            async with asyncio.timeout(self.patience):
                return dict(await answer)
        except TimeoutError:
            raise NotAnsweredError(identity) from None

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": 1}))
        with suppress(ConnectionError):
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    told = json.loads(message.data)
                    _, waiting = self._waiting.pop(told["envelope_id"])
                    if not waiting.done():
                        waiting.set_result(told.get("payload") or {})
        self.sockets.remove(socket)
        for carried_by, waiting in self._waiting.values():
            if carried_by is socket and not waiting.done():  # nobody answers it any more
                waiting.set_exception(NotAnsweredError("its socket is closed"))
        return socket

    # -- what people do ----------------------------------------------------------------------------------

    def _by(self, **more: Any) -> dict[str, Any]:
        trigger = f"trigger-{next(self._numbers)}"
        self.contract.triggers.add(trigger)
        return {"trigger_id": trigger, "response_url": f"{self.base}/respond/{next(self._numbers)}", **more}

    async def command(self, text: str, user: str = "UADA", team: str = TEAM) -> dict[str, Any]:
        """Type `/runbook …`."""
        return await self.deliver("slash_commands", self.typed(text, user, team))

    def typed(self, text: str, user: str = "UADA", team: str = TEAM) -> dict[str, Any]:
        """Give what Slack sends when `/runbook …` is typed, once or again."""
        return self._by(command="/runbook", text=text, user_id=user, team_id=team)

    def presses(self, blocks: list[Any], label: str, user: str = "UADA", team: str = TEAM) -> dict[str, Any]:
        """Give what Slack sends when the button with that label is pressed, once or again."""
        elements = [one for block in blocks for one in [*block.get("elements", ()), block.get("accessory")] if one]
        buttons = [one for one in elements if one.get("type") == "button"]
        found = [one for one in buttons if one["text"]["text"] == label]
        assert found, (label, [one["text"]["text"] for one in buttons])
        action = {
            "type": "button",
            "action_id": found[0]["action_id"],
            "value": found[0]["value"],
            "action_ts": f"{time.time():.6f}",
        }
        return self._by(type="block_actions", user={"id": user, "team_id": team}, team={"id": team}, actions=[action])

    async def press(self, blocks: list[Any], label: str, user: str = "UADA") -> None:
        await self.deliver("interactive", self.presses(blocks, label, user))

    def submission(self, view: dict[str, Any], user: str = "UADA", **values: Any) -> dict[str, Any]:
        """Give what Slack sends when a modal is filled in and sent; by label what is chosen or typed."""
        state: dict[str, Any] = {}
        for block in view["blocks"]:
            if block["type"] != "input":
                continue
            element, name = block["element"], block["block_id"]
            if element["type"] == "static_select":
                wanted = [one for one in element["options"] if one["text"]["text"] == str(values.get(name))]
                chosen = wanted[0] if wanted else element.get("initial_option")
                state[name] = {"value": {"type": "static_select", "selected_option": chosen}}
            else:
                typed = values.get(name, element.get("initial_value"))
                state[name] = {"value": {"type": element["type"], "value": typed}}
            assert name not in values or state[name]["value"] is not None
        assert {*values} <= {*state}, ({*values} - {*state}, [*state])
        return {
            "type": "view_submission",
            "user": {"id": user, "team_id": TEAM},
            "team": {"id": TEAM},
            "view": {**view, "state": {"values": state}},
        }

    async def submit(self, view: dict[str, Any], user: str = "UADA", **values: Any) -> dict[str, Any]:
        return await self.deliver("interactive", self.submission(view, user, **values))

    async def view(self) -> dict[str, Any]:
        """Wait for the modal that is opened next; gives each once."""
        async with asyncio.timeout(PATIENCE):
            while not self.contract.views:
                await asyncio.sleep(0.05)
        return self.contract.views.pop()

    async def whisper(self, part: str) -> str:
        """Wait until somebody is told something."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [one["text"] for one in self.contract.whispers if part in one["text"]]):
                await asyncio.sleep(0.05)
        return str(found[-1])

    async def head(self, channel: str, *parts: str) -> dict[str, Any]:
        """Wait until a first message of a thread shows all of that; gives the message."""
        seen: list[Any] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    seen = [one for one in self.contract.channels[channel]["messages"] if one.get("blocks")]
                    for message in seen:
                        shown = json.dumps(message["blocks"], ensure_ascii=False)
                        if all(part in shown for part in parts):
                            return dict(message)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError((parts, seen, self.contract.refused, self.contract.calls[-20:])) from None


@asynccontextmanager
async def workspace() -> AsyncIterator[Workspace]:
    contract = SlackContract(TOKEN)
    contract.app_token = APP_TOKEN
    with serving(contract.app, Misbehaviour()) as base:
        made = Workspace(contract, base)
        app = web.Application()
        app.router.add_get("/link", made._link)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        contract.socket_url = f"ws://127.0.0.1:{port}/link"
        try:
            yield made
        finally:
            for socket in [*made.sockets]:
                await socket.close()
            await runner.cleanup()
