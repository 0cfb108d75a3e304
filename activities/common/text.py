"""The one type of text that comes from outside: bounded, storable and readable by every part that meets it.

PostgreSQL keeps no NUL, UTF-8 no half of a surrogate pair, a terminal obeys control characters, and Temporal keeps no
more than 2 MB: text that one part takes and another refuses is found when it is too late. So every field that people
or other systems fill in is `Annotated[str, Text(…)]`, and what has passed it can be stored, sent and shown everywhere.

What people send is refused where nothing can keep it, and they can send it again. What machines send (`made_fit`) is
shortened and its odd characters are made visible: an alert must not be lost over its text.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from audit.text import UNSEEN, visible

_BLANK = re.compile(rf"[\s{UNSEEN}]+")


@dataclass(frozen=True)
class Text:
    """Marks a string as text from outside; characters are counted as Unicode code points.

    Raises `ValueError` (as pydantic's `ValidationError`) for what is too long or too short, for nothing but blanks
    where something must be said, for a NUL or half a surrogate pair. Other control characters become visible ones:
    `ESC` becomes `␛`.
    """

    most: int
    least: int = 0
    lines: bool = False
    """Whether line breaks and tabs stay as they are."""

    made_fit: bool = False
    """Shorten and replace instead of refusing: for what machines send."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check after pydantic's own bounds, so that what is too long isn't looked at."""
        string = handler(source)
        if string["type"] != "str":
            raise TypeError(f"Text marks strings, not {source}")
        least, most = string.get("min_length", 0), string.get("max_length", self.most)
        least = max(self.least, least)
        string = {**string, "min_length": least, "max_length": min(self.most, most)}
        if self.made_fit:
            return core_schema.no_info_before_validator_function(self._fitted, string)
        return core_schema.no_info_after_validator_function(partial(self._checked, required=least > 0), string)

    def _checked(self, text: str, *, required: bool) -> str:
        if "\x00" in text:
            raise ValueError("has a NUL character (U+0000), which can't be kept: leave it out")
        if required and _BLANK.fullmatch(text):
            raise ValueError("has nothing but blanks")
        return visible(text, lines=self.lines)

    def _fitted(self, value: Any) -> Any:
        return fitted(value, self.most, lines=self.lines) if isinstance(value, str) else value


def fitted(text: str, most: int, *, lines: bool = False) -> str:
    """Give text that passes as `Text(most)`: shortened, and with every character visible."""
    # Shortened first: what a megabyte holds behind the end is nobody's business.
    kept = text if len(text) <= most else f"{text[: most - 1]}…"
    return visible(kept, lines=lines)


Name = Annotated[str, Text(200)]
"""Of a person, a service, a server: one line."""

Reason = Annotated[str, Text(2000, lines=True)]
"""A few sentences."""

Key = Annotated[str, Text(500)]
"""What a machine is named by, such as a question, a handover, a Deployment or a label selector."""

Shown = Annotated[str, Text(20_000, lines=True, made_fit=True)]
"""What we say ourselves, and may quote others in; never refused."""

ShownLine = Annotated[str, Text(500, made_fit=True)]
"""The same in one line."""

Told = Annotated[str, Text(4096, lines=True, made_fit=True)]
"""What another system says, such as the value of an alert's label."""

ToldLine = Annotated[str, Text(4096, made_fit=True)]
"""The same in one line."""

Label = Annotated[str, Text(256, 1, made_fit=True)]
"""An alert's name, or that of one of its labels."""

Link = Annotated[str, Text(4000)]
"""A URL, a path or a reference to an image."""

Words = Annotated[str, Text(20_000, lines=True)]
"""As much as a person writes or a query has."""
