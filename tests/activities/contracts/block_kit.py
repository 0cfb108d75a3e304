"""What Slack refuses in blocks and views, as docs.slack.dev has it under "Blocks", "Block elements" and "Views"."""

import re
from collections.abc import Iterator
from typing import Any

_MENTION = re.compile(r"<(?!!date\^\d+\^\{time_secs\}\|[^<>]*>|https?://[^|<>]+\|[^<>]+>)")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")
_ACTIONS = {"button": {"text", "value", "style", "confirm"}, "static_select": {"options", "initial_option"}}
_INPUTS = {"plain_text_input", "static_select", "datepicker", "datetimepicker"}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def faults(blocks: list[Any], *, view: bool = False) -> list[str]:
    """Give everything that is wrong with the blocks of a message, or of a view."""
    return [*_faults(blocks, view=view)]


def faults_of_view(view: dict[str, Any]) -> list[str]:
    return [*_view(view)]


def _view(view: dict[str, Any]) -> Iterator[str]:
    if view.get("type") != "modal":
        yield "view: no modal"
    for part in ("title", "submit", "close"):
        if part in view:
            yield from _text(view[part], part, 24, only="plain_text")
    if _units(view.get("private_metadata", "")) > 3000:
        yield "private_metadata: too long"
    if len(view.get("callback_id", "")) > 255:
        yield "callback_id: too long"
    if any(block["type"] == "input" for block in view["blocks"]) and "submit" not in view:
        yield "submit: required with inputs"
    yield from _faults(view["blocks"], view=True)


def _faults(blocks: list[Any], *, view: bool) -> Iterator[str]:
    most = 100 if view else 50
    if not 1 <= len(blocks) <= most:
        yield f"blocks: {len(blocks)} of {most}"
    identities = [block["block_id"] for block in blocks if "block_id" in block]
    if len(identities) != len({*identities}):
        yield "block_id: twice"
    for number, block in enumerate(blocks):
        for fault in _block(block, view=view):
            yield f"blocks.{number} ({block.get('type')}): {fault}"


def _block(block: dict[str, Any], *, view: bool) -> Iterator[str]:  # noqa: PLR0912  a case for each kind of block
    if not 1 <= len(block.get("block_id", "x")) <= 255:
        yield "block_id: length"
    match block["type"]:
        case "header":
            yield from _text(block["text"], "text", 150, only="plain_text")
        case "section":
            if "text" in block:
                yield from _text(block["text"], "text", 3000)
            elif not block.get("fields"):
                yield "neither text nor fields"
            if len(block.get("fields", ())) > 10:
                yield "fields: more than 10"
            for one in block.get("fields", ()):
                yield from _text(one, "field", 2000)
            if "accessory" in block:
                yield from _element(block["accessory"])
        case "context":
            if not 1 <= len(block["elements"]) <= 10:
                yield "elements: 1 to 10"
            for one in block["elements"]:
                yield from _text(one, "element", 3000)
        case "actions":
            if not 1 <= len(block["elements"]) <= 25:
                yield "elements: 1 to 25"
            names = [one["action_id"] for one in block["elements"]]
            if len(names) != len({*names}):
                yield "action_id: twice"
            for one in block["elements"]:
                yield from _element(one)
        case "input":
            if not view:
                yield "an input in a message"
            yield from _text(block["label"], "label", 2000, only="plain_text")
            if "hint" in block:
                yield from _text(block["hint"], "hint", 2000, only="plain_text")
            yield from _input(block["element"])
        case other:
            yield f"unknown type {other}"


def _element(element: dict[str, Any]) -> Iterator[str]:
    known = _ACTIONS.get(element["type"])
    if known is None:
        yield f"element {element['type']}"
        return
    if extra := {*element} - known - {"type", "action_id"}:
        yield f"element: {extra}"
    if not 1 <= _units(element["action_id"]) <= 255:
        yield "action_id: length"
    if element["type"] == "button":
        yield from _text(element["text"], "button", 75, only="plain_text")
        if _units(element["value"]) > 2000:
            yield "value: longer than 2000"
        if element.get("style", "primary") not in {"primary", "danger"}:
            yield "style"
        if "confirm" in element:
            asks = element["confirm"]
            for part, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
                yield from _text(asks[part], f"confirm.{part}", most)
    else:
        yield from _options(element)


def _input(element: dict[str, Any]) -> Iterator[str]:
    if element["type"] not in _INPUTS:
        yield f"element {element['type']} in an input"
    if element["type"] == "static_select":
        yield from _options(element)
    most = element.get("max_length", 3000)
    if not 1 <= most <= 3000:
        yield "max_length: 1 to 3000"
    if "initial_value" in element and not 1 <= _units(element["initial_value"]) <= most:
        yield "initial_value: length"


def _options(element: dict[str, Any]) -> Iterator[str]:
    options = element["options"]
    if not 1 <= len(options) <= 100:
        yield "options: 1 to 100"
    values = [one["value"] for one in options]
    if len(values) != len({*values}):
        yield "options: a value twice"
    for one in options:
        yield from _text(one["text"], "option", 75)
        if not 1 <= len(one["value"]) <= 75:
            yield "option: value"
    if "initial_option" in element and element["initial_option"] not in options:
        yield "initial_option: none of them"


def _text(text: dict[str, Any], name: str, most: int, *, only: str = "") -> Iterator[str]:
    kind, content = text["type"], text["text"]
    if only and kind != only:
        yield f"{name}: must be {only}"
    if not 1 <= _units(content) <= most:
        yield f"{name}: {_units(content)} of {most}"
    if kind == "mrkdwn":
        if _MENTION.search(content):
            yield f"{name}: a mention or link that is not ours: {_MENTION.search(content)}"
        if _ENTITY.search(content):
            yield f"{name}: half an entity"
