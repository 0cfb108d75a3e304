"""What settings must hold together: values against their uses, found at start and not by a run at 03:00.

Not validators of the models: those read recorded histories as well, whose runs have begun with what they have.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from activities.catalogue.service import ApprovalPolicy, Service
from audit.text import length

QUESTIONS = frozenset(
    {
        "certificate",
        "compliance",
        "contain",
        "database",
        "deploy",
        "drain",
        "failover",
        "legal",
        "maintain",
        "mitigate",
        "restore",
        "revoke",
        "scale",
    }
)
"""Kinds of the questions that procedures ask: a second person can be asked of these alone."""

_ROLES = frozenset(ApprovalPolicy().roles)
"""What people are asked or allowed by role: the defaults name all of it."""


class Fault(NamedTuple):
    """What is wrong, and where in the settings."""

    place: tuple[str | int, ...]
    what: str


def faults(services: Mapping[str, Service], approvals: ApprovalPolicy) -> list[Fault]:
    """Find everything that no run could work with; in the order of the settings."""
    found = [*_approvals(approvals)]
    for name, service in services.items():
        found += [Fault(("services", name, *place), what) for place, what in _service(service)]
    return found


def unknown_poolers(services: Mapping[str, Service], known: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Find poolers that no database has; `known` has those of each database."""
    for name, service in services.items():
        if service.database is None:
            continue
        there = known.get(service.database.name, ())
        for number, pooler in enumerate(service.database.poolers):
            if pooler not in there:
                section = f"[databases.{service.database.name}.poolers]"
                what = f"{section} has no {pooler!r}; it has: {', '.join(there) or 'none'}"
                yield Fault(("services", name, "database", "poolers", number), what)


def unknown_variables(environment: Mapping[str, str], sections: Mapping[str, Any]) -> Iterator[Fault]:
    """Find variables of ours that name no section: they would be read by nobody."""
    for name in environment:
        section, nested, _ = name.removeprefix("RUNBOOKS_").partition("__")
        if name.startswith("RUNBOOKS_") and nested and section.lower() not in sections:
            yield Fault((name,), f"there is no section {section.lower()}. Sections: {', '.join(sections)}")


def _approvals(approvals: ApprovalPolicy) -> Iterator[Fault]:
    for number, name in enumerate(approvals.second_person):
        if name not in QUESTIONS:
            what = f"no question is called {name!r}, so one person would do. Questions: {', '.join(sorted(QUESTIONS))}"
            yield Fault(("approvals", "second_person", number), what)
    for name in approvals.roles:
        if name not in _ROLES:
            what = f"nothing asks for {name!r}. Known: {', '.join(sorted(_ROLES))}"
            yield Fault(("approvals", "roles", name), what)
    for name in sorted(_ROLES):
        if not approvals.roles.get(name):
            yield Fault(("approvals", "roles"), f"nobody may {name}: name a role for it, or leave out all of `roles`")


def _service(service: Service) -> Iterator[Fault]:
    scaling, customers, gpu = service.scaling, service.customers, service.gpu
    yield from _in_order(("scaling",), "lease", scaling.lease, "longest_lease", scaling.longest_lease)
    grace = ("customers",)
    yield from _in_order(grace, "key_grace", customers.key_grace, "longest_key_grace", customers.longest_key_grace)
    churn, place = customers.churn, ("customers", "churn")
    yield from _in_order(place, "remind_after", churn.remind_after, "escalate_after", churn.escalate_after)
    yield from _in_order(place, "escalate_after", churn.escalate_after, "give_up_after", churn.give_up_after)
    if gpu is not None and gpu.min_nodes > gpu.max_nodes:
        yield Fault(("gpu", "min_nodes"), f"{gpu.min_nodes} is above max_nodes, {gpu.max_nodes}")
    if service.database is not None:
        restore, place = service.database.restore, ("database", "restore")
        yield from _in_order(place, "forensics", restore.forensics, "longest_forensics", restore.longest_forensics)


def _in_order(
    place: tuple[str, ...], name: str, value: timedelta, limit_name: str, limit: timedelta
) -> Iterator[Fault]:
    if value > limit:
        yield Fault((*place, name), f"{length(value)} is longer than {limit_name}, {length(limit)}")
