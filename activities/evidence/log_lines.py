"""A line of a log as whoever wrote it meant it: a sentence, or fields of which some are one (JSON, logfmt).

Where there are fields, quoted text is what the line says, and the level is a word of its own: `"errors": 0` complains
of nothing. A line of JSON that is cut off has its fields all the same.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_READ = 8192
"""Characters of a line: the rest is data, and no line may take longer than all others."""

_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_COMPLAINS = re.compile(
    r"\b(error|errors|fatal|panic|exception|critical|traceback|fail(ed|ure|ing)?|timed? ?out|timeout|refused|oom)\b"
    r"|(?-i:\w[a-z](?:Error|Exception)\b)"
    r"|(?-i:^[EF]\d{4} \d\d:\d\d:\d\d)"  # as glog and klog begin
    r"|\bHTTP/\d\S* 5\d\d\b|\bstatus(_code)?[=:] ?5\d\d\b|\b5\d\d\b[^\n]{0,500}\b(GET|POST|PUT|PATCH|DELETE)\b",
    re.IGNORECASE,
)
_NONE = re.compile(r"\b(?:0|no|zero|without) (?:errors?|failures?|failed|exceptions?|timeouts?)\b", re.IGNORECASE)

_LEVELS = ("level", "severity", "lvl", "levelname", "loglevel", "log.level", "@l")
_MESSAGES = ("msg", "message", "@m", "short_message", "textPayload", "event")
_ERRORS = ("error", "err", "exception", "exc_info", "error.message", "error_message", "stack_trace", "stack")
_STATUSES = ("status", "status_code", "http_status")
_BAD = re.compile(r"err(or)?|fatal|crit(ical)?|panic|dpanic|alert|emerg(ency)?|severe", re.IGNORECASE)
_BUNYAN_BAD, _SYSLOG_BAD = 50, 3
_SERVER_FAULT = 500
_PAIR = re.compile(r'"([\w.@-]+)"\s*:\s*("(?:[^"\\]|\\.)*"?|[^\s,{}\[\]]+)')
_LOGFMT = re.compile(r'(?:^|\s)([\w.@-]+)=("(?:[^"\\]|\\.)*"?|\S*)')
_LOGFMT_HAS = re.compile(r"(?:^|\s)(?:level|lvl|severity)=\S.*\s(?:msg|message)=")


@dataclass(frozen=True)
class LogLine:
    """What a line says, and whether it complains."""

    text: str
    complains: bool


def read(line: str) -> LogLine:
    """Read a line."""
    whole = _COLOURS.sub("", line)
    text = whole[:_READ]
    if len(whole) > _READ:  # what is cut in the middle may be a half of something that is to be masked
        text = text.rpartition(" ")[0] or text
    fields = _fields(whole if len(whole) <= _READ else text)
    if fields is None:
        return LogLine(text, _complains(text))
    message, error = _first(fields, _MESSAGES), _first(fields, _ERRORS)
    said = ": ".join(filter(None, (message, error if error not in message else "")))
    return LogLine(said or text, _is_bad(fields) or bool(error) or _complains(said or text))


def _complains(text: str) -> bool:
    return _COMPLAINS.search(_NONE.sub("", text)) is not None


def _fields(text: str) -> Mapping[str, Any] | None:
    """Give the fields of a line that is made of them; a sentence that has some is none."""
    found: dict[str, Any] = {}
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = {name: _unquoted(value) for name, value in _PAIR.findall(text)}
    elif _LOGFMT_HAS.search(text):
        found = {name: _unquoted(value) for name, value in _LOGFMT.findall(text)}
    return found if any(name in found for name in (*_LEVELS, *_MESSAGES[:2])) else None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Give the first of these that says something, as one line."""
    return next((text for name in names if (text := _sentence(fields.get(name)))), "")


def _sentence(value: object) -> str:
    if isinstance(value, dict):
        parts = (_sentence(value.get(name)) for name in ("type", "kind", "code", "message", "msg"))
        return ": ".join(filter(None, parts))
    if isinstance(value, bool | int | float | None):
        return ""
    text = str(value).strip()
    if text.lower() in {"null", "none", "nil", "false", "0", "<nil>", "[]"}:
        return ""
    lines = text.splitlines() or [""]
    # Python says last what it was, Java first.
    return lines[-1].strip() if lines[0].startswith("Traceback") else lines[0].strip()


def _is_bad(fields: Mapping[str, Any]) -> bool:
    level = next((fields[name] for name in _LEVELS if fields.get(name) is not None), "")
    number = _number(level)
    if number is not None:  # of bunyan and pino; GELF has those of syslog
        bad = number <= _SYSLOG_BAD if "short_message" in fields else number >= _BUNYAN_BAD
    else:
        bad = _BAD.fullmatch(str(level).strip()) is not None
    return bad or any((_number(fields.get(name)) or 0) >= _SERVER_FAULT for name in _STATUSES)


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else None  # noqa: PLR2004  a level, a status
