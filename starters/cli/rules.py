"""Shows the webhook's routing rules, and which of them takes an alert."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table

from activities.catalogue.service import Service
from activities.common.text import Label, Told
from audit.text import counted
from starters.cli.configured import load_settings
from starters.cli.facts import as_document
from starters.cli.people import Exit, Stop, console
from starters.steering.routes import Route, Routes, load


def check(labels: Sequence[str], *, as_json: bool) -> None:
    """Read the rules as the webhook does, and show them.

    Raises:
        SettingsError: they are wrong.
        Stop: none takes an alert with these labels.

    """
    settings = load_settings()
    file = settings.path(settings.webhook.routes)
    rules = load(file, settings.services, settings.webhook.sources)
    if as_json:
        _document(_labels(labels), rules, settings.services)
        return
    table = Table("#", "labels", "procedure", "service", box=None)
    for number, rule in enumerate(rules.route):
        table.add_row(str(number), _matchers(rule), rule.procedure, rule.service or f"label {rule.service_label}")
    console.print(table)
    console.print(f"{file}: {counted(len(rules.route), 'rule')}, fine", markup=False, soft_wrap=True)
    if labels:
        _explain(_labels(labels), rules, settings.services)


def _document(labels: dict[str, str], rules: Routes, services: Mapping[str, Service]) -> None:
    """Write the rules, and of labels which one takes them: null where none does."""
    told: dict[str, Any] = {"rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules.route]}
    if labels:
        rule = rules.find(labels)
        service = rule.service_of(labels, services) if rule else None
        known = {"rule": rules.route.index(rule), "procedure": rule.procedure, "service": service} if rule else None
        told["taken"] = known
    as_document(told)
    if labels and (not told["taken"] or told["taken"]["service"] is None):
        raise Stop(Exit.REFUSED, "no rule takes such an alert, or its service is not known: it would start nothing")


def _explain(labels: dict[str, str], rules: Routes, services: Mapping[str, Service]) -> None:
    """Ask what the webhook asks."""
    rule = rules.find(labels)
    if rule is None:
        raise Stop(Exit.REFUSED, "no rule takes such an alert: it would start nothing")
    number = rules.route.index(rule)
    service = rule.service_of(labels, services)
    if service is None:
        known = ", ".join(services) or "none"
        why = rule.foreign_to(labels, services) or f"its service is not known. Known: {known}"
        raise Stop(Exit.REFUSED, f"rule {number} takes it, but {why}")
    console.print(f"rule {number} takes it: {rule.procedure} for {service}", markup=False)


def _labels(given: Sequence[str]) -> dict[str, str]:
    pairs = [label.partition("=") for label in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise Stop(Exit.USAGE, "labels: expected LABEL=VALUE")
    return TypeAdapter(dict[Label, Told]).validate_python({name: value for name, _, value in pairs})


def _matchers(rule: Route) -> str:
    exact = [f'{name}="{value}"' for name, value in rule.match.items()]
    return " ".join([*exact, *(f'{name}=~"{pattern.pattern}"' for name, pattern in rule.match_re.items())])
