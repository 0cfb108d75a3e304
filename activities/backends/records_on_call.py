"""Who is on duty, from the records' shifts."""

from datetime import datetime

from activities.backends.ledger import Rows


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
