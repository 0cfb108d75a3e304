"""Alerts in the records: one row a firing, several firings may belong to one incident."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from activities.common.effects import Change, Effect
from activities.common.errors import Unavailable
from activities.common.refusable import Refusable
from activities.common.severity import Severity
from activities.common.text import Key, Label, Name, Told, ToldLine, fitted
from activities.common.times import Time
from activities.records.ledger import Rows
from libraries import psycopg

EPISODES_KEPT = 300
"""How many firings a run's memo names, so that repetitions of an ended incident's alerts begin nothing."""

_TITLE = 200


class Alert(Refusable):
    """One firing of one alert, whoever sent it."""

    source: Label = Field(description="alertmanager, ui, slack, cli, or the name of a source in the settings.")
    fingerprint: Name = Field(description="Identifies the alert (not the firing) at its source.")
    name: Label
    starts_at: Annotated[datetime, Time(made_fit=True)] = Field(
        description="When this firing began; with the fingerprint it is the episode."
    )
    status: Literal["firing", "resolved"] = "firing"
    ends_at: Annotated[datetime | None, Time(made_fit=True)] = None
    labels: dict[Label, Told] = Field(default_factory=dict)
    annotations: dict[Label, Told] = Field(default_factory=dict)
    generator_url: ToldLine = ""
    group_key: ToldLine = ""
    key: Key = Field(default="", description="What its source calls this firing, where it has a name for it.")

    @property
    def summary(self) -> str:
        """What a person reads first."""
        said = (self.annotations.get(name, "") for name in ("summary", "description"))
        return next((text for text in said if text.strip()), self.name)

    @property
    def title(self) -> str:
        """What an incident of it is called: one line, as a person's title is."""
        return fitted(" ".join(self.summary.split()), _TITLE)

    @property
    def episode(self) -> str:
        """What makes two posts the same firing: source, fingerprint and start (or `key`), as 12 hex digits."""
        firing = self.key or self.starts_at.astimezone(UTC).isoformat()
        return hashlib.sha256(f"{self.source}\0{self.fingerprint}\0{firing}".encode()).hexdigest()[:12]

    @property
    def of_whichever(self) -> bool:
        """Whether it ends a firing that its source doesn't name, and whose start it doesn't tell: what lasted no time.

        It is the end of the fingerprint's last firing that had begun by then.
        """
        return self.status == "resolved" and not self.key and self.starts_at == self.ends_at


class AcknowledgeAlert(BaseModel):
    """`tensafe-admin alert ack` (2.2 step 1): also records the alert, if it is new."""

    alert: Alert
    incident_id: str
    service: str
    severity: Severity
    effect: Effect


class ResolveAlert(BaseModel):
    """`tensafe-admin alert resolve` (2.3 step 7): the alert went away, or a person resolved it."""

    source: str
    fingerprint: str
    starts_at: datetime
    resolved_at: datetime
    notes: str = ""
    effect: Effect


def acknowledge(rows: Rows, request: AcknowledgeAlert) -> Change:
    """Record the firing if it is new, and give it to the incident."""
    alert = request.alert
    known = rows.execute(
        """
        SELECT id, incident_id FROM runbooks.alerts
        WHERE source = %s AND fingerprint = %s AND starts_at = %s
        FOR UPDATE
        """,
        (alert.source, alert.fingerprint, alert.starts_at),
    ).fetchone()
    target = f"alert/{alert.name}"
    after = f"acknowledged for {request.incident_id}"
    if known is None:
        if not _insert(rows, request):
            # Somebody else's row came in between; the next attempt sees it.
            raise Unavailable(f"{target} is being recorded by another run")
        return Change(target=target, after=after, applied=True)
    if known["incident_id"] == request.incident_id:
        return Change(target=target, after=after, applied=False, note="already")
    rows.execute(
        "UPDATE runbooks.alerts SET incident_id = %s, service = %s, severity = %s WHERE id = %s",
        (request.incident_id, request.service, request.severity, known["id"]),
    )
    return Change(target=target, before=f"acknowledged for {known['incident_id']}", after=after, applied=True)


def resolve(rows: Rows, request: ResolveAlert) -> Change:
    """Mark the firing resolved; the first time counts, and the first notes."""
    place = (request.source, request.fingerprint, request.starts_at)
    known = rows.execute(
        """
        SELECT id, name, resolved_at, notes FROM runbooks.alerts
        WHERE source = %s AND fingerprint = %s AND starts_at = %s
        FOR UPDATE
        """,
        place,
    ).fetchone()
    if known is None and request.effect.dry_run:
        return Change(target=f"alert/{request.fingerprint}", before="firing", after="resolved", applied=True)
    if known is None:
        # Its acknowledgement may still be on its way after an outage, so trying again can help.
        raise Unavailable(f"alert {request.fingerprint} of {request.source} is not in the records yet")
    target = f"alert/{known['name']}"
    if known["resolved_at"] is not None and request.notes and not known["notes"]:
        # It had gone away by itself; what a person or a run says of it is known only now.
        rows.execute("UPDATE runbooks.alerts SET notes = %s WHERE id = %s", (request.notes, known["id"]))
        return Change(target=target, before="resolved", after=f"resolved, {request.notes}"[:500], applied=True)
    if known["resolved_at"] is not None:
        return Change(target=target, after="resolved", applied=False, note=f"since {known['resolved_at']:%F %T}Z")
    rows.execute(
        """
        UPDATE runbooks.alerts
        SET status = 'resolved', resolved_at = %s, ends_at = coalesce(ends_at, %s), notes = %s
        WHERE id = %s
        """,
        (request.resolved_at, request.resolved_at, request.notes, known["id"]),
    )
    return Change(target=target, before="firing", after="resolved", applied=True)


def _insert(rows: Rows, request: AcknowledgeAlert) -> bool:
    alert, effect, as_json = request.alert, request.effect, psycopg.types.json.Jsonb
    rows.execute(
        """
        INSERT INTO runbooks.alerts
               (source, fingerprint, starts_at, name, status, ends_at, labels, annotations, generator_url, group_key,
                service, severity, incident_id, acknowledged_at, acknowledged_by, resolved_at,
                workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                %s, %s, %s, now(), %s, %s,
                %s, %s, %s)
        ON CONFLICT (source, fingerprint, starts_at) DO NOTHING
        """,
        (
            alert.source,
            alert.fingerprint,
            alert.starts_at,
            alert.name,
            alert.status,
            alert.ends_at,
            as_json(alert.labels),
            as_json(alert.annotations),
            alert.generator_url,
            alert.group_key,
            request.service,
            request.severity,
            request.incident_id,
            effect.actor,
            alert.ends_at if alert.status == "resolved" else None,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )
    return rows.rowcount == 1
