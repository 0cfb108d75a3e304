"""The hourly pulse's warnings: one alert an episode, however many pulses see it (runbook 1.2)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from activities.common.effects import Change, Effect
from activities.records.ledger import Rows
from libraries import psycopg

SOURCE = "pulse"
NAME = "HourlyPulse"

State = Literal["healthy", "warning"]


class RecordPulse(BaseModel):
    """What one pulse has seen: `tensafe-admin alert create --severity warning` where that is nothing good."""

    service: str
    at: datetime
    healthy: bool
    says: str
    effect: Effect


def record(rows: Rows, request: RecordPulse) -> Change:
    """Raise the warning where the service is not healthy and has none, resolve it where it is healthy.

    `before` and `after` are what the records said and say of the service: `healthy` or `warning`.
    """
    # Two pulses of one moment make one warning.
    rows.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{SOURCE}/{request.service}",))
    known = rows.execute(
        "SELECT id, starts_at FROM runbooks.alerts WHERE source = %s AND service = %s AND status = 'firing'",
        (SOURCE, request.service),
    ).fetchone()
    before: State = "healthy" if known is None else "warning"
    after: State = "healthy" if request.healthy else "warning"
    since = f"since {known['starts_at']:%F %T}Z" if known else ""
    if known is not None and request.healthy:
        rows.execute(
            "UPDATE runbooks.alerts SET status = 'resolved', resolved_at = %s, ends_at = %s, notes = %s WHERE id = %s",
            (request.at, request.at, request.says, known["id"]),
        )
    elif known is None and not request.healthy:
        _raise(rows, request)
    return Change(target=f"{SOURCE}/{request.service}", before=before, after=after, applied=before != after, note=since)


def _raise(rows: Rows, request: RecordPulse) -> None:
    effect, as_json = request.effect, psycopg.types.json.Jsonb
    rows.execute(
        """
        INSERT INTO runbooks.alerts
               (source, fingerprint, starts_at, name, status, labels, annotations, generator_url, group_key,
                service, severity, incident_id, acknowledged_by, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, 'firing', %s, %s, '', '',
                %s, 'P3', '', '', %s, %s, %s)
        """,
        (
            SOURCE,
            request.service,
            request.at,
            NAME,
            as_json({}),
            as_json({"summary": request.says}),
            request.service,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )
