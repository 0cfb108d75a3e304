"""What settings say of a service's security incidents (runbook 8.1)."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, model_validator

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key, Link, Words


class CredentialPolicy(ServicePolicy):
    """A credential that a security incident can rotate (runbook 8.1 step 4): where it lies, and who reads it."""

    kind: Literal["secret", "secrets-manager", "database-roles"] = Field(
        description="secret: a value in a Kubernetes Secret. secrets-manager: one of AWS Secrets Manager. "
        "database-roles: the login in a Kubernetes Secret's URL, of two roles that take turns."
    )
    secret: Key = Field(description="Name of the Secret; for secrets-manager its name or ARN.")
    key: Key = Field(
        default="",
        description="Of the Secret; for secrets-manager the field of its JSON, where it is not the whole text.",
    )
    overlap_key: Key = Field(
        default="",
        description="secret: the key with a second value that its readers accept as well. With it a new value is "
        "accepted everywhere before anybody uses it, and the old one until nobody does; without it there is a moment "
        "at which readers differ.",
    )
    database: Key = Field(default="", description="database-roles: of `[databases.NAME]`, as its administrator.")
    roles: tuple[Key, ...] = Field(
        default=(), description="database-roles: the two, with the same rights by roles that both are members of."
    )
    deployments: tuple[Key, ...] = Field(
        default=(), description="What reads it at its start, in the order of their restarts; the service's own if none."
    )

    @model_validator(mode="after")
    def _whole(self) -> "CredentialPolicy":
        of_roles = self.kind == "database-roles"
        if self.kind != "secrets-manager" and not self.key:
            message = "key: is required for a Kubernetes Secret"
        elif of_roles != bool(self.database) or of_roles != (len(set(self.roles)) == len(("one", "other"))):
            message = "database and two different roles: both for database-roles, neither otherwise"
        elif self.overlap_key and (self.kind != "secret" or self.overlap_key == self.key):
            message = "overlap_key: for secret alone, and another key than key"
        elif self.roles and len(self.roles) != len(set(self.roles)):
            message = "roles: one is named twice"
        else:
            return self
        raise ValueError(message)


class IpSet(ServicePolicy):
    """A set of addresses in AWS WAFv2, of the region's scope, that a rule of its web ACL blocks."""

    name: Key = Field(description="As the console shows it.")
    id: Key = Field(description="The set's UUID: the last part of its ARN.")


class BlockPolicy(ServicePolicy):
    """Where a security incident blocks addresses, and which ones never (runbook 8.1 step 6)."""

    never: tuple[Key, ...] = Field(
        min_length=1,
        description="Networks in CIDR form that are never blocked: your own, your operators', of the proxies and CDNs "
        "in front of the service, and of whoever checks its health.",
    )
    ingresses: tuple[Key, ...] = Field(
        default=(), description="Of ingress-nginx, in the service's namespace: their denylist-source-range."
    )
    ipv4_set: IpSet | None = Field(default=None, description="Of AWS WAFv2, for IPv4.")
    ipv6_set: IpSet | None = Field(default=None, description="Of AWS WAFv2, for IPv6.")
    lasting: timedelta = Field(
        default=timedelta(days=1), gt=timedelta(0), description="Of a block for a time; people may say for good."
    )
    widest_ipv4: int = Field(default=24, ge=8, le=32, description="No shorter prefix is blocked.")
    widest_ipv6: int = Field(default=56, ge=16, le=128, description="No shorter prefix is blocked.")

    @model_validator(mode="after")
    def _can_be_meant(self) -> "BlockPolicy":
        for each in self.never:
            try:
                ip_network(each)
            except ValueError as error:
                raise ValueError(f"never: {error}") from None
        if not (self.ingresses or self.ipv4_set or self.ipv6_set):
            raise ValueError("one of ingresses, ipv4_set and ipv6_set is required")
        return self


class AccessPolicy(ServicePolicy):
    """Where it stands who has used a service, and from where (runbook 8.1 step 5)."""

    controller_namespace: Key = Field(
        default="", description="Of ingress-nginx's pods, whose log has every request; none is read without it."
    )
    controller_selector: Key = Field(
        default="app.kubernetes.io/name=ingress-nginx,app.kubernetes.io/component=controller",
        min_length=1,
        description="Label selector of these pods.",
    )
    database: Key = Field(default="", description="Of `[databases.NAME]`: where `query` is run, on its primary.")
    query: Words = Field(
        default="",
        description="SQL that gives the service's own accesses between `%(since)s` and `%(until)s`: columns `at` "
        "(timestamptz), `address` (inet or text), and where there are such `who` (a person or a key's ID, never the "
        "key), `what` and `allowed` (boolean, false for a refused log-in). It runs in a read-only transaction.",
    )
    known_since: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(0),
        le=timedelta(days=92),
        description="How far back is read to know what is usual. Logs of pods reach as far as their nodes keep them.",
    )
    often: int = Field(default=10, ge=2, le=10_000, description="Refusals of one address or name that are a finding.")

    @model_validator(mode="after")
    def _somewhere(self) -> "AccessPolicy":
        if bool(self.database) != bool(self.query):
            raise ValueError("database and query: both or neither")
        if not (self.controller_namespace or self.query):
            raise ValueError("one of controller_namespace and query is required")
        return self


class SecurityPolicy(ServicePolicy):
    """Who hears of a security incident, and how long its steps wait (runbook 8.1)."""

    channel: Key = Field(
        default="#security-incidents",
        description="Its chat channel: a private one, that investigators alone can read and search.",
    )
    on_call: Key | None = Field(default=None, description="Rotation that is paged; the service's where none is named.")
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="Of a question, until it escalates."
    )
    drain_within: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="How long a drain waits, then people are asked."
    )
    legal_within: timedelta = Field(
        default=timedelta(hours=12),
        gt=timedelta(0),
        description="For the decision which duties to notify there are; their clocks run whatever is answered late.",
    )
    return_within: timedelta = Field(
        default=timedelta(days=1), gt=timedelta(0), description="For the answer whether nodes return."
    )
    credentials: dict[Key, CredentialPolicy] = Field(
        default_factory=dict, description="What can be rotated, by name; nothing where none is named."
    )
    blocks: BlockPolicy | None = Field(default=None, description="Where addresses are blocked; nowhere without.")
    accesses: AccessPolicy | None = Field(
        default=None, description="Where it stands who has used the service; accesses are not reviewed without."
    )
    debug_image: Link = Field(
        default="",
        description="Image of debug containers, with a shell, cat, tr and readlink, such as `busybox:1.37`: they are "
        "added to suspected pods, and write down processes and connections. None are added without.",
    )
    debug_within: timedelta = Field(
        default=timedelta(minutes=1), gt=timedelta(0), le=timedelta(minutes=5), description="For a debug container."
    )
    checkpoint: bool = Field(
        default=False,
        description="Whether the kubelets are asked for checkpoints of suspected containers. Each is a file on the "
        "node that holds all keys in the container's memory.",
    )
    restart_within: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="For the restart of one reader of a credential."
    )

    @model_validator(mode="after")
    def _choices(self) -> "SecurityPolicy":
        if taken := {"all", "named", "none"} & set(self.credentials):
            raise ValueError(f"credentials: {', '.join(sorted(taken))} means something else where people choose")
        return self
