"""What is encrypted, on its way and where it lies, as measured (runbook 8.3 step 4).

Each line comes from a handshake, from the system that keeps the data, or from what Temporal really holds. What could
not be looked at is a line of its own, and never one of the others.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, TypeAdapter
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.service import RPCError

from activities.catalogue.certificates import ServedName
from activities.certificates import ciphers
from activities.common import aws
from activities.common.effects import Effect, effect
from activities.common.errors import Misconfigured, NotFound, Unavailable
from activities.compliance.looking import Around, failures, looked
from activities.database.servers.servers import OnServer
from activities.evidence.evidence import EvidenceStore, StoredEvidence, keep
from audit.compliance import Gap, Measured
from audit.store_connection import Pool, rows
from audit.text import counted

if TYPE_CHECKING:
    from temporalio.client import Client

NAME = "encryption-status.json"
REPORT = "encryption-status.pdf"
_OLD = {"TLS 1.0", "TLS 1.1"}
"""RFC 8996 says: must not be used."""

_WEAK = ("NULL", "EXP", "RC4", "DES", "MD5", "ADH", "AECDH", "ANON", "SEED", "IDEA")
_HTTPS = 443
_ENCRYPTED = b"binary/encrypted"

MEASURES = TypeAdapter(list[Measured])


class LookAtEncryption(BaseModel):
    """`tensafe-admin security encryption-report`."""

    folder: str = Field(description="Of the evidence store, for this framework and period.")
    effect: Effect


class EncryptionLooked(StoredEvidence):
    """What was measured, as it is kept, and what it lacks."""

    states: dict[str, int] = Field(default_factory=dict, description="State → things.")
    gaps: list[Gap] = Field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{state}: {number}" for state, number in self.states.items())
        return f"{counts or 'nothing could be looked at'}: {self.uri}"


class EncryptionStatus:
    """Measures encryption.

    Args:
        store: Where the result is kept.
        pool: Of the records.
        served: The names that the services answer to.
        around: The systems that are looked at.

    """

    def __init__(self, store: EvidenceStore, pool: Pool, served: list[ServedName], around: Around) -> None:
        self._store, self._pool, self._served, self._around = store, pool, served, around

    @activity.defn(name="compliance.encryption")
    @effect
    async def look(self, request: LookAtEncryption) -> EncryptionLooked:
        """Measure everything, and keep it as JSON; the report is set from it when it is packaged.

        What can't be looked at is a line and a gap; the others are looked at all the same.

        Raises:
            Unavailable, Refused, Misconfigured: the evidence store.

        """
        payloads = await _payloads(activity.client())
        return await asyncio.to_thread(self._look, request, payloads)

    def _look(self, request: LookAtEncryption, payloads: Measured) -> EncryptionLooked:
        gaps: list[Gap] = []
        found = [payloads]
        for (group, source), look in self._sources().items():
            before = len(gaps)
            found += looked(REPORT, f"{group} {source}".strip(), look, gaps)
            found += [
                Measured(group=group, what=source or gap.source, found=gap.why, state="could not look")
                for gap in gaps[before:]
            ]
        gaps += [
            Gap(exhibit=REPORT, source=f"{one.group} {one.what}", why=one.found)
            for one in found
            if one.state == "could not look" and not any(one.found == gap.why for gap in gaps)
        ]
        states: dict[str, int] = {}
        for one in found:
            states[one.state] = states.get(one.state, 0) + 1

        def produce(content: IO[bytes]) -> str:
            content.write(MEASURES.dump_json(found, indent=1))
            return counted(len(found), "line")

        with failures():
            kept = keep(
                self._store, f"{request.folder}/{NAME}", produce, effect=request.effect, content_type="application/json"
            )
        return EncryptionLooked(**kept.model_dump(), states=states, gaps=gaps)

    def _sources(self) -> dict[tuple[str, str], Callable[[], Iterator[Measured]]]:
        return {
            **{("TLS", str(one)): partial(_tls, one) for one in self._served},
            **({} if self._served else {("TLS", "served names"): _none_named}),
            ("TLS", "Kubernetes API"): self._kubernetes,
            ("Kubernetes", "Secrets in etcd"): _etcd,
            ("PostgreSQL", "records"): self._records,
            **{
                ("PostgreSQL", f"{at.database}/{at.server}"): partial(self._database, at)
                for at in self._around.all_servers()
            },
            ("RDS", ""): self._rds,
            ("EBS", ""): self._ebs,
            ("S3", ""): self._s3,
            ("Secrets Manager", ""): self._secrets,
        }

    # -- on its way --------------------------------------------------------------------------------------------

    def _kubernetes(self) -> Iterator[Measured]:
        url = urlsplit(self._around.cluster().configuration.host)
        if url.scheme != "https" or url.hostname is None:
            yield Measured(
                group="TLS", what="Kubernetes API", found=f"by {url.scheme or 'no'} alone", state="not encrypted"
            )
            return
        yield from _tls(ServedName(host=url.hostname, port=url.port or _HTTPS), "Kubernetes API ")

    def _records(self) -> Iterator[Measured]:
        with failures(), rows(self._pool) as cursor:
            found = cursor.execute(_CONNECTION).fetchone()
        yield _connection("records", found or {})

    def _database(self, at: OnServer) -> Iterator[Measured]:
        with self._around.databases().connect(at) as connection:
            found = connection.execute(_CONNECTION).fetchone()
        yield _connection(f"{at.database}/{at.server}", found or {})

    # -- where it lies -------------------------------------------------------------------------------------------

    def _rds(self) -> Iterator[Measured]:
        with aws.failures("RDS"):
            for page in self._around.client("rds").get_paginator("describe_db_instances").paginate():
                for one in page["DBInstances"]:
                    yield _lies("RDS", one["DBInstanceIdentifier"], one.get("StorageEncrypted"), one.get("KmsKeyId"))

    def _ebs(self) -> Iterator[Measured]:
        with aws.failures("EBS"):
            ec2 = self._around.client("ec2")
            default = ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
            yield _lies("EBS", "new volumes", default, "by the account's default")
            for page in ec2.get_paginator("describe_volumes").paginate():
                for one in page["Volumes"]:
                    yield _lies("EBS", one["VolumeId"], one["Encrypted"], one.get("KmsKeyId"))

    def _s3(self) -> Iterator[Measured]:
        with aws.failures("S3"):
            s3 = self._around.client("s3")
            for bucket in s3.list_buckets()["Buckets"]:
                yield _bucket(s3, bucket["Name"])

    def _secrets(self) -> Iterator[Measured]:
        with aws.failures("Secrets Manager"):
            for page in self._around.client("secretsmanager").get_paginator("list_secrets").paginate():
                for one in page["SecretList"]:
                    # There is no secret without a key: AWS' own is taken where none is named.
                    turned = "rotated by itself" if one.get("RotationEnabled") else "not rotated by itself"
                    key = one.get("KmsKeyId") or "AWS' own key (aws/secretsmanager)"
                    yield Measured(
                        group="Secrets Manager", what=one["Name"], found=f"{key}, {turned}", state="encrypted"
                    )


def _none_named() -> Iterator[Measured]:
    raise Misconfigured("settings name no served names (services.NAME.certificates.served)")


def _etcd() -> Iterator[Measured]:
    raise NotFound("the Kubernetes API does not say how etcd is encrypted: ask whoever runs the control plane")


def _tls(served: ServedName, what: str = "") -> Iterator[Measured]:
    try:
        addresses = ciphers.addresses(served)
    except (OSError, UnicodeError):
        raise Unavailable(f"{served} does not resolve") from None
    for address in addresses:
        shown = f"{what}{served} at {address[0]}:{address[1]}"
        try:
            offers = ciphers.offers(served.host, address)
        except OSError as error:
            yield Measured(group="TLS", what=shown, found=error.strerror or str(error), state="could not look")
            continue
        yield _judged(shown, offers)


def _judged(what: str, offers: list[ciphers.Offer]) -> Measured:
    """Say what an address takes; where it takes nothing, nobody knows why."""
    told = "; ".join(
        f"{one.version}: {', '.join(one.ciphers) if one.ciphers else f'not taken ({one.why})'}" for one in offers
    )
    taken = [one for one in offers if one.ciphers]
    if not taken:
        return Measured(group="TLS", what=what, found=f"no handshake; {told}", state="could not look")
    weak = any(one.version in _OLD or any(_is_weak(cipher) for cipher in one.ciphers) for one in taken)
    return Measured(group="TLS", what=what, found=told, state="weak" if weak else "encrypted")


def _is_weak(cipher: str) -> bool:
    return any(part in cipher.upper().split("-") or cipher.upper().startswith(part) for part in _WEAK)


_CONNECTION = """
    SELECT s.ssl, s.version, s.cipher, current_setting('ssl') AS offered,
           current_setting('ssl_min_protocol_version') AS oldest, current_setting('password_encryption') AS passwords,
           inet_client_addr() IS NULL AS local
    FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()
"""


def _connection(what: str, found: dict[str, Any]) -> Measured:
    """Say how our own connection to a server is encrypted, and what the server offers."""
    offered = f"the server's ssl is {found['offered']}, {found['oldest']} at least, passwords by {found['passwords']}"
    if found["ssl"]:
        return Measured(
            group="PostgreSQL", what=what, found=f"{found['version']} {found['cipher']}; {offered}", state="encrypted"
        )
    way = "our connection is by a local socket" if found["local"] else "our connection is without TLS"
    return Measured(group="PostgreSQL", what=what, found=f"{way}; {offered}", state="not encrypted")


def _lies(group: str, what: str, encrypted: bool | None, key: str | None) -> Measured:  # noqa: FBT001
    if encrypted is None:
        return Measured(group=group, what=what, found="it does not say", state="could not look")
    found = (key or "key not told") if encrypted else "without encryption"
    return Measured(group=group, what=what, found=found, state="encrypted" if encrypted else "not encrypted")


def _bucket(s3: Any, name: str) -> Measured:
    try:
        with aws.failures("S3"):
            rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except NotFound:
        return Measured(group="S3", what=name, found="no default encryption is set", state="not encrypted")
    by = [rule["ApplyServerSideEncryptionByDefault"] for rule in rules]
    told = ", ".join(f"{one['SSEAlgorithm']} {one.get('KMSMasterKeyID', '')}".strip() for one in by)
    return Measured(group="S3", what=name, found=told, state="encrypted")


async def _payloads(client: "Client") -> Measured:
    """Look at what Temporal holds of this very run's input, before any codec of ours reads it."""
    try:
        encoding = await _first_payload(client)
    except (RPCError, IndexError, KeyError) as error:
        return Measured(
            group="Temporal",
            what="payloads",
            found=f"Temporal did not show them ({type(error).__name__})",
            state="could not look",
        )
    found = f"this run's input lies there as {encoding.decode(errors='replace')}"
    return Measured(
        group="Temporal", what="payloads", found=found, state="encrypted" if encoding == _ENCRYPTED else "not encrypted"
    )


async def _first_payload(client: "Client") -> bytes:
    info = activity.info()
    answer = await client.workflow_service.get_workflow_execution_history(
        GetWorkflowExecutionHistoryRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""),
            maximum_page_size=1,
        )
    )
    started = answer.history.events[0].workflow_execution_started_event_attributes
    return bytes(started.input.payloads[0].metadata["encoding"])
