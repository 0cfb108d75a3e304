"""Who is on duty, from the records' shifts."""

from datetime import datetime

from pydantic import BaseModel, Field

from activities.records.ledger import Rows


class OnCallRequest(BaseModel):
    """Who is on call."""

    rotation: str
    at: datetime
    level: int = Field(default=1, ge=1, description="1 primary; 2 and up: escalations.")


class OnCall(BaseModel):
    """The person on duty; the rotation's own name and address where nobody is entered."""

    name: str
    email: str = ""
    level: int = 1

    def __str__(self) -> str:
        return self.name


def on_duty(rows: Rows, rotation: str, level: int, at: datetime | None) -> tuple[str, str]:
    """Give name and address of who is on duty at `at` (None: now).

    Where no shift covers it the rotation's own name and address answer: they reach a team, if not a person.
    """
    row = rows.execute(
        """
        SELECT coalesce(c.name, r.name) AS name, coalesce(c.email, r.email, '') AS email
        FROM (SELECT %(rotation)s::text AS name) AS asked
        LEFT JOIN runbooks.on_call_rotations r USING (name)
        LEFT JOIN runbooks.on_call_shifts s
               ON s.rotation = r.name AND s.level = %(level)s AND s.during @> coalesce(%(at)s::timestamptz, now())
        LEFT JOIN runbooks.on_call_contacts c ON c.name = s.contact
        """,
        {"rotation": rotation, "level": level, "at": at},
    ).fetchone()
    if row is None:
        return rotation, ""
    return row["name"] or rotation, row["email"]
