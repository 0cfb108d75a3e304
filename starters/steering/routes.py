"""Which alert starts which procedure: ordered rules in a TOML file, the first that matches counts.

[[route]]
match = { severity = "P1" }                  # labels that must be equal; a label that is missing counts as empty,
                                             # but `severity` is then classified by impact, error_rate, latency (2.1)
match_re = { alertname = "Tensafe.*" }       # labels whose whole value must match
procedure = "p1-incident"
severity = "P1"                              # optional: how the run is found before it has begun
service_label = "service"                    # the label that names the service; or service = "tensafe-server".
                                             # Else what the alert is about: the health URL as `instance` or `target`,
                                             # namespace and deployment or pod, then `job`, `app` and the like
input = { factor = 1.5 }                     # optional: further fields of the procedure's request
input_labels = { version = "image_tag" }     # optional: fields that take the value of a label
observers = ["*monitoring*", "probes"]       # optional: namespaces of what watches, `*` stands for anything. An alert
                                             # from another one than these and its service's starts nothing

[mapping.NAME]                               # where the payload of a source has what (`starters.steering.mapping`)
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from activities.catalogue.service import Service
from activities.common.severity import Severity
from activities.records.alerts import Alert
from audit.text import length
from starters.steering import about
from starters.steering.mapping import PayloadMapping, unfit
from workers.checks import Fault
from workers.registry import Procedure, procedure
from workers.settings import SettingsError, described, told
from workers.source_settings import AlertSource
from workflows.incident_response.severity import classify, impact_of

_NEEDED = {"alert", "service"}
_OURS = {*_NEEDED, "requested_by"}


class Route(BaseModel):
    """One rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    procedure: str
    match: dict[str, str] = Field(default_factory=dict)
    match_re: dict[str, re.Pattern[str]] = Field(default_factory=dict)
    severity: Severity | None = None
    service: str | None = Field(default=None, description="Fixed service, whatever the labels say.")
    service_label: str = Field(default="service", description="Label that names the service.")
    input: dict[str, Any] = Field(default_factory=dict, description="Further fields of the request.")
    input_labels: dict[str, str] = Field(default_factory=dict, description="Field → label whose value it takes.")
    observers: tuple[str, ...] = Field(
        default=about.OBSERVERS,
        description="Namespaces of what watches, as shell patterns: as an alert's `namespace` they don't say where its "
        "service is.",
    )

    @field_validator("procedure")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            found = procedure(value)
        except KeyError as error:
            raise ValueError(error.args[0]) from None
        if not found.request.model_fields.keys() >= _NEEDED:
            raise ValueError(f"{value} can't be started by an alert")
        return value

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.match and not self.match_re:
            raise ValueError('match or match_re: one is required; `match_re = { alertname = ".*" }` takes everything')
        return self

    @model_validator(mode="after")
    def _input_fits(self) -> Self:
        target = self.target
        given = {*self.input, *self.input_labels}
        if unknown := sorted(given - target.request.model_fields.keys()) + sorted(given & _OURS):
            raise ValueError(f"input: {target.command} doesn't take {', '.join(unknown)} from a rule")
        required = {name for name, field in target.request.model_fields.items() if field.is_required()}
        if missing := sorted(required - given):
            raise ValueError(f"input: {target.command} needs {', '.join(missing)}, by `input` or `input_labels`")
        return self

    def takes(self, labels: dict[str, str]) -> bool:
        """Whether the rule is for an alert with these labels."""
        return all(labels.get(name, "") == value for name, value in self.match.items()) and all(
            pattern.fullmatch(labels.get(name, "")) for name, pattern in self.match_re.items()
        )

    def service_of(self, labels: dict[str, str], known: Collection[str]) -> str | None:
        """Name the service: the rule's, or the label's, or the one that the alert is about; None where nobody knows.

        With the catalogue itself as `known`, an alert is about the service whose health URL it probes (`instance`), or
        whose Deployment it names: `namespace` with `deployment` or `pod`; else about that with the name of its `job`,
        `app` or the like (`starters.steering.about`). One that names a service's workload in another namespace is
        about its copy there, and one from a namespace where nobody knows of a copy about none: what happens in
        `staging` is no reason to act on production. The only service there is needs no label.
        """
        name = self.service or labels.get(self.service_label) or None
        catalogue = known if self.service is None and isinstance(known, Mapping) else {}
        if name is not None and name in known:
            if name not in catalogue:
                return name
            if there := about.elsewhere(labels, catalogue, name, self.observers):
                return there
        if found := about.recognised(labels, catalogue):
            return found
        if name is not None or len(known) != 1:
            return None
        (only,) = known
        return only if only not in catalogue or about.in_reach(labels, catalogue[only], self.observers) else None

    def foreign_to(self, labels: dict[str, str], services: Mapping[str, Service]) -> str:
        """Say why the service that an alert names, or the only one, isn't what it is about; empty where none is."""
        name = labels.get(self.service_label) or (next(iter(services)) if len(services) == 1 else "")
        if self.service is not None or name not in services:
            return ""
        service = services[name]
        spaces = ", ".join(about.foreign(labels, service, self.observers))
        return (
            f"{name} is in {service.namespace}, and the alert is from {spaces}, where no one copy of it is known. Name "
            "a copy as a service of its own in the settings, or a namespace of monitoring in the rule's `observers`"
        )

    def request(self, alert: Alert, service: str) -> BaseModel:
        """Make the procedure's request for an alert.

        Raises:
            ValidationError: a label is missing, or its value can't be meant.

        """
        labelled = {name: alert.labels[label] for name, label in self.input_labels.items() if label in alert.labels}
        who = f"{alert.source}: {alert.name}"[:200]
        given = {**self.input, **labelled, "service": service, "alert": alert, "requested_by": who}
        return self.target.request.model_validate(given)

    @property
    def target(self) -> Procedure:
        """The procedure that it starts."""
        return procedure(self.procedure)


class Routes(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: tuple[Route, ...] = Field(min_length=1)
    mapping: dict[str, PayloadMapping] = Field(default_factory=dict, description="By the name of a source.")

    def find(self, labels: dict[str, str]) -> Route | None:
        """Find the first rule for an alert; one without a `severity` has that of its impact (2.1)."""
        labels = classified(labels)
        return next((route for route in self.route if route.takes(labels)), None)

    def faults(self, services: Collection[str]) -> list[Fault]:
        """Find what would start nothing: services that aren't there, and input that no run would take."""
        found = []
        for number, route in enumerate(self.route):
            if route.service is not None and route.service not in services:
                what = f"{route.service!r} is not in the catalogue. Known: {', '.join(sorted(services)) or 'none'}"
                found.append(Fault(("route", number, "service"), what))
            found += [Fault(("route", number, *place), what) for place, what in _input(route, services)]
        return found


def classified(labels: dict[str, str]) -> dict[str, str]:
    """Give an alert's labels with the severity of its impact, where it has none."""
    impact = None if "severity" in labels else impact_of(labels)
    return labels if impact is None else {**labels, "severity": classify(impact)}


_SAMPLE = Alert(source="a rule", fingerprint="0", name="a rule", starts_at=datetime(2026, 2, 4, tzinfo=UTC))


def _input(route: Route, services: Collection[str]) -> Iterator[Fault]:
    """Build the request as far as the rule alone says it, and hold it against the services it may be about."""
    meant = [route.service] if route.service is not None else [*services]
    given = {**route.input, "service": next(iter(meant), "a-service"), "alert": _SAMPLE, "requested_by": "a rule"}
    try:
        route.target.request.model_validate(given)
    except ValidationError as error:
        for place, what in described(error):
            if not (place and place[0] in route.input_labels):  # a label's value is known when an alert has it
                yield Fault(("input", *place), what)
        return
    for name, limit in _LIMITS.items():
        for service in meant:
            known = services.get(service) if isinstance(services, Mapping) else None
            longest = limit(known) if isinstance(known, Service) else None
            if name in route.input and longest is not None and _span(route, name) > longest:
                yield Fault(("input", name), f"longer than {service} allows, {length(longest)}")


_LIMITS: dict[str, Callable[[Service], timedelta | None]] = {
    "lease": lambda service: service.scaling.longest_lease,
    "grace": lambda service: service.customers.longest_key_grace,
    "forensics": lambda service: service.database.restore.longest_forensics if service.database else None,
}


def _span(route: Route, name: str) -> timedelta:
    return TypeAdapter(timedelta).validate_python(route.input[name])


def load(file: Path, services: Collection[str], sources: Mapping[str, AlertSource] | None = None) -> Routes:
    """Read the file, and check it against the catalogue's services, and the settings' sources where they are known.

    Raises:
        SettingsError: it is missing or wrong; names each field with its line.

    """
    try:
        text = file.read_text(encoding="utf-8")
        routes = Routes.model_validate(tomllib.loads(text))
    except OSError as error:
        message = f"{file}: {error.strerror}. [webhook] routes names the file of routing rules"
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{file}: {error}"
    except ValidationError as error:
        message = told(file, text, described(error))
    else:
        wrong = routes.faults(services) + ([] if sources is None else [*unfit(routes.mapping, sources)])
        if not wrong:
            return routes
        message = told(file, text, wrong)
    raise SettingsError(message)
