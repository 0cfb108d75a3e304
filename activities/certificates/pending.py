"""A key that waits for its certificate: a Secret beside the one that both are for, so that no kill loses them.

It is made by the run that holds the Secret, for one order, before the authority hears of that order. An order of
another effect (of a later try, or of a run that was terminated) begins clean: with a key of its own.
"""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from activities.common.effects import Effect
from activities.common.errors import Conflict, NotFound
from activities.kubernetes.api import FIELD_MANAGER, Object, ask, optional

if TYPE_CHECKING:
    from libraries import kubernetes

SUFFIX = "-renewal"
_ORDER = "runbooks.dev/order"
_FOR = "runbooks.dev/renewal-of"
_KEY, _CHAIN = "tls.key", "tls.crt"


class Order(BaseModel):
    """The annotation: which order it is for."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Of the effect."""
    run: str
    """Workflow ID."""
    url: str = ""
    """Empty until the authority has answered."""


@dataclass(frozen=True)
class Pending:
    """The Secret's contents; the key stays in activities."""

    order: Order
    key: bytes
    chain: bytes | None
    raw: Object


class PendingSecrets:
    """Reads and writes them; raises what `Kubernetes` raises, `Conflict` where somebody else was faster."""

    def __init__(self, core: "kubernetes.CoreV1Api") -> None:
        self._core = core

    def read(self, namespace: str, secret: str) -> Pending | None:
        """Give what waits for a Secret; None where nothing does."""
        found = optional(self._core.read_namespaced_secret, secret + SUFFIX, namespace)
        if found is None:
            return None
        try:
            order = Order.model_validate_json((found["metadata"].get("annotations") or {}).get(_ORDER, ""))
            data = found["data"]
            chain = base64.b64decode(data[_CHAIN]) if _CHAIN in data else None
            return Pending(order, base64.b64decode(data[_KEY]), chain, found)
        except (ValidationError, KeyError, ValueError):
            return Pending(Order(key="", run=""), b"", None, found)  # not ours to use: it is replaced

    def begin(self, namespace: str, secret: str, effect: Effect, key: bytes) -> Pending:
        """Keep a new key for an order; what was left of another is replaced."""
        order = Order(key=effect.key, run=effect.workflow_id)
        left = self.read(namespace, secret)
        if left is not None:
            self._remove(namespace, secret, left)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": secret + SUFFIX,
                "annotations": {_ORDER: order.model_dump_json(), _FOR: secret},
            },
            "data": {_KEY: base64.b64encode(key).decode()},
        }
        made = ask(self._core.create_namespaced_secret, namespace, body, field_manager=FIELD_MANAGER)
        return Pending(order, key, None, made)

    def ordered(self, namespace: str, secret: str, pending: Pending, url: str) -> Pending:
        """Note the order's URL."""
        order = pending.order.model_copy(update={"url": url})
        body = {"metadata": {"annotations": {_ORDER: order.model_dump_json()}}}
        return Pending(order, pending.key, None, self._patch(namespace, secret, pending, body))

    def issued(self, namespace: str, secret: str, pending: Pending, chain: bytes) -> None:
        """Keep the certificate beside its key."""
        self._patch(namespace, secret, pending, {"data": {_CHAIN: base64.b64encode(chain).decode()}})

    def forget(self, namespace: str, secret: str, effect: Effect) -> None:
        """Remove what a run has left waiting; what is another run's stays."""
        left = self.read(namespace, secret)
        if left is not None and left.order.run == effect.workflow_id:
            self._remove(namespace, secret, left)

    def _patch(self, namespace: str, secret: str, pending: Pending, body: Object) -> Object:
        metadata = {**body.get("metadata", {}), "resourceVersion": pending.raw["metadata"]["resourceVersion"]}
        return ask(
            self._core.patch_namespaced_secret,
            secret + SUFFIX,
            namespace,
            {**body, "metadata": metadata},
            field_manager=FIELD_MANAGER,
            _content_type="application/merge-patch+json",
        )

    def _remove(self, namespace: str, secret: str, pending: Pending) -> None:
        version = pending.raw["metadata"]["resourceVersion"]
        body = {"preconditions": {"resourceVersion": version}}
        try:
            ask(self._core.delete_namespaced_secret, secret + SUFFIX, namespace, body=body)
        except NotFound:
            return
        except Conflict:
            raise Conflict(f"secret/{secret}{SUFFIX} was changed by somebody else at the same time") from None
