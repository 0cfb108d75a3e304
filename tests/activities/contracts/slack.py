"""The part of Slack's Web API that we use, as docs.slack.dev describes it, scopes and membership included."""

import itertools
import json
import math
import re
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.activities.contracts.block_kit import faults, faults_of_view

_SCOPES = {
    "auth.test": set(),
    "conversations.list": {"channels:read", "groups:read"},
    "conversations.join": {"channels:join"},
    "conversations.create": {"channels:manage"},
    "conversations.history": {"channels:history"},
    "conversations.replies": {"channels:history"},
    "chat.postMessage": {"chat:write"},
    "chat.scheduleMessage": {"chat:write"},
    "chat.scheduledMessages.list": set(),
    "chat.update": {"chat:write"},
    "views.open": set(),
    "users.info": {"users:read", "users:read.email"},
    "usergroups.users.list": {"usergroups:read"},
    "apps.connections.open": set(),
    "files.getUploadURLExternal": {"files:write"},
    "files.completeUploadExternal": {"files:write"},
}
ALL_SCOPES = frozenset().union(*_SCOPES.values())
_JSON_ONLY_TEXT = 40_000


class SlackContract:
    """A workspace: `channels` by ID with their messages oldest first, `scheduled`, and `calls` in order."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.scopes = set(ALL_SCOPES)
        self.channels: dict[str, dict[str, Any]] = {}
        self.scheduled: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.page_size = 1000
        self._numbers = itertools.count(1)
        self.files: dict[str, dict[str, Any]] = {}
        self.slow_shares: list[dict[str, Any]] = []
        """Messages of files that appear only when the channel has been read once more: Slack shares when it likes."""
        self.views: list[dict[str, Any]] = []
        self.triggers: set[str] = set()
        """What `views.open` may be called with, each once and for three seconds."""
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {}
        self.app_token = ""
        self.socket_url = ""
        self.refused: list[str] = []
        """Blocks that were refused, and why."""
        self.whispers: list[dict[str, Any]] = []
        """What came to a `response_url`."""
        self.slow_down: dict[str, float] = {}
        """Method → until when it is answered 429; `too_soon` counts the calls before."""
        self.too_soon: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/respond/{number}", self._respond, methods=["POST"]),
                Route("/api/{method}", self._call, methods=["POST", "GET"]),
                Route("/upload/{file}", self._upload, methods=["POST"]),
            ]
        )

    def add_channel(self, name: str, *, member: bool = False, private: bool = False) -> str:
        identity = f"C{next(self._numbers):09d}"
        self.channels[identity] = {
            "id": identity,
            "name": name,
            "is_member": member,
            "is_private": private,
            "is_archived": False,
            "messages": [],
        }
        return identity

    def texts(self, channel: str) -> list[str]:
        return [message["text"] for message in self.channels[channel]["messages"]]

    async def _call(self, request: Request) -> JSONResponse:  # noqa: PLR0911  each way Slack says no
        method = request.path_params["method"]
        self.calls.append(method)
        if (left := self.slow_down.get(method, 0) - time.monotonic()) > 0:
            return self._wait(method, left)
        if method == "apps.connections.open":
            if request.headers.get("authorization") != f"Bearer {self.app_token}" or not self.app_token:
                return _no("invalid_auth")
            return _yes(url=self.socket_url)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _no("invalid_auth")
        if method not in _SCOPES:
            return _no("unknown_method")
        missing = _SCOPES[method] - self.scopes
        if missing:
            return _no("missing_scope", needed=",".join(sorted(missing)), provided=",".join(sorted(self.scopes)))
        if request.headers.get("content-type", "").startswith("application/json"):
            arguments = json.loads(await request.body() or b"{}")
        else:
            arguments = dict(request.query_params) | dict(parse_qsl((await request.body()).decode()))
        arguments["base"] = str(request.base_url)
        name = re.sub(r"([A-Z]+(?![a-z])|[A-Z])", lambda capital: f"_{capital[0].lower()}", method.replace(".", "_"))
        answer: JSONResponse = getattr(self, f"_{name}")(arguments)
        return answer

    def limit(self, method: str, seconds: float) -> None:
        """Answer 429 to a method for so long; it may be called again when that is over."""
        self.slow_down[method] = time.monotonic() + seconds

    def _wait(self, method: str, left: float) -> JSONResponse:
        if f"told {method}" in self.slow_down:
            self.too_soon.append(method)
        self.slow_down[f"told {method}"] = 1.0
        after = {"Retry-After": str(math.ceil(left))}
        return JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers=after)

    async def _respond(self, request: Request) -> Response:
        if (left := self.slow_down.get("respond", 0) - time.monotonic()) > 0:
            return self._wait("respond", left)
        body = await request.json()
        wrong = faults(body["blocks"]) if "blocks" in body else []
        self.refused += wrong
        self.whispers.append(body)
        return PlainTextResponse("no" if wrong else "ok", status_code=400 if wrong else 200)

    def _chat_update(self, arguments: dict[str, Any]) -> JSONResponse:
        channel, no = self._seen(arguments)
        if no is None:
            no = self._bad_blocks(arguments) or _bad_message(arguments)
        if no is not None:
            return no
        found = [one for one in channel["messages"] if one["ts"] == arguments["ts"]]
        if not found:
            return _no("message_not_found")
        # As if an update without it took it away: the page of the method doesn't say.
        found[0].pop("metadata", None)
        found[0].update(
            {
                "text": arguments["text"],
                "blocks": arguments.get("blocks", []),
                "updates": found[0].get("updates", 0) + 1,
            }
        )
        if arguments.get("metadata"):
            found[0]["metadata"] = arguments["metadata"]
        return _yes(channel=channel["id"], ts=arguments["ts"], text=arguments["text"])

    def _bad_blocks(self, arguments: dict[str, Any]) -> JSONResponse | None:
        wrong = faults(arguments["blocks"]) if "blocks" in arguments else []
        self.refused += wrong
        return _no("invalid_blocks") if wrong else None

    def _views_open(self, arguments: dict[str, Any]) -> JSONResponse:
        if arguments["trigger_id"] not in self.triggers:
            return _no("expired_trigger_id")
        self.triggers.remove(arguments["trigger_id"])
        wrong = faults_of_view(arguments["view"])
        self.refused += wrong
        if wrong:
            return _no("invalid_arguments")
        view = {**arguments["view"], "id": f"V{next(self._numbers):09d}"}
        self.views.append(view)
        return _yes(view=view)

    def _users_info(self, arguments: dict[str, Any]) -> JSONResponse:
        user = self.users.get(arguments["user"])
        return _yes(user=user) if user else _no("user_not_found")

    def _usergroups_users_list(self, arguments: dict[str, Any]) -> JSONResponse:
        members = self.groups.get(arguments["usergroup"])
        return _no("no_such_subteam") if members is None else _yes(users=members)

    def _auth_test(self, arguments: dict[str, Any]) -> JSONResponse:
        return _yes(user_id="U1", bot_id="B1", team_id="T1")

    def _conversations_list(self, arguments: dict[str, Any]) -> JSONResponse:
        private = "private_channel" in arguments.get("types", "public_channel")
        found = [
            {key: value for key, value in channel.items() if key != "messages"}
            for channel in self.channels.values()
            if not (channel["is_archived"] and arguments.get("exclude_archived") in {"1", "true"})
            and (not channel["is_private"] or (private and channel["is_member"]))
        ]
        return self._page("channels", found, arguments)

    def _conversations_create(self, arguments: dict[str, Any]) -> JSONResponse:
        name = arguments["name"]
        if not name or name != name.lower() or len(name) > 80 or any(c in name for c in " #.,"):
            return _no("invalid_name_specials")
        if any(channel["name"] == name for channel in self.channels.values()):
            return _no("name_taken")
        return _yes(channel={"id": self.add_channel(name, member=True), "name": name})

    def _conversations_join(self, arguments: dict[str, Any]) -> JSONResponse:
        channel = self.channels.get(arguments["channel"])
        if channel is None or (channel["is_private"] and not channel["is_member"]):
            return _no("channel_not_found")
        if channel["is_private"]:
            return _no("method_not_supported_for_channel_type")
        channel["is_member"] = True
        return _yes(channel={"id": channel["id"]})

    def _conversations_history(self, arguments: dict[str, Any]) -> JSONResponse:
        channel, no = self._seen(arguments)
        if no is not None:
            return no
        top = [m for m in channel["messages"] if m.get("thread_ts", m["ts"]) == m["ts"]]
        for share in [one for one in self.slow_shares if one["channel"] == channel["id"]]:
            channel["messages"].append(share["message"])
            self.slow_shares.remove(share)
        return self._page("messages", self._shown(reversed(top), arguments), arguments)

    def _conversations_replies(self, arguments: dict[str, Any]) -> JSONResponse:
        channel, no = self._seen(arguments)
        if no is not None:
            return no
        thread = [m for m in channel["messages"] if arguments["ts"] in {m["ts"], m.get("thread_ts")}]
        if not thread:
            return _no("thread_not_found")
        return self._page("messages", self._shown(thread, arguments), arguments)

    def _chat_post_message(self, arguments: dict[str, Any]) -> JSONResponse:
        channel, no = self._seen(arguments)
        if no is None:
            no = _bad_message(arguments)
        if no is not None:
            return no
        ts = f"{time.time():.0f}.{next(self._numbers):06d}"
        message = {"type": "message", "ts": ts, "text": _escaped(arguments["text"]), "bot_id": "B1"}
        if arguments.get("metadata"):
            message["metadata"] = arguments["metadata"]
        if arguments.get("thread_ts"):
            message["thread_ts"] = arguments["thread_ts"]
        channel["messages"].append(message)
        return _yes(channel=channel["id"], ts=ts, message=message)

    def _files_get_upload_url_external(self, arguments: dict[str, Any]) -> JSONResponse:
        identity = f"F{next(self._numbers):09d}"
        self.files[identity] = {"length": int(arguments["length"]), "name": arguments["filename"], "content": b""}
        return _yes(upload_url=f"{arguments['base']}upload/{identity}", file_id=identity)

    async def _upload(self, request: Request) -> Response:
        file = self.files[request.path_params["file"]]
        file["content"] = await request.body()
        return PlainTextResponse("OK", status_code=200 if len(file["content"]) == file["length"] else 400)

    def _files_complete_upload_external(self, arguments: dict[str, Any]) -> JSONResponse:
        given = arguments["files"]
        files = json.loads(given) if isinstance(given, str) else given
        channel, no = self._seen({"channel": arguments["channel_id"]})
        if no is not None:
            return no
        ts = f"{time.time():.0f}.{next(self._numbers):06d}"
        message = {
            "type": "message",
            "ts": ts,
            "text": _escaped(arguments["initial_comment"]),
            "bot_id": "B1",
            "files": files,
        }
        if arguments.get("thread_ts"):
            message["thread_ts"] = arguments["thread_ts"]
        self.slow_shares.append({"channel": channel["id"], "message": message})
        return _yes(files=files)

    def _chat_schedule_message(self, arguments: dict[str, Any]) -> JSONResponse:
        channel, no = self._seen(arguments)
        if no is None:
            no = _bad_message(arguments)
        if no is not None:
            return no
        at = int(arguments["post_at"])
        if at < time.time() + 1:
            return _no("time_in_past")
        if at > time.time() + 120 * 86400:
            return _no("time_too_far")
        if arguments.get("metadata"):
            return _no("metadata_would_never_post")  # ours: the documented bug, made loud
        identity = f"Q{next(self._numbers):09d}"
        self.scheduled.append(
            {
                "id": identity,
                "channel_id": channel["id"],
                "post_at": at,
                "date_created": int(time.time()),
                "text": _escaped(arguments["text"]),
            }
        )
        return _yes(channel=channel["id"], scheduled_message_id=identity, post_at=at)

    def _chat_scheduled_messages_list(self, arguments: dict[str, Any]) -> JSONResponse:
        low, high = float(arguments.get("oldest", 0)), float(arguments.get("latest", 1e12))
        assert low < high
        found = [
            item
            for item in self.scheduled
            if item["channel_id"] == arguments.get("channel", item["channel_id"]) and low < item["post_at"] < high
        ]
        return self._page("scheduled_messages", found, arguments)

    def deliver_scheduled(self) -> None:
        """Let the time of all scheduled messages come."""
        for item in self.scheduled:
            ts = f"{time.time():.0f}.{next(self._numbers):06d}"
            message = {"type": "message", "ts": ts, "text": item["text"], "bot_id": "B1"}
            self.channels[item["channel_id"]]["messages"].append(message)
        self.scheduled.clear()

    def _seen(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], JSONResponse | None]:
        channel = self.channels.get(arguments["channel"], {})
        if not channel or (channel["is_private"] and not channel["is_member"]):
            return channel, _no("channel_not_found")
        if channel["is_archived"]:
            return channel, _no("is_archived")
        return channel, None if channel["is_member"] else _no("not_in_channel")

    def _shown(self, messages: Any, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        hidden = set() if arguments.get("include_all_metadata") in {"1", "true"} else {"metadata"}
        oldest = float(arguments.get("oldest", 0))
        return [
            {key: value for key, value in message.items() if key not in hidden}
            for message in messages
            if float(message["ts"]) > oldest
        ]

    def _page(self, name: str, items: list[dict[str, Any]], arguments: dict[str, Any]) -> JSONResponse:
        start, size = int(arguments.get("cursor") or 0), min(int(arguments.get("limit", 100)), self.page_size)
        following = str(start + size) if start + size < len(items) else ""
        return _yes(**{name: items[start : start + size]}, response_metadata={"next_cursor": following})


def _bad_message(arguments: dict[str, Any]) -> JSONResponse | None:
    if not arguments.get("text"):
        return _no("no_text")
    if len(arguments["text"]) > _JSON_ONLY_TEXT:
        return _no("msg_too_long")
    metadata = arguments.get("metadata")
    if metadata is not None:
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        if set(metadata) != {"event_type", "event_payload"} or not isinstance(metadata["event_payload"], dict):
            return _no("invalid_metadata_format")
    return None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _yes(**fields: Any) -> JSONResponse:
    return JSONResponse({"ok": True, **fields})


def _no(code: str, **fields: Any) -> JSONResponse:
    return JSONResponse({"ok": False, "error": code, **fields})
