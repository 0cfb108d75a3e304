"""What the cluster lets us do, asked of it: as `kubectl auth can-i`, of the account that we are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.kubernetes.api import ask
from libraries import kubernetes

if TYPE_CHECKING:
    from libraries import kubernetes as _kubernetes


@dataclass(frozen=True)
class Permission:
    """One thing that a run does; `namespace` is empty for what belongs to none."""

    namespace: str
    verb: str
    resource: str
    """As in a Role, with its subresource: `pods/log`."""

    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' in {self.namespace}' if self.namespace else ''}"


def refused(api: "_kubernetes.ApiClient", wanted: Iterable[Permission]) -> list[Permission]:
    """Name what we may not do, by a SelfSubjectAccessReview each; nothing is changed.

    Raises:
        Unavailable, Refused: the API server doesn't answer, or doesn't tell.

    """
    reviews = kubernetes.AuthorizationV1Api(api)
    found = []
    for one in wanted:
        resource, _, subresource = one.resource.partition("/")
        attributes = {
            "namespace": one.namespace,
            "verb": one.verb,
            "group": one.group,
            "resource": resource,
            "subresource": subresource,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
        }
        answer = ask(reviews.create_self_subject_access_review, body)
        if not answer.get("status", {}).get("allowed"):
            found.append(one)
    return found
