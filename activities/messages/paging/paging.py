"""Paging the on-call: our own records, or PagerDuty's Events API v2, by settings (runbook 2.2).

The records backend keeps each page as a row; PagerDuty deduplicates by `dedup_key`, which is the effect's target.
"""

from typing import Protocol

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.severity import Severity


class PageOnCall(BaseModel):
    """Page a rotation about an incident; a higher level is an escalation."""

    incident_id: str
    service: str
    severity: Severity
    rotation: str
    level: int = Field(default=1, ge=1, description="1 primary; 2 and up: escalations.")
    summary: str
    link: str = Field(default="", description="To the run in the Temporal UI.")
    effect: Effect


class AcknowledgePage(BaseModel):
    """Somebody has taken the incident; stop reminding at the levels paged so far."""

    incident_id: str
    by: str = Field(description="Who took it.")
    levels: int = Field(default=1, ge=1, description="How many levels have been paged.")
    effect: Effect


class ResolvePage(BaseModel):
    """The incident is over; stop paging for it, at all levels."""

    incident_id: str
    levels: int = Field(default=1, ge=1, description="How many levels have been paged.")
    effect: Effect


class Pager(Protocol):
    """A paging backend; all calls are idempotent by incident and level."""

    def page(self, request: PageOnCall) -> Change:
        """Page somebody."""

    def acknowledge(self, request: AcknowledgePage) -> Change:
        """Say that somebody has taken the incident."""

    def resolve(self, request: ResolvePage) -> Change:
        """Withdraw the incident's pages."""


class Paging:
    """Pages through the configured backend."""

    def __init__(self, pager: Pager) -> None:
        self._pager = pager

    @activity.defn(name="paging.page")
    @effect
    def page(self, request: PageOnCall) -> Change:
        """Page the on-call (2.2, 0 min; escalations at every missed deadline)."""
        return self._pager.page(request)

    @activity.defn(name="paging.acknowledge")
    @effect
    def acknowledge(self, request: AcknowledgePage) -> Change:
        """Acknowledge the incident's pages (2.2, within 15 min)."""
        return self._pager.acknowledge(request)

    @activity.defn(name="paging.resolve")
    @effect
    def resolve(self, request: ResolvePage) -> Change:
        """Resolve the incident's pages (2.2 step 12)."""
        return self._pager.resolve(request)
