"""How an authority is shown that a name is ours: a page under it (HTTP-01), or a record of its DNS (DNS-01).

HTTP-01's pages are rows of the records, which `runbooks challenge-server` serves behind the ingress, at
`/.well-known/acme-challenge/`; DNS-01's are TXT records in Route 53. What is shown is no secret.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from activities.common.aws import failures
from activities.common.effects import Change, Effect
from activities.common.errors import Conflict, Misconfigured, Refused
from activities.records.ledger import Ledger, Rows
from libraries import httpx

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_PATH = "/.well-known/acme-challenge/"
_KEPT_FOR = timedelta(days=1)
_ROUTE_53 = "Route 53"
_TTL = 60
_IN_SYNC = "INSYNC"


@dataclass(frozen=True)
class Shown:
    """What is to be shown for one name."""

    name: str
    """Without `*.`."""
    token: str
    value: str


class Challenges(Protocol):
    """One way of showing it; each call may be made twice."""

    kind: str

    def show(self, shown: list[Shown], effect: Effect) -> Change:
        """Show it."""

    def hidden(self, shown: list[Shown]) -> list[str]:
        """Say what can't be seen yet; empty once all of it can."""

    def clean(self, shown: list[Shown], effect: Effect) -> Change:
        """Take it away."""


class HttpChallenges:
    """HTTP-01.

    Args:
        pool: The records.
        http: For the look whether it can be seen.
        look_at: Where to look, e.g. the ingress's inner address; at the name itself where it is None.

    """

    kind = "http-01"

    def __init__(self, pool: "ConnectionPool[Any]", http: "httpx.Client", look_at: str | None = None) -> None:
        self._ledger = Ledger(pool)
        self._http = http
        self._look_at = look_at

    def show(self, shown: list[Shown], effect: Effect) -> Change:
        """Keep the pages in the records, for a day at most."""
        return self._ledger.once(effect, "acme_challenge.show", partial(_show, shown=shown, effect=effect))

    def clean(self, shown: list[Shown], effect: Effect) -> Change:
        """Remove the pages."""
        return self._ledger.once(effect, "acme_challenge.clean", partial(_clean, shown=shown))

    def hidden(self, shown: list[Shown]) -> list[str]:
        """Ask for each page, as the authority will."""
        return [f"{one.name}: {why}" for one in shown if (why := self._unseen(one))]

    def _unseen(self, shown: Shown) -> str:
        base = self._look_at.rstrip("/") if self._look_at else f"http://{shown.name}"
        try:
            answer = self._http.get(
                f"{base}{_PATH}{shown.token}", headers={"Host": shown.name}, follow_redirects=True, timeout=5
            )
        except httpx.HTTPError as error:
            return f"{_PATH}… can't be asked for ({type(error).__name__})"
        if not answer.is_success:
            return f"{_PATH}… answers {answer.status_code}: does it lead to `runbooks challenge-server`?"
        return "" if answer.text.strip() == shown.value else f"{_PATH}… answers something else"


def key_authorization(rows: Rows, token: str) -> str | None:
    """Give the page of a token; None where there is none (any more)."""
    row = rows.execute(
        "SELECT key_authorization FROM runbooks.acme_challenges WHERE token = %s AND expires_at > clock_timestamp()",
        (token,),
    ).fetchone()
    return None if row is None else str(row["key_authorization"])


def _show(rows: Rows, shown: list[Shown], effect: Effect) -> Change:
    rows.execute("DELETE FROM runbooks.acme_challenges WHERE expires_at < clock_timestamp()")  # of runs that were ended
    for one in shown:
        rows.execute(
            """
            INSERT INTO runbooks.acme_challenges
                   (token, name, key_authorization, expires_at, workflow_id, run_id, effect_key)
            VALUES (%s, %s, %s, clock_timestamp() + %s, %s, %s, %s)
            ON CONFLICT (token) DO NOTHING
            """,
            (one.token, one.name, one.value, _KEPT_FOR, effect.workflow_id, effect.run_id, f"{effect.key}/{one.token}"),
        )
    return Change(target="acme challenges", after=f"shown for {_names(shown)}", applied=bool(shown))


def _clean(rows: Rows, shown: list[Shown]) -> Change:
    rows.execute("DELETE FROM runbooks.acme_challenges WHERE token = ANY(%s)", ([one.token for one in shown],))
    return Change(target="acme challenges", before="shown", after="removed", applied=rows.rowcount > 0)


class Route53Challenges:
    """DNS-01 in the hosted zones of one AWS account; what others have in a record stays."""

    kind = "dns-01"

    def __init__(self, client: Any) -> None:
        self._client = client
        self._changes: dict[str, str] = {}
        self._zones: list[tuple[str, str]] = []

    def show(self, shown: list[Shown], effect: Effect) -> Change:
        """Add the values.

        Raises:
            Misconfigured: there is no public hosted zone for a name.
            Conflict: somebody else changes the record at the same time.

        """
        changed = [self._add(name, values, effect) for name, values in _records(shown)]
        return Change(target="route53", after=f"shown for {_names(shown)}", applied=any(changed) and not effect.dry_run)

    def hidden(self, shown: list[Shown]) -> list[str]:
        """Ask whether all of Route 53's servers know the records.

        A change's own ID would be lost with the worker that made it; so at the first look the same change is made
        again, which changes nothing, and its state is asked for.
        """
        return [f"{name}: Route 53 is still telling its servers" for name, _ in _records(shown) if not self._told(name)]

    def clean(self, shown: list[Shown], effect: Effect) -> Change:
        """Take our values out, and the record with the last one."""
        changed = [self._take_out(name, values, effect) for name, values in _records(shown)]
        return Change(target="route53", before="shown", after="removed", applied=any(changed) and not effect.dry_run)

    def _add(self, name: str, values: list[str], effect: Effect) -> bool:
        zone = self._zone(name)
        found = self._found(zone, name)
        there = _values(found)
        wanted = [*there, *(value for value in values if value not in there)]
        if wanted != there and not effect.dry_run:
            self._replace(zone, found, _record(name, wanted))
        return wanted != there

    def _take_out(self, name: str, values: list[str], effect: Effect) -> bool:
        zone = self._zone(name)
        found = self._found(zone, name)
        there = _values(found)
        left = [value for value in there if value not in values]
        if left != there and not effect.dry_run:
            self._replace(zone, found, _record(name, left) if left else None)
        return left != there

    def _told(self, name: str) -> bool:
        if name not in self._changes:
            zone = self._zone(name)
            found = self._found(zone, name)
            if found is None:
                return False
            self._changes[name] = self._replace(zone, found, found)
        with failures(_ROUTE_53):
            state = self._client.get_change(Id=self._changes[name])
        return bool(state["ChangeInfo"]["Status"] == _IN_SYNC)

    def _replace(self, zone: str, found: dict[str, Any] | None, wanted: dict[str, Any] | None) -> str:
        """Replace a record in one batch, and give the change's ID.

        Deleting takes the very values that were read, so that nobody's are lost.

        Raises:
            Conflict: it has others by now.

        """
        changes = [{"Action": "DELETE", "ResourceRecordSet": found}] if found else []
        changes += [{"Action": "UPSERT", "ResourceRecordSet": wanted}] if wanted else []
        try:
            with failures(_ROUTE_53):
                answer = self._client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        except Refused as error:
            if "InvalidChangeBatch" in error.message:
                raise Conflict(f"{_ROUTE_53}: the record was changed by somebody else at the same time") from None
            raise
        return str(answer["ChangeInfo"]["Id"])

    def _zone(self, name: str) -> str:
        """Find the public zone with the longest name that the record belongs to."""
        fitting = [(own, id_) for own, id_ in self._public_zones() if name == own or name.endswith(f".{own}")]
        if not fitting:
            raise Misconfigured(f"{_ROUTE_53} has no public hosted zone for {name}")
        return max(fitting, key=lambda zone: len(zone[0]))[1]

    def _public_zones(self) -> list[tuple[str, str]]:
        if not self._zones:
            with failures(_ROUTE_53):
                pages = self._client.get_paginator("list_hosted_zones").paginate()
                found = [zone for page in pages for zone in page["HostedZones"]]
            public = [zone for zone in found if not zone["Config"].get("PrivateZone")]
            self._zones = [(zone["Name"].rstrip("."), zone["Id"]) for zone in public]
        return self._zones

    def _found(self, zone: str, name: str) -> dict[str, Any] | None:
        with failures(_ROUTE_53):
            answer = self._client.list_resource_record_sets(
                HostedZoneId=zone, StartRecordName=name, StartRecordType="TXT", MaxItems="1"
            )
        sets = answer["ResourceRecordSets"]
        there = bool(sets) and sets[0]["Name"].rstrip(".") == name and sets[0]["Type"] == "TXT"
        return dict(sets[0]) if there else None


def _records(shown: list[Shown]) -> Iterator[tuple[str, list[str]]]:
    """Give each record with its values: a name and its wildcard share one."""
    names = dict.fromkeys(one.name for one in shown)
    for name in names:
        yield f"_acme-challenge.{name}", [f'"{one.value}"' for one in shown if one.name == name]


def _values(found: dict[str, Any] | None) -> list[str]:
    return [record["Value"] for record in found["ResourceRecords"]] if found else []


def _record(name: str, values: list[str]) -> dict[str, Any]:
    records = [{"Value": value} for value in values]
    return {"Name": f"{name}.", "Type": "TXT", "TTL": _TTL, "ResourceRecords": records}


def _names(shown: list[Shown]) -> str:
    return ", ".join(dict.fromkeys(one.name for one in shown)) or "no name"
