"""Blocking addresses for a time or for good (runbook 8.1 step 6): `tensafe-admin security block-ip`.

A row of the records says who has blocked what until when; it is there before the address is in any list. What others
have in the lists stays, and so does what another incident blocks as well.
"""

import socket
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, Field
from temporalio import activity

from activities.addresses.lists import AddressList, Lists
from activities.catalogue.security import BlockPolicy
from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused
from activities.common.text import Key, Link, Name
from activities.records.ledger import Ledger, Rows
from audit.text import counted

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_Network = IPv4Network | IPv6Network


class Blocking(BaseModel):
    """Addresses, and where they would be blocked."""

    service: Name
    namespace: Key
    health_url: Link
    policy: BlockPolicy
    addresses: list[Key] = Field(description="IPv4 and IPv6, in CIDR form.")


class Objections(BaseModel):
    """What must not be blocked."""

    against: dict[str, str] = Field(description="Address → why it is never blocked.")

    def __str__(self) -> str:
        return "; ".join(f"{address}: {why}" for address, why in self.against.items()) or "nothing speaks against it"


class BlockAddresses(Blocking):
    """Block them."""

    incident_id: Key
    until: AwareDatetime | None = Field(description="None for good.")
    effect: Effect


class UnblockAddresses(BaseModel):
    """Give back what an incident has blocked for a time, where that is over."""

    service: Name
    namespace: Key
    policy: BlockPolicy
    incident_id: Key
    effect: Effect


class Blocked(BaseModel):
    """A block for a time that has not ended."""

    incident_id: str
    until: AwareDatetime
    workflow_id: str


class Blocks:
    """Raises what `Ledger`, `Kubernetes` and `activities.common.aws.failures` raise."""

    def __init__(self, pool: "ConnectionPool[Any]", lists: Lists) -> None:
        self._ledger = Ledger(pool)
        self._lists = lists

    @activity.defn(name="blocks.objections")
    def objections(self, request: Blocking) -> Objections:
        """Tell which of the addresses must never be blocked: private ones, our own, whoever stands in settings."""
        return Objections(against=self._against(request))

    @activity.defn(name="blocks.block")
    @effect
    def block(self, request: BlockAddresses) -> Change:
        """Block them.

        Raises:
            Refused: one must never be blocked; nothing is blocked then.

        """
        if against := self._against(request):
            raise Refused(str(Objections(against=against)))
        networks = [ip_network(address) for address in request.addresses]
        per_list = _per_list(self._lists, request.namespace, request.policy, networks)
        there = {of.name: of.read() for of, _ in per_list}
        wanted = [(of.name, str(net), str(net) in there[of.name]) for of, nets in per_list for net in nets]
        done = self._ledger.once(request.effect, "addresses.block", partial(_enter, request=request, wanted=wanted))
        for of, nets in per_list:
            new = {str(net) for net in nets}
            of.change(partial(_with, new=new), dry_run=request.effect.dry_run)
        return done

    @activity.defn(name="blocks.unblock")
    @effect
    def unblock(self, request: UnblockAddresses) -> Change:
        """Take what is over out of the lists, unless somebody else has it there."""
        return self.give_back(request)

    def give_back(self, request: UnblockAddresses) -> Change:
        """Do that; also for whoever clears up behind a run that is gone."""
        with self._ledger.read() as rows:
            over = rows.execute(_OVER, (request.incident_id, request.service)).fetchall()
        lists: dict[str, AddressList] = {
            of.name: of for version in (4, 6) for of in self._lists.of(request.namespace, request.policy, version)
        }
        for place in sorted({row["place"] for row in over} & set(lists)):
            gone = {row["address"] for row in over if row["place"] == place and not row["stays"]}
            lists[place].change(partial(_without, gone=gone), dry_run=request.effect.dry_run)
        # Only now: whoever comes after a kill in between takes them out again.
        ids = [row["id"] for row in over]
        work = partial(_end, ids=ids, addresses=sorted({row["address"] for row in over}))
        return self._ledger.once(request.effect, "addresses.unblock", work)

    def open(self, service: str) -> list[Blocked]:
        """Give the blocks for a time of a service that have not ended, one an incident."""
        with self._ledger.read() as rows:
            found = rows.execute(_OPEN, (service,)).fetchall()
        return [Blocked.model_validate(row) for row in found]

    def _against(self, request: Blocking) -> dict[str, str]:
        policy = request.policy
        own = {
            "settings never block it": [ip_network(each) for each in policy.never],
            "it is the service's own": [ip_network(each) for each in self._own(request)],
        }
        against: dict[str, str] = {}
        for address in request.addresses:
            network = ip_network(address)
            widest = {4: policy.widest_ipv4, 6: policy.widest_ipv6}[network.version]
            if not network.is_global or network.is_multicast:
                against[address] = "it is not of the public internet"
            elif network.prefixlen < widest:
                against[address] = f"it is wider than /{widest}"
            elif not self._lists.of(request.namespace, policy, network.version):
                against[address] = f"settings name no list for IPv{network.version}"
            for why, networks in own.items():
                if any(_overlap(network, other) for other in networks):
                    against[address] = why
        return against

    def _own(self, request: Blocking) -> set[str]:
        """Give the addresses at which the service is reached."""
        hosts = {host for of in self._lists.ingresses(request.namespace, request.policy) for host in of.entrances()}
        hosts.add(urlsplit(request.health_url).hostname or "")
        own: set[str] = set()
        for host in hosts - {""}:
            with suppress(OSError, UnicodeError):  # a name that leads nowhere has no address of ours
                own |= {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)}
        return own


_OVER = """
SELECT b.id, b.place, b.address::text AS address,
       b.was_there OR EXISTS (SELECT FROM runbooks.blocked_addresses o
                              WHERE o.place = b.place AND o.address = b.address AND o.service = b.service
                                AND o.ended_at IS NULL AND o.id <> b.id
                                AND (o.until IS NULL OR o.until > now())) AS stays
FROM runbooks.blocked_addresses b
WHERE b.incident_id = %s AND b.service = %s AND b.ended_at IS NULL AND b.until <= now() ORDER BY b.id
"""
_OPEN = """
SELECT incident_id, min(until) AS until, min(workflow_id) AS workflow_id FROM runbooks.blocked_addresses
WHERE service = %s AND ended_at IS NULL AND until IS NOT NULL GROUP BY incident_id ORDER BY 2
"""


def _per_list(
    lists: Lists, namespace: str, policy: BlockPolicy, networks: list[_Network]
) -> list[tuple[AddressList, list[_Network]]]:
    """Give each list with what belongs into it."""
    found: dict[str, tuple[AddressList, list[_Network]]] = {}
    for network in networks:
        for of in lists.of(namespace, policy, network.version):
            found.setdefault(of.name, (of, []))[1].append(network)
    return list(found.values())


def _with(there: set[str], *, new: set[str]) -> set[str]:
    return there | new


def _without(there: set[str], *, gone: set[str]) -> set[str]:
    return there - gone


def _overlap(one: _Network, other: _Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _enter(rows: Rows, request: BlockAddresses, wanted: list[tuple[str, str, bool]]) -> Change:
    for place, address, there in wanted:
        rows.execute(
            """
            INSERT INTO runbooks.blocked_addresses
                   (address, place, service, incident_id, until, was_there, workflow_id, run_id, effect_key)
            VALUES (%(address)s, %(place)s, %(service)s, %(incident)s, %(until)s,
                    -- One that another incident has put there is no person's.
                    %(there)s AND NOT EXISTS (SELECT FROM runbooks.blocked_addresses
                                              WHERE place = %(place)s AND address = %(address)s::cidr
                                                AND service = %(service)s AND ended_at IS NULL AND NOT was_there),
                    %(workflow)s, %(run)s, %(key)s)
            """,
            {
                "address": address,
                "place": place,
                "service": request.service,
                "incident": request.incident_id,
                "until": request.until,
                "there": there,
                "workflow": request.effect.workflow_id,
                "run": request.effect.run_id,
                "key": f"{request.effect.key}/{place}/{address}",
            },
        )
    how = f"blocked until {request.until:%Y-%m-%d %H:%M %Z}" if request.until else "blocked for good"
    places = ", ".join(sorted({place for place, _, _ in wanted}))
    return Change(target=f"addresses/{', '.join(request.addresses)}", after=how, applied=True, note=f"in {places}")


def _end(rows: Rows, ids: list[int], addresses: list[str]) -> Change:
    ended = rows.execute(
        "UPDATE runbooks.blocked_addresses SET ended_at = %s WHERE id = ANY(%s) AND ended_at IS NULL",
        (datetime.now(UTC), ids),
    ).rowcount
    return Change(
        target=f"addresses/{', '.join(addresses) or 'none'}",
        after=f"{counted(ended, 'block')} given back",
        applied=ended > 0,
    )
