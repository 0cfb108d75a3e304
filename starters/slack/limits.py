"""The one door to Slack's Block Kit: every block is made here, and none is larger than Slack takes.

Limits are those of docs.slack.dev, "Blocks", "Block elements" and "Views". Text is measured in UTF-16 units, which is
never less than what Slack counts, and after escaping, since that is what is sent. What is cut ends with `…`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from activities.messages.chat.chat import escaped
from audit.text import shown

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
TEXT, SECTION, FIELD, FIELDS, HEADER = 4000, 3000, 2000, 10, 150
ACTIONS, BUTTON, VALUE = 25, 75, 2000
OPTIONS, OPTION = 100, 75
CONFIRM_TITLE, CONFIRM_TEXT, CONFIRM_BUTTON = 100, 300, 30
VIEW_TITLE, VIEW_DATA, LABEL, HINT, INPUT = 24, 3000, 2000, 2000, 3000

Block = dict[str, Any]


class TooLong(ValueError):  # noqa: N818  what a person is told
    """What is to be shown is longer than Slack takes, and can't be cut."""


def size(text: str) -> int:
    """Count as Slack counts at most."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def cut(text: str, most: int) -> str:
    """Give text of `most` units at most; characters stay whole."""
    if size(text) <= most:
        return text
    kept = text[:most]
    while size(kept) > most - 1:
        kept = kept[: len(kept) - max(1, (size(kept) - most + 1) // 2)]
    return f"{kept}…"


def mrkdwn(text: str, most: int = SECTION) -> str:
    """Give others' text for mrkdwn: no mention, no link, no half of an escape at its end."""
    kept = escaped(cut(text, most))
    while size(kept) > most:
        text = text[: len(text) - max(1, (size(kept) - most + 4) // 5)]
        kept = f"{escaped(text)}…"
    return kept


def plain(text: str, most: int) -> dict[str, Any]:
    """Give a text object that shows what it is given, in one line; never empty, which Slack refuses."""
    line = cut(" ".join(shown(text).split()), most)
    return {"type": "plain_text", "text": line or "–", "emoji": False}


def marked(text: str, most: int = SECTION) -> dict[str, Any]:
    """Give a text object of our own mrkdwn, whose parts of others have been through `mrkdwn`.

    `verbatim`: Slack makes no links, and no mentions, of what only looks like them.
    """
    return {"type": "mrkdwn", "text": _whole(text, most) or "–", "verbatim": True}


def _whole(text: str, most: int) -> str:
    """Cut our own mrkdwn at the end of a line, so that neither an escape nor a date is cut in two."""
    if size(text) <= most:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        if size("\n".join([*lines, line])) > most - 2:
            break
        lines.append(line)
    return "\n".join([*lines, "…"])


def section(text: str) -> Block:
    """Give a paragraph."""
    return {"type": "section", "text": marked(text)}


def fields(texts: Sequence[str]) -> Block:
    """Give up to ten short texts in two columns."""
    return {"type": "section", "fields": [marked(one, FIELD) for one in texts[:FIELDS]]}


def header(text: str) -> Block:
    """Give a heading."""
    return {"type": "header", "text": plain(text, HEADER)}


def context(text: str) -> Block:
    """Give small print."""
    return {"type": "context", "elements": [marked(text, FIELD)]}


def confirm(title: str, text: str, yes: str) -> dict[str, Any]:
    """Ask once more before a button counts."""
    return {
        "title": plain(title, CONFIRM_TITLE),
        "text": plain(text, CONFIRM_TEXT),
        "confirm": plain(yes, CONFIRM_BUTTON),
        "deny": plain("Cancel", CONFIRM_BUTTON),
    }


def button(label: str, action: str, value: str, *, style: str = "", asks: dict[str, Any] | None = None) -> Block:
    """Give a button; `value` is at most 2,000 long, which `presses` sees to."""
    made: Block = {"type": "button", "action_id": action, "text": plain(label, BUTTON), "value": value}
    return made | ({"style": style} if style else {}) | ({"confirm": asks} if asks else {})


def actions(buttons: Sequence[Block]) -> list[Block]:
    """Give rows of buttons, 25 a row; each button's action ID is its own, as Slack wants it within a row."""
    rows = [buttons[first : first + ACTIONS] for first in range(0, len(buttons), ACTIONS)]
    return [{"type": "actions", "elements": [*row]} for row in rows]


def option(label: str, value: str) -> dict[str, Any]:
    """Give one option of a menu; `value` is ours and short."""
    return {"text": plain(label, OPTION), "value": value}


def menu(labels: Sequence[str], action: str, chosen: int | None = None) -> Block:
    """Give a menu of up to 100 options; the value of each is its number, so that no label is too long for one."""
    options = [option(label, str(number)) for number, label in enumerate(labels[:OPTIONS])]
    initial = {"initial_option": options[chosen]} if chosen is not None and chosen < len(options) else {}
    return {"type": "static_select", "action_id": action, "options": options, **initial}


def field(name: str, label: str, element: Block, *, hint: str, optional: bool) -> Block:
    """Give one input of a modal; its block ID is what Slack sends it back by, and shows an error at."""
    block: Block = {
        "type": "input",
        "block_id": name,
        "label": plain(label, LABEL),
        "element": element,
        "optional": optional,
    }
    return block | ({"hint": plain(hint, HINT)} if hint else {})


def message(blocks: Iterable[Block]) -> list[Block]:
    """Give blocks that fit one message; the last one says where more has been left out."""
    made = [*blocks]
    if len(made) <= MESSAGE_BLOCKS:
        return made
    return [*made[: MESSAGE_BLOCKS - 1], context("There is more: `/runbook status` and the Temporal UI have it all.")]


def view(title: str, blocks: Sequence[Block], *, callback: str, data: str, submit: str) -> dict[str, Any]:
    """Give a modal.

    Raises:
        TooLong: what it has to remember is longer than Slack keeps; nothing is shown then.

    """
    if size(data) > VIEW_DATA:
        raise TooLong("what this modal is about is longer than Slack keeps: use the command line")
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": data,
        "title": plain(title, VIEW_TITLE),
        "submit": plain(submit, VIEW_TITLE),
        "close": plain("Cancel", VIEW_TITLE),
        "blocks": [*blocks[:VIEW_BLOCKS]],
    }


def date(seconds: float, fallback: str) -> str:
    """Give a time that Slack shows in the reader's own zone."""
    return f"<!date^{int(seconds)}^{{time_secs}}|{escaped(fallback)}>"
