"""A page as people see it."""

from typing import Any

import psycopg

from activities.messages.status_page.status_page import (
    StatusPage,
)
from tests.activities.contracts.statuspage import StatuspageContract


class Shown:
    """One of the two pages, and what its component shows; a person's change is made as people make it there."""

    def __init__(self, page: StatusPage, own: psycopg.Connection[Any] | None, service: StatuspageContract) -> None:
        self.page = page
        self._own = own
        self._service = service

    @property
    def api(self) -> str:
        if self._own is None:
            return self._service.components["comp-api"]
        rows = self._own.execute("SELECT shows::text FROM runbooks.status_page WHERE component = 'api'").fetchall()
        return str(rows[0][0]) if rows else "operational"

    def by_hand(self, shows: str) -> None:
        if self._own is not None:
            query = "INSERT INTO runbooks.status_by_hand (component, shows, who) VALUES ('api', %s, 'ada')"
            self._own.execute(query, (shows,))
            return
        self._service.components["comp-api"] = shows
        said = [{"code": "comp-api", "new_status": shows}]
        self._service.incidents.append(
            {
                "id": "by-hand",
                "name": "DNS",
                "status": "investigating",
                "metadata": {},
                "components": [{"id": "comp-api", "status": shows}],
                "incident_updates": [{"id": "u1", "status": "investigating", "affected_components": said}],
            }
        )

    def by_hand_is_over(self) -> None:
        if self._own is not None:
            self._own.execute("UPDATE runbooks.status_by_hand SET ended_at = clock_timestamp()")
            return
        (theirs,) = [one for one in self._service.incidents if one["id"] == "by-hand"]
        theirs["status"] = "resolved"
