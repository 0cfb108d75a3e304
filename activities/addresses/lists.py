"""Lists of blocked addresses: of an Ingress, and of AWS WAFv2. Each is replaced whole, under what was read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from activities.catalogue.security import BlockPolicy, IpSet
from activities.common.aws import code, failures
from activities.common.errors import Conflict
from activities.kubernetes.api import Object, ask
from activities.kubernetes.changing import patch, settle
from libraries import aws_errors

if TYPE_CHECKING:
    from libraries import kubernetes

_DENY = "nginx.ingress.kubernetes.io/denylist-source-range"
_SYSTEM = "AWS WAF"
_TRIES = 5

Change = Callable[[set[str]], set[str]]
"""From what is in a list to what is to be in it."""


class AddressList(Protocol):
    """One of them. Addresses are networks in CIDR form."""

    name: str

    def read(self) -> set[str]:
        """Give what is in it."""

    def change(self, to: Change, *, dry_run: bool) -> None:
        """Replace what is in it; raises `Conflict` where it changes all the time."""


class IngressList:
    """What ingress-nginx denies at an Ingress."""

    def __init__(self, networking: "kubernetes.NetworkingV1Api", namespace: str, ingress: str) -> None:
        self.name = f"ingress/{ingress}"
        self._networking = networking
        self._where = (ingress, namespace)

    def read(self) -> set[str]:
        """Give what is in it."""
        return _denied(self._raw())

    def entrances(self) -> set[str]:
        """Give the addresses at which it is reached, or the names: some clouds' load balancers have these instead."""
        entrances = (self._raw().get("status") or {}).get("loadBalancer", {}).get("ingress") or []
        return {each.get("ip") or each.get("hostname") or "" for each in entrances} - {""}

    def change(self, to: Change, *, dry_run: bool) -> None:
        """Replace what is in it."""

        def plan(found: Object) -> tuple[None, Object | None]:
            before = _denied(found)
            after = to(set(before))
            if after == before:
                return None, None
            text = ",".join(sorted(after)) or None
            version = found["metadata"]["resourceVersion"]
            return None, {"metadata": {"resourceVersion": version, "annotations": {_DENY: text}}}

        send = self._networking.patch_namespaced_ingress
        settle(
            self.name,
            read=self._raw,
            plan=plan,
            send=lambda _, body: patch(send, *self._where, body=body, dry_run=dry_run),
        )

    def _raw(self) -> Object:
        return ask(self._networking.read_namespaced_ingress, *self._where)


class WafList:
    """An IP set of AWS WAFv2; the LockToken that was read refuses a change over somebody else's."""

    def __init__(self, client: Callable[[], Any], of: IpSet) -> None:
        self.name = f"ip-set/{of.name}"
        self._client = client
        self._which = {"Name": of.name, "Id": of.id, "Scope": "REGIONAL"}

    def read(self) -> set[str]:
        """Give what is in it."""
        return self._read()[0]

    def change(self, to: Change, *, dry_run: bool) -> None:
        """Replace what is in it."""
        for _ in range(_TRIES):
            before, token, kept = self._read()
            after = to(set(before))
            if after == before or dry_run:
                return
            with failures(_SYSTEM):
                try:
                    self._client().update_ip_set(**self._which, **kept, Addresses=sorted(after), LockToken=token)
                except aws_errors.ClientError as error:
                    if code(error) != "WAFOptimisticLockException":
                        raise
                    continue
            return
        raise Conflict(f"{self.name} changes all the time")

    def _read(self) -> tuple[set[str], str, dict[str, str]]:
        with failures(_SYSTEM):
            answer = self._client().get_ip_set(**self._which)
        found = answer["IPSet"]
        # An update without it would take it away.
        kept = {"Description": found["Description"]} if found.get("Description") else {}
        return set(found["Addresses"]), answer["LockToken"], kept


class Lists:
    """The lists that a service's settings name."""

    def __init__(self, networking: "kubernetes.NetworkingV1Api", waf: Callable[[], Any]) -> None:
        self._networking = networking
        self._waf = waf

    def ingresses(self, namespace: str, policy: BlockPolicy) -> list[IngressList]:
        """Give those of Ingresses, which take both kinds of addresses."""
        return [IngressList(self._networking, namespace, name) for name in policy.ingresses]

    def of(self, namespace: str, policy: BlockPolicy, version: int) -> list[AddressList]:
        """Give all that take addresses of an IP version."""
        ip_set = {4: policy.ipv4_set, 6: policy.ipv6_set}[version]
        sets = [WafList(self._waf, ip_set)] if ip_set is not None else []
        return [*self.ingresses(namespace, policy), *sets]


def _denied(ingress: Object) -> set[str]:
    text = (ingress["metadata"].get("annotations") or {}).get(_DENY, "")
    return {each.strip() for each in text.split(",") if each.strip()}
