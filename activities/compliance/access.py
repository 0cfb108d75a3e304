"""Who has what, and when it was last used: the access review (runbook 8.3 step 3).

One row a right. Where a system doesn't record use, the row says so, and doesn't leave it empty: that would read as
"never".
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import IO, Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.service import ApprovalPolicy
from activities.common import aws
from activities.common.effects import Effect, effect
from activities.common.errors import Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.common.sheets import sheet
from activities.compliance.looking import Around, failures, looked
from activities.compliance.populations import stamp, streamed
from activities.database.servers.servers import OnServer
from activities.evidence.evidence import EvidenceStore, StoredEvidence, keep
from activities.kubernetes.api import pages
from audit.compliance import Gap
from audit.signer import SigningError, key_id, public_key_from
from audit.store_connection import Pool, rows
from audit.text import counted, length
from libraries import kubernetes

NAME = "access-review.csv"
HEADS = ("source", "subject", "kind", "access", "scope", "last used", "looked at")
NOT_RECORDED, NEVER = "not recorded there", "never"
_REPORT_WITHIN, _REPORT_EVERY = timedelta(seconds=60), timedelta(seconds=1)
_RULES_SHOWN = 8

Row = tuple[str, ...]


class ReviewAccess(BaseModel):
    """`tensafe-admin security access-review`."""

    folder: str = Field(description="Of the evidence store, for this framework and period.")
    since: date = Field(description="What people did is looked for from this day on, UTC.")
    effect: Effect


class AccessReviewed(StoredEvidence):
    """The review as it is kept, and what it lacks."""

    counts: dict[str, int] = Field(default_factory=dict, description="Source → rows.")
    gaps: list[Gap] = Field(default_factory=list)

    def __str__(self) -> str:
        rows = counted(sum(self.counts.values()), "row")
        missing = f"; could not look at {', '.join(gap.source for gap in self.gaps)}" if self.gaps else ""
        return f"{rows}{missing}: {self.uri}"


class AccessReview:
    """Looks at every place where somebody has rights.

    Args:
        store: Where the review is kept.
        pool: Of the records.
        approvals: Whose word counts, as settings say.
        around: The systems that have rights.

    """

    def __init__(self, store: EvidenceStore, pool: Pool, approvals: ApprovalPolicy, around: Around) -> None:
        self._store, self._pool, self._approvals, self._around = store, pool, approvals, around

    @activity.defn(name="compliance.access_review")
    @effect
    def review(self, request: ReviewAccess) -> AccessReviewed:
        """Look at all sources, and keep what they answer as CSV.

        A source that can't be looked at is a gap; the others are looked at all the same.

        Raises:
            Unavailable, Refused, Misconfigured: the evidence store.

        """
        gaps: list[Gap] = []
        found: list[Row] = []
        for source, look in self._sources(request).items():
            found += looked(NAME, source, look, gaps)
        for gap in gaps:
            found.append((gap.source, "", "could not look", gap.why, "", "", ""))
        counts = dict.fromkeys(self._sources(request), 0) | Counter(
            row[0] for row in found if row[2] != "could not look"
        )
        gone = {gap.source for gap in gaps}
        counts = {source: number for source, number in counts.items() if source not in gone}

        def produce(content: IO[bytes]) -> str:
            for piece in sheet(HEADS, sorted(found)):
                content.write(piece)
            return counted(len(found), "row")

        with failures():
            kept = keep(
                self._store,
                f"{request.folder}/{NAME}",
                produce,
                effect=request.effect,
                content_type="text/csv; charset=utf-8",
            )
        return AccessReviewed(**kept.model_dump(), counts=counts, gaps=gaps)

    def _sources(self, request: ReviewAccess) -> dict[str, Callable[[], Iterator[Row]]]:
        return {
            "Approval roles": self._roles,
            "Gateway identities": self._gateways,
            "People in runs": lambda: self._people(request.since),
            "Tenants' API keys": self._keys,
            "Kubernetes RBAC": self._kubernetes,
            "AWS IAM": self._iam,
            "PostgreSQL of the records": self._records,
            **{
                f"PostgreSQL {at.database}/{at.server}": partial(self._database, at)
                for at in self._around.all_servers()
            },
        }

    # -- our own ---------------------------------------------------------------------------------------------

    def _roles(self) -> Iterator[Row]:
        for kind, roles in sorted(self._approvals.roles.items()):
            second = " (with a second person)" if kind in self._approvals.second_person else ""
            for role in sorted(roles):
                yield (
                    "Approval roles",
                    role,
                    "role",
                    f"may decide: {kind}{second}",
                    "every service",
                    "see People in runs",
                    _today(),
                )

    def _gateways(self) -> Iterator[Row]:
        for text in self._approvals.public_keys:
            try:
                name = key_id(public_key_from(text))
            except SigningError:
                name = "a key that can't be read"
            yield (
                "Gateway identities",
                name,
                "Ed25519 key",
                "signs people's words",
                "every run",
                NOT_RECORDED,
                _today(),
            )
        if self._approvals.allow_unsigned:
            yield (
                "Gateway identities",
                "anybody",
                "no key",
                "words count unsigned (allow_unsigned)",
                "every run",
                NOT_RECORDED,
                _today(),
            )

    def _people(self, since: date) -> Iterator[Row]:
        query = (
            "SELECT actor, procedure, count(*) AS runs, max(ended_at) AS last FROM runbooks.archive_index, "
            "unnest(actors) AS actor WHERE ended_at >= %(since)s GROUP BY actor, procedure ORDER BY actor, procedure"
        )
        with failures(), rows(self._pool, transaction=True) as cursor:
            for row in streamed(cursor, "people", query, {"since": datetime.combine(since, time(), UTC)}):
                yield (
                    "People in runs",
                    row["actor"],
                    "person",
                    f"had a say in {row['procedure']}",
                    counted(row["runs"], "run"),
                    stamp(row["last"]),
                    _today(),
                )

    def _keys(self) -> Iterator[Row]:
        query = (
            "SELECT key_id, tenant_id, expires_at, last_used_at FROM runbooks.api_keys WHERE revoked_at IS NULL "
            "AND (expires_at IS NULL OR expires_at > now()) ORDER BY key_id"
        )
        with failures(), rows(self._pool, transaction=True) as cursor:
            for row in streamed(cursor, "keys", query, {}):
                until = f"until {stamp(row['expires_at'])}" if row["expires_at"] else "no end"
                used = stamp(row["last_used_at"]) if row["last_used_at"] else NEVER
                yield (
                    "Tenants' API keys",
                    row["key_id"],
                    "API key",
                    f"the service's API, {until}",
                    f"tenant {row['tenant_id']}",
                    used,
                    _today(),
                )

    # -- the cluster -----------------------------------------------------------------------------------------

    def _kubernetes(self) -> Iterator[Row]:
        api = kubernetes.RbacAuthorizationV1Api(self._around.cluster())
        cluster = {one["metadata"]["name"]: one for one in pages(api.list_cluster_role)}
        own = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one
            for one in pages(api.list_role_for_all_namespaces)
        }
        for binding in pages(api.list_cluster_role_binding):
            yield from _bound(binding, cluster.get(binding["roleRef"]["name"]), "the cluster")
        for binding in pages(api.list_role_binding_for_all_namespaces):
            space, ref = binding["metadata"]["namespace"], binding["roleRef"]
            role = own.get((space, ref["name"])) if ref["kind"] == "Role" else cluster.get(ref["name"])
            yield from _bound(binding, role, f"namespace {space}")

    # -- AWS -------------------------------------------------------------------------------------------------

    def _iam(self) -> Iterator[Row]:
        with aws.failures("AWS IAM"):
            iam = self._around.client("iam")
            for _ in turns(resume(Progress), within=_REPORT_WITHIN, every=_REPORT_EVERY):
                if iam.generate_credential_report()["State"] == "COMPLETE":
                    break
            else:
                raise Unavailable(f"AWS IAM: no credential report within {length(_REPORT_WITHIN)}")
            content = iam.get_credential_report()["Content"].decode()
        for user in csv.DictReader(io.StringIO(content)):
            yield from _credentials(user)

    # -- databases -------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[Row]:
        with failures(), rows(self._pool) as cursor:
            yield from _roles_of("PostgreSQL of the records", cursor.execute(_ROLES).fetchall())

    def _database(self, at: OnServer) -> Iterator[Row]:
        with self._around.databases().connect(at) as connection:
            found = connection.execute(_ROLES).fetchall()
        yield from _roles_of(f"PostgreSQL {at.database}/{at.server}", found)


_ROLES = """
    SELECT r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls, r.rolcanlogin,
           r.rolvaliduntil,
           array(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                 WHERE m.member = r.oid ORDER BY 1) AS groups
    FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname
"""
_RIGHTS = {
    "rolsuper": "superuser",
    "rolcreaterole": "makes roles",
    "rolcreatedb": "makes databases",
    "rolreplication": "replicates",
    "rolbypassrls": "passes row security",
    "rolcanlogin": "logs in",
}


def _roles_of(source: str, found: list[dict[str, Any]]) -> Iterator[Row]:
    for row in found:
        rights = [told for column, told in _RIGHTS.items() if row[column]]
        rights += [f"member of {group}" for group in row["groups"]]
        until = f", password until {stamp(row['rolvaliduntil'])}" if _ends(row["rolvaliduntil"]) else ""
        yield (
            source,
            row["rolname"],
            "role",
            (", ".join(rights) or "none of its own") + until,
            "the server",
            NOT_RECORDED,
            _today(),
        )


def _ends(until: Any) -> bool:
    return isinstance(until, datetime)


def _bound(binding: dict[str, Any], role: dict[str, Any] | None, scope: str) -> Iterator[Row]:
    name = f"{binding['roleRef']['kind']} {binding['roleRef']['name']}"
    for subject in binding.get("subjects") or ():
        space = f"{subject['namespace']}/" if subject.get("namespace") else ""
        yield (
            "Kubernetes RBAC",
            f"{space}{subject['name']}",
            subject["kind"],
            f"{name}: {_rules(role)}",
            f"{scope}, by {binding['metadata']['name']}",
            NOT_RECORDED,
            _today(),
        )


def _rules(role: dict[str, Any] | None) -> str:
    if role is None:
        return "there is no such role"
    rules = role.get("rules") or []
    told = [
        f"{'/'.join(rule.get('verbs') or ())} {'/'.join(rule.get('resources') or rule.get('nonResourceURLs') or ())}"
        for rule in rules[:_RULES_SHOWN]
    ]
    more = f"; and {len(rules) - _RULES_SHOWN} more rules" if len(rules) > _RULES_SHOWN else ""
    return ("; ".join(told) or "no rules") + more


def _credentials(user: dict[str, str]) -> Iterator[Row]:
    mfa = "with MFA" if user.get("mfa_active") == "true" else "WITHOUT MFA"
    name, arn = user["user"], user.get("arn", "")
    if user.get("password_enabled") == "true" or name == "<root_account>":
        yield ("AWS IAM", name, "password", f"console, {mfa}", arn, _used(user.get("password_last_used", "")), _today())
    for number in ("1", "2"):
        if user.get(f"access_key_{number}_active") == "true":
            used = _used(user.get(f"access_key_{number}_last_used_date", ""))
            rotated = user.get(f"access_key_{number}_last_rotated", "") or "not told"
            yield ("AWS IAM", name, f"access key {number}", f"API; made {rotated}", arn, used, _today())
    if not any(user.get(f) == "true" for f in ("password_enabled", "access_key_1_active", "access_key_2_active")) and (
        name != "<root_account>"
    ):
        yield ("AWS IAM", name, "user", "neither password nor active access key", arn, NEVER, _today())


def _used(said: str) -> str:
    return {"N/A": NEVER, "no_information": NEVER, "not_supported": NOT_RECORDED, "": NOT_RECORDED}.get(said, said)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
