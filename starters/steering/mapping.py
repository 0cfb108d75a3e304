"""How a payload of any shape becomes alerts: `[mapping.NAME]` in the routing rules, for the source of that name.

[mapping.uptime]
each = "$.checks[*]"                         # optional: an alert each; else the body is one
name = "$.check"                             # each field is a JSON path (RFC 9535), or a text as it is
fingerprint = "$.check_id"                   # the alert, whichever time it fires; else each message is one
starts_at = "$.down_since"                   # ISO 8601 with its zone, or seconds or milliseconds since 1970
key = "$.outage"                             # optional: names one firing, where its end tells no start
status = "$.state"                           # optional: without it everything fires
firing = ["down"]                            # its values that fire; other values are neither, and begin nothing
resolved = ["up"]                            # its values that end
ends_at = "$.up_since"                       # optional; as starts_at
url = "$.link"
labels = { severity = "P1", service = "$.tags.service" }
annotations = { summary = "$.message" }
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from activities.common.text import fitted
from activities.records.alerts import Alert
from libraries import jsonpath
from workers.checks import Fault
from workers.sections import Section
from workers.source_settings import (
    AlertSource,
    CloudEventsSource,
    DatadogSource,
    GrafanaSource,
    SnsSource,
    StandardWebhooksSource,
)

_LABELS_MOST = 256
_TEXT_MOST = 4096
_MILLISECONDS_FROM = 1e11
"""As seconds, this is the year 5138."""

_SIMPLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


@functools.cache
def _paths() -> "jsonpath.JSONPathEnvironment":
    """RFC 9535 and nothing beyond it."""
    return jsonpath.JSONPathEnvironment(strict=True)


@functools.lru_cache(maxsize=1000)
def _path(text: str) -> "jsonpath.JSONPath | jsonpath.CompoundJSONPath":
    return _paths().compile(text)


def _one_path(value: str) -> str:
    if value.startswith("$"):
        try:
            _path(value)
        except (jsonpath.JSONPathError, RecursionError) as error:
            said = str(error).partition("\n")[0] or "nested too deep"
            raise ValueError(f"not a JSON path (RFC 9535): {said}") from None
    return value


Place = Annotated[str, AfterValidator(_one_path)]
"""A JSON path, which begins with `$`; anything else is a text as it is."""


@dataclass(frozen=True)
class Flaw:
    """An alert of a post that can't be taken, in a sentence without what was sent."""

    detail: str


@dataclass(frozen=True)
class Ignored:
    """What a post says that is neither a firing nor the end of one."""

    why: str


class PayloadMapping(BaseModel):
    """Where a payload has what an alert needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Place
    fingerprint: Place | None = None
    starts_at: Place | None = None
    ends_at: Place | None = None
    key: Place | None = None
    status: Place | None = None
    firing: tuple[str, ...] = Field(default=(), description="Values of `status`, in any case of letters.")
    resolved: tuple[str, ...] = ()
    url: Place | None = None
    group: Place | None = Field(default=None, description='What belongs together, for `alerts_by = "group"`.')
    labels: dict[str, Place] = Field(default_factory=dict)
    annotations: dict[str, Place] = Field(default_factory=dict)
    each: Place = "$"

    @field_validator("each")
    @classmethod
    def _finds(cls, value: str) -> str:
        if not value.startswith("$"):
            raise ValueError("a JSON path begins with $")
        return value

    @model_validator(mode="after")
    def _says_what_fires(self) -> Self:
        if (self.status is None) == bool(self.firing):
            raise ValueError("status and firing: both or neither, since a value that nobody names must begin nothing")
        if both := {one.lower() for one in self.firing} & {one.lower() for one in self.resolved}:
            raise ValueError(f"firing and resolved: {', '.join(sorted(both))} can't be both")
        return self

    def alerts(
        self, payload: Mapping[str, Any], source: str, message: str = "", at: datetime | None = None
    ) -> Iterator[Alert | Flaw | Ignored]:
        """Give what a payload says, one by one.

        `message` names the post at its sender, and `at` says when that was, the same at every repetition: they stand in
        where the payload names no alert and no time.
        """
        found = _path(self.each).findall(payload)
        if not found:
            yield Flaw(f"each: nothing is at {self.each}")
        for item in found:
            yield self._alert(item, source, message, at) if isinstance(item, dict) else Flaw("not an object")

    def _alert(self, item: dict[str, Any], source: str, message: str, at: datetime | None) -> Alert | Flaw | Ignored:
        said = _text_at(self.status, item).lower()
        if self.status is None or said in {one.lower() for one in self.firing}:
            status: Literal["firing", "resolved"] = "firing"
        elif said in {one.lower() for one in self.resolved}:
            status = "resolved"
        elif not said:
            return Flaw(f"status: nothing is at {self.status}")
        else:
            return Ignored(f"status: what is at {self.status} is none of `firing` or `resolved`")
        try:
            starts_at = _time_at(self.starts_at, item)
            ends_at = (_time_at(self.ends_at, item) or at) if status == "resolved" else None
        except ValueError as error:
            return Flaw(str(error))
        if starts_at is None and status == "resolved":
            # Of the firing before it, whenever that began.
            starts_at = ends_at
        elif self.starts_at is None:
            starts_at = at
        if starts_at is None:
            return Flaw(f"starts_at: no time is at {self.starts_at or 'any place: name a JSON path'}")
        fingerprint = _text_at(self.fingerprint, item) or message
        if not fingerprint:
            return Flaw(f"fingerprint: nothing is at {self.fingerprint}")
        return made(
            source=source,
            fingerprint=called(fingerprint),
            name=_text_at(self.name, item) or source,
            starts_at=starts_at,
            status=status,
            ends_at=ends_at,
            labels={name: _text_at(place, item) for name, place in self.labels.items()},
            annotations={name: _text_at(place, item) for name, place in self.annotations.items()},
            generator_url=_text_at(self.url, item),
            group_key=_text_at(self.group, item),
            key=called(_text_at(self.key, item)),
        )


_MUST: tuple[type[Section], ...] = (StandardWebhooksSource, CloudEventsSource)
_MAY: tuple[type[Section], ...] = (*_MUST, GrafanaSource, SnsSource, DatadogSource)


def unfit(mappings: Mapping[str, PayloadMapping], sources: Mapping[str, AlertSource]) -> Iterator[Fault]:
    """Find mappings that nobody reads, and sources that can't be read without one."""
    for name in mappings:
        if name not in sources:
            known = ", ".join(sorted(sources)) or "none"
            yield Fault(("mapping", name), f"no source is called so in [webhook.sources]. Known: {known}")
        elif not isinstance(sources[name], _MAY):
            yield Fault(("mapping", name), f"{sources[name].kind} sends one shape, which is known: leave it out")
    for name, source in sources.items():
        if name not in mappings and isinstance(source, _MUST):
            what = f"[webhook.sources.{name}] has any shape, so [mapping.{name}] has to say where everything is"
            yield Fault(("mapping", name), what)


def made(**fields: Any) -> Alert | Flaw:
    """Make an alert of what a source has found: empty labels are left out, and every label of ours is one of text."""
    for name in ("labels", "annotations"):
        given = {**({"alertname": fields["name"]} if name == "labels" else {}), **fields.get(name, {})}
        kept = [(label, value) for label, value in given.items() if label and value]
        fields[name] = dict(kept[:_LABELS_MOST])
    try:
        return Alert(**fields)
    except ValidationError as error:
        places = {".".join(str(part) for part in item["loc"]) for item in error.errors()}
        return Flaw(f"{fitted(', '.join(sorted(places)), 200)}: can't be read")


def called(*names: str) -> str:
    """Give a name that fits into a workflow ID: as it is where it is plain, else a digest."""
    if len(names) == 1 and (not names[0] or _SIMPLE.fullmatch(names[0])):
        return names[0]
    return hashlib.sha256("\0".join(names).encode(errors="surrogatepass")).hexdigest()[:32]


def text(value: Any) -> str:
    """Give a value of JSON as text, and nothing for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return fitted(value, _TEXT_MOST, lines=True)
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return fitted(json.dumps(value, ensure_ascii=False), _TEXT_MOST)
    except ValueError:  # an integer of thousands of digits
        return ""


def time(value: Any) -> datetime:
    """Give a time in UTC: ISO 8601 with its zone, or seconds or milliseconds since 1970, also as a text.

    Raises:
        ValueError: it is none.

    """
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    try:
        if isinstance(number, int | float) and not isinstance(number, bool):
            seconds = float(number)
            return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds, UTC)
        return _TIME.validate_python(value).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError("not a time with its zone, nor seconds or milliseconds since 1970") from None


def _found(place: str | None, item: dict[str, Any]) -> Any:
    if place is None or not place.startswith("$"):
        return place
    found = _path(place).match(item)
    return None if found is None else found.value


def _text_at(place: str | None, item: dict[str, Any]) -> str:
    return text(_found(place, item))


def _time_at(place: str | None, item: dict[str, Any]) -> datetime | None:
    value = _found(place, item)
    if value is None or value == "":
        return None
    try:
        return time(value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
