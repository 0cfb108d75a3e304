"""Settings of everything that runs here: one `runbooks.toml`, overridden by `RUNBOOKS_*` in the environment.

`RUNBOOKS_CONFIG` names the file (default `runbooks.toml` in the working directory; its absence is fine when the
environment says it all). `RUNBOOKS_RECORDS__URL` overrides `[records] url`, and so on. Secrets belong into the
environment, or into a file named by it; they are `SecretStr` and never shown.
"""

import os
import tomllib
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from activities.catalogue.service import ApprovalPolicy, Service
from activities.common.text import fitted
from activities.messages.mail.addresses import mail_address
from workers.checks import Fault, faults, unknown_poolers, unknown_variables
from workers.database_settings import DatabaseSettings
from workers.payload_keys import key_bytes
from workers.places import line_of
from workers.queues import ROLES, Role
from workers.sections import FileSecret, Secret, Section, secrets_of, section
from workers.source_settings import AlertSource, SourceName
from workers.values import value_faults


class SettingsError(Exception):
    """Settings are missing or wrong; the message names each field and never its value."""


class TemporalSettings(Section):
    """Where Temporal is; TLS, API keys and profiles come from Temporal's own `TEMPORAL_*` environment."""

    address: str = Field(default="127.0.0.1:7233", description="host:port of Temporal's frontend.")
    namespace: str = Field(default="default", description="Temporal's namespace; it must be there.")
    task_queue: str = Field(
        default="runbooks", description="Where workers take work, and starters put it: the same for both."
    )
    ui_url: str = Field(default="http://127.0.0.1:8233", description="For links to runs.")
    max_concurrent_activities: int = Field(default=40, ge=1, description="How many steps one worker does at a time.")
    max_concurrent_watches: int = Field(
        default=200,
        ge=0,
        description="Steps that watch or wait, which may take minutes. They have a task queue of their own, "
        "whose name ends in `-watches`, and so keep no other step waiting; 0 puts them among the others. All workers "
        "must agree whether it is 0.",
    )
    roles: tuple[Role, ...] = Field(
        default=(),
        description="Those whose steps have a task queue of their own, whose name ends in the role's, so that only "
        "workers with that role need its credentials. The same for all workers; some worker must have each of them.",
    )
    graceful_shutdown: timedelta = Field(
        default=timedelta(seconds=10), description="What a worker that is asked to stop leaves its steps to end."
    )
    payload_keys: tuple[Secret, ...] = Field(
        default=(),
        description="AES-256 keys in base64 that payloads are encrypted with: the first encrypts, all decrypt. "
        "The same for workers, webhook and command line.",
    )

    @field_validator("payload_keys")
    @classmethod
    def _keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        key_bytes([key for key in keys if not isinstance(key, FileSecret)])
        return keys


_KIB_A_RUN = 256
"""What an open run takes of a worker's memory: 200 KiB was measured for a lease that is held (`bench/leases.py`)."""


class WorkerSettings(Section):
    """How a worker runs procedures."""

    workflow_sandbox: bool = Field(
        default=False,
        description="Check every run's determinism while it runs. It costs more CPU than the run itself: tests, CI and "
        "the sandbox do it, and production runs the same code.",
    )
    cache_mib: int = Field(
        default=512,
        ge=0,
        description="Memory for open runs, in MiB, 4 runs each. A run that isn't kept is replayed when it goes on.",
    )
    dead_worker_keeps_runs: timedelta = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="How long a run waits for the worker that has it in memory before any other takes it: after that "
        "one was killed, and also while it is alive and busy, when each run that waits longer goes to the end of the "
        "queue and is replayed.",
    )
    heartbeat_throttle: timedelta = Field(
        default=timedelta(minutes=1),
        gt=timedelta(0),
        description="The longest time between two heartbeats of a step to Temporal, by which it also hears that it is "
        "cancelled; the SDK waits no longer than 0.8 of the step's heartbeat limit in any case. Each one is a write.",
    )

    health_timeout: timedelta = Field(
        default=timedelta(seconds=2),
        gt=timedelta(0),
        le=timedelta(minutes=1),
        description="How long a service's health may take to answer: what takes longer is no answer, and unhealthy. "
        "A user has given up by then; raise it where the service's health asks others.",
    )
    roles: tuple[Role, ...] = Field(
        default=ROLES,
        min_length=1,
        description="Which steps this worker takes, of those that `[temporal] roles` separates; by default all. Runs "
        "themselves are taken by workers with `orchestration`.",
    )
    deployment: str | None = Field(
        default_factory=lambda: os.environ.get("TEMPORAL_DEPLOYMENT_NAME"),
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_/-]*$",
        max_length=200,
        description="The Worker Deployment's name, which turns Worker Versioning on: a worker then gets nothing before "
        "its version is made current (`runbooks deployments current`). Without it: `TEMPORAL_DEPLOYMENT_NAME`, as "
        "Temporal's worker controller sets it.",
    )
    build_id: str | None = Field(
        default_factory=lambda: os.environ.get("TEMPORAL_WORKER_BUILD_ID"),
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="This version's name, for example the image's tag. Without it: `TEMPORAL_WORKER_BUILD_ID`, as the "
        "controller sets it, or else a hash of the code.",
    )

    @property
    def cached_runs(self) -> int:
        """How many open runs the memory is for."""
        return self.cache_mib * 1024 // _KIB_A_RUN


class RecordsSettings(Section):
    """The operations records in PostgreSQL."""

    url: Secret = Field(
        default=SecretStr("postgresql://runbooks@127.0.0.1:5432/runbooks"),
        description="postgresql://user:password@host:port/database; best `file:…`.",
    )
    pool_size: int = Field(default=10, ge=1, description="Most connections that one process opens.")


class KubernetesSettings(Section):
    """Which cluster; in-cluster credentials are used where no kubeconfig is named and one runs inside."""

    kubeconfig: Path | None = Field(
        default=None,
        description="Relative to the settings file. Else the cluster we run in, KUBECONFIG or ~/.kube/config.",
    )
    context: str | None = Field(default=None, description="Of the kubeconfig; its current one where none is named.")


class PrometheusSettings(Section):
    """Where metrics are read."""

    url: str = Field(default="http://127.0.0.1:9090", description="Of its API, without the path.")


class AlertmanagerSettings(Section):
    """Where alerts are silenced; nothing is silenced where none is named."""

    url: str | None = Field(default=None, description="Of its API, without the path; any one of a cluster's.")


class AwsSettings(Section):
    """Region and endpoint; credentials come from AWS' own environment, files or roles."""

    region: str | None = Field(default=None, description="E.g. eu-central-1; AWS' own environment otherwise.")
    endpoint_url: str | None = Field(default=None, description="Another than AWS' own, e.g. of a local stand-in.")


class HelmSettings(Section):
    """The program that releases go out with."""

    program: str = Field(default="helm", description="On PATH, or a path.")


class CiSettings(Section):
    """Who knows whether the tests of a version passed: our records, or GitHub's checks."""

    backend: Literal["records", "github"] = Field(
        default="records", description="records: what `runbooks ci` told. github: its checks."
    )
    token: Secret | None = Field(default=None, description="May read checks; required for github.")
    base_url: str = Field(
        default="https://api.github.com", description="Of GitHub's API; your server's with GitHub Enterprise."
    )

    @model_validator(mode="after")
    def _needs_token(self) -> Self:
        if self.backend == "github" and self.token is None:
            raise ValueError("token: required for the github backend")
        return self


class SlackPersonSettings(Section):
    """Who a user of Slack is to runs."""

    who: str = Field(min_length=1, description="The name that is signed, e.g. a mail address.")
    roles: tuple[str, ...] = Field(min_length=1, description="In which they may speak; the first where any will do.")


class SlackSettings(Section):
    """`records` keeps messages in the database; `slack` posts them.

    What `python -m starters.slack` needs to take people's words stands here as well: an app token (Socket Mode),
    signing secrets (HTTP), or both; and who is who.
    """

    backend: Literal["records", "slack"] = Field(default="records", description="Where messages go.")
    token: Secret | None = Field(default=None, description="The app's bot token, `xoxb-…`; required for slack.")
    base_url: str = Field(default="https://slack.com/api/", description="Of Slack's Web API.")
    app_token: Secret | None = Field(
        default=None, description="App-level token with `connections:write`, `xapp-…`: Socket Mode, no address needed."
    )
    signing_secrets: tuple[Secret, ...] = Field(
        default=(), description="What Slack signs its requests with: HTTP. Any of them counts; several ease rotation."
    )
    host: str = Field(default="127.0.0.1", description="Where HTTP listens; also for `/healthz` in Socket Mode.")
    port: int = Field(default=8084, ge=0, le=65535, description="0: any free one.")
    team_id: str | None = Field(
        default=None, description="The workspace whose users count, `T…`; where none is named: the bot's own."
    )
    people: dict[str, SlackPersonSettings] = Field(
        default_factory=dict, description="User ID (`U…`) → who that is. Whom nothing here names may say nothing."
    )
    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="User group's ID (`S…`) → roles of its members, who are known by their confirmed mail address.",
    )
    follow_every: timedelta = Field(
        default=timedelta(seconds=2),
        ge=timedelta(milliseconds=100),
        description="How often threads are brought up to date.",
    )

    @model_validator(mode="after")
    def _needs_token(self) -> Self:
        if self.backend == "slack" and self.token is None:
            raise ValueError("token: required for the slack backend")
        if (self.app_token or self.signing_secrets) and self.token is None:
            raise ValueError("token: required with app_token or signing_secrets")
        return self


class PagingSettings(Section):
    """`records` keeps pages in the database; `pagerduty` sends them to the Events API v2."""

    backend: Literal["records", "pagerduty"] = Field(default="records", description="Where pages go.")
    routing_key: Secret | None = Field(
        default=None, description="Of the service's Events API v2 integration; required for pagerduty."
    )
    escalation_keys: dict[int, Secret] = Field(
        default={}, description="Routing key by level, e.g. 2 and 3; a level without one goes to `routing_key`."
    )
    base_url: str = Field(
        default="https://events.pagerduty.com", description="Of PagerDuty's Events API; the EU has its own."
    )

    @model_validator(mode="after")
    def _needs_key(self) -> Self:
        if self.backend == "pagerduty" and self.routing_key is None:
            raise ValueError("routing_key: required for the pagerduty backend")
        return self


class StatusPageSettings(Section):
    """`records` keeps our own page in the database; `statuspage` is Atlassian's."""

    backend: Literal["records", "statuspage"] = Field(default="records", description="Which page customers read.")
    api_key: Secret | None = Field(default=None, description="Of Atlassian Statuspage; required for it.")
    page_id: str | None = Field(default=None, description="Of Atlassian Statuspage; required for it.")
    components: dict[str, str] = Field(default_factory=dict, description="Our component name → theirs, an ID.")
    base_url: str = Field(default="https://api.statuspage.io", description="Of Statuspage's API.")

    @model_validator(mode="after")
    def _needs_key(self) -> Self:
        if self.backend == "statuspage" and (self.api_key is None or self.page_id is None):
            raise ValueError("api_key and page_id: required for the statuspage backend")
        return self


class MailSettings(Section):
    """`records` only notes that a mail would go out; `smtp` sends it."""

    backend: Literal["records", "smtp"] = Field(default="records", description="Whether mails go out.")
    host: str = Field(default="127.0.0.1", description="Of the SMTP server.")
    port: int = Field(default=587, ge=1, le=65535, description="587 is submission (RFC 6409), 465 goes with tls.")
    security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="starttls is asked for on an open connection, tls from the first byte."
    )
    user: str | None = Field(default=None, description="For SMTP's login; none where there is none.")
    password: Secret | None = Field(default=None, description="Goes with `user`.")
    sender: str = Field(default="Operations <ops@localhost>", description="Who mails come from: Name <address>.")

    @model_validator(mode="after")
    def _login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password: both or neither")
        return self

    @field_validator("sender")
    @classmethod
    def _address(cls, sender: str) -> str:
        try:
            mail_address(parseaddr(sender)[1])
        except ValueError as error:
            raise ValueError(f"sender: {error}") from None
        return sender


class HandoverSettings(Section):
    """How secrets reach customers: `links` shows each once on our own page, `secrets-manager` is AWS'."""

    backend: Literal["links", "secrets-manager"] = Field(
        default="links", description="links: our own page. secrets-manager: AWS' service."
    )
    secret: Secret | None = Field(
        default=None, description="What links are made from: random, the same for all workers."
    )
    base_url: str = Field(default="http://127.0.0.1:8082", description="Where customers reach the handover server.")
    valid_for: timedelta = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="How long a link opens; afterwards a new one has to be made.",
    )
    prefix: str = Field(default="runbooks/", description="Of the secrets' names in Secrets Manager.")


class CertificatesSettings(Section):
    """How what is served is judged (6.3)."""

    ca_file: Path | None = Field(
        default=None, description="PEM: what vouches for it; what the system trusts where none is named."
    )


class AcmeSettings(Section):
    """The certificate authority that runs order from, by ACME (6.3); without a directory they order nothing."""

    directory: str | None = Field(default=None, description="URL of its directory.")
    terms_agreed: bool = Field(default=False, description="Somebody who may has agreed to its terms of service.")
    contact: tuple[str, ...] = Field(default=(), description="Mail addresses that it may write to.")
    ca_file: Path | None = Field(default=None, description="PEM: what vouches for the authority's own API.")
    eab_key_id: str = Field(default="", description="Where it binds accounts to its customers.")
    eab_key: Secret | None = Field(default=None, description="The key that goes with it, base64url.")
    namespace: str | None = Field(default=None, description="Where the account's Secret is; required with a directory.")
    secret: str = Field(default="acme-account", description="It holds the account's key; made at the first order.")
    look_at: str | None = Field(
        default=None,
        description="Where our own look for HTTP-01's pages goes, e.g. the ingress's inner address; to the names "
        "themselves where it is not said.",
    )

    @model_validator(mode="after")
    def _binding(self) -> Self:
        if bool(self.eab_key_id) != (self.eab_key is not None):
            raise ValueError("eab_key_id and eab_key: both or neither")
        if self.directory and not self.namespace:
            raise ValueError("namespace: required with a directory: the account's Secret is in it")
        return self


class EvidenceSettings(Section):
    """Where logs, metrics and documents of incidents are kept."""

    backend: Literal["files", "s3"] = Field(default="files", description="Where it is kept.")
    directory: Path = Field(
        default=Path("var/evidence"), description="Of the files backend, relative to the settings file."
    )
    bucket: str | None = Field(default=None, description="Required for the s3 backend.")
    prefix: str = Field(default="", description="Before each object's name, e.g. `runbooks/`.")
    endpoint_url: str | None = Field(default=None, description="Another than AWS' own, e.g. MinIO's.")
    region: str | None = Field(default=None, description="Of the bucket; AWS' own environment otherwise.")
    lock_for: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        description="How long nobody can remove an object: S3 Object Lock in COMPLIANCE mode; the bucket must have it.",
    )

    @model_validator(mode="after")
    def _needs_bucket(self) -> Self:
        if self.backend != "s3" and self.lock_for is not None:
            raise ValueError("lock_for: files can't be locked, only the s3 backend can")
        if self.backend == "s3" and not self.bucket:
            raise ValueError("bucket: required for the s3 backend")
        return self


class FiguresSettings(Section):
    """SQL files of the business' figures (runbook 1.1, 1.3): dau.sql, mrr.sql, new_customers.sql."""

    directory: Path | None = Field(default=None, description="Where yours are; ours are taken for those it hasn't.")


class AuditSettings(Section):
    """The archive of closed runs: signed with a key of ours, or one in KMS; without either it is off."""

    private_key: Secret | None = Field(default=None, description="Ed25519 private key, PEM.")
    kms_key_id: str | None = Field(default=None, description="KMS key (ECC_NIST_EDWARDS25519): ID, ARN or alias.")
    public_keys: tuple[str, ...] = Field(
        default=(), description="Further keys that signed parts of the chain, such as former ones: PEM, or base64."
    )
    every: timedelta = Field(
        default=timedelta(hours=1),
        ge=timedelta(minutes=1),
        description="How often closed runs are archived; they must be before Temporal's retention ends.",
    )
    settle: timedelta = Field(
        default=timedelta(minutes=10), ge=timedelta(0), description="How late Temporal may list a closed run."
    )
    bucket: str | None = Field(default=None, description="S3 bucket with Object Lock, for copies; none where empty.")
    prefix: str = Field(default="", description="Before each copy's name in the bucket.")
    retention: timedelta = Field(
        default=timedelta(days=3650), ge=timedelta(days=1), description="How long nobody can erase a copy: us neither."
    )
    endpoint_url: str | None = Field(default=None, description="Another than AWS' own, e.g. MinIO's.")
    region: str | None = Field(default=None, description="Of bucket and KMS key; AWS' own environment otherwise.")

    @property
    def enabled(self) -> bool:
        """Whether there is a key."""
        return self.private_key is not None or self.kms_key_id is not None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.private_key is not None and self.kms_key_id is not None:
            raise ValueError("private_key, kms_key_id: name one of the two, not both")
        return self


class WebhookSettings(Section):
    """The webhook's listener, and who may post."""

    host: str = Field(default="127.0.0.1", description="Address it listens on; 0.0.0.0 is all.")
    port: int = Field(default=8080, ge=0, le=65535, description="Where it listens; 0 is any free one.")
    bearer_tokens: tuple[Secret, ...] = Field(default=(), description="Any of them opens; several ease rotation.")
    basic_auth: dict[str, Secret] = Field(default_factory=dict, description="User → password.")
    routes: Path = Field(default=Path("routes.toml"), description="The routing rules, relative to the settings file.")
    max_body: int = Field(
        default=16 * 1_048_576, ge=1024, description="Bytes: of a larger post so much is kept, its worst alerts."
    )
    sources: dict[SourceName, AlertSource] = Field(
        default_factory=dict, description="Who else sends alerts, by name (docs/alert-sources.md)."
    )


class GatewaySettings(Section):
    """What signs approvals on behalf of an authenticated person; a worker has none of it (ARCHITECTURE, rule 6)."""

    private_key: Secret | None = Field(default=None, description="Ed25519 private key, PEM.")


class OidcSettings(Section):
    """Who says who people are: an OpenID Connect provider, by the authorisation code flow with PKCE."""

    issuer: str = Field(pattern=r"^https?://\S+$", description="As its discovery document names itself.")
    client_id: str = Field(description="As the provider knows this page.")
    client_secret: Secret | None = Field(default=None, description="Where the provider gave one.")
    scopes: tuple[str, ...] = Field(default=("openid", "email", "profile"), description="What is asked for.")
    name_claim: str = Field(default="email", description="The claim that names a person, in the page and the record.")
    groups_claim: str = Field(default="groups", description="The claim that lists a person's groups.")
    ca_file: Path | None = Field(default=None, description="PEM: what vouches for it, beside what the system trusts.")


class WebSettings(Section):
    """The operators' page and the public status page (`runbooks web`, `runbooks status-page`; docs/web.md)."""

    host: str = Field(default="127.0.0.1", description="Address that the operators' page listens on.")
    port: int = Field(default=8083, ge=0, le=65535, description="0: any free one.")
    base_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="Where people reach it, e.g. https://runbooks.example.com; as it listens where it is not said.",
    )
    secret: Secret | None = Field(
        default=None,
        description="What cookies are signed with, 32 characters or more, the same for all processes; without one each "
        "makes its own, and its restart signs everybody out.",
    )
    session_for: timedelta = Field(
        default=timedelta(hours=10), gt=timedelta(0), description="After that a person signs in again."
    )
    people: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Role → who has it, by name.")
    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Role → groups of the provider whose members have it."
    )
    oidc: OidcSettings | None = Field(default=None, description="Without it, a one-time link on the terminal signs in.")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.oidc is None and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("host: only of this machine (127.0.0.1) while there is no [web.oidc]")
        known = self.secret is not None and not isinstance(self.secret, FileSecret)
        if known and self.secret is not None and len(self.secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"secret: {_SHORTEST_SECRET} characters or more")
        return self


_SHORTEST_SECRET = 32


class ObservabilitySettings(Section):
    """Logs and metrics of the workers and the webhook."""

    log_format: Literal["json", "console"] = Field(
        default="json", description="json is for machines, console for people."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is less important is not logged."
    )
    metrics_address: str | None = Field(default=None, description="host:port of the Prometheus endpoint.")
    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^@?#]+$",
        description="Of an OpenTelemetry collector, OTLP over HTTP, without the path, e.g. http://127.0.0.1:4318. "
        "Without it nothing is traced.",
    )


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(env_prefix="RUNBOOKS_", env_nested_delimiter="__", extra="forbid", frozen=True)

    temporal: TemporalSettings = TemporalSettings()
    worker: WorkerSettings = WorkerSettings()
    records: RecordsSettings = RecordsSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    aws: AwsSettings = AwsSettings()
    helm: HelmSettings = HelmSettings()
    ci: CiSettings = CiSettings()
    slack: SlackSettings = SlackSettings()
    paging: PagingSettings = PagingSettings()
    statuspage: StatusPageSettings = StatusPageSettings()
    mail: MailSettings = MailSettings()
    handover: HandoverSettings = HandoverSettings()
    certificates: CertificatesSettings = CertificatesSettings()
    acme: AcmeSettings = AcmeSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    figures: FiguresSettings = FiguresSettings()
    audit: AuditSettings = AuditSettings()
    webhook: WebhookSettings = WebhookSettings()
    gateway: GatewaySettings = GatewaySettings()
    web: WebSettings = WebSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    approvals: ApprovalPolicy = ApprovalPolicy()
    services: dict[str, Service] = Field(default_factory=dict)
    databases: dict[str, DatabaseSettings] = Field(default_factory=dict)

    @field_validator("*", mode="wrap")
    @classmethod
    def _with_its_secrets(cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        with section(str(info.field_name)):
            return handler(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; the file is named by `RUNBOOKS_CONFIG`."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, toml

    @cached_property
    def directory(self) -> Path:
        """What relative paths in the file are relative to."""
        return config_file().resolve().parent

    def path(self, relative: Path) -> Path:
        """Resolve a path of the settings against the settings file."""
        return relative if relative.is_absolute() else self.directory / relative


def config_file() -> Path:
    """Name the settings file."""
    return Path(os.environ.get("RUNBOOKS_CONFIG", "runbooks.toml"))


_NAMED, _LISTED = 20, 1000
_PART_SHOWN = 100
_SENTENCE_SHOWN = 500


def explain(error: ValidationError) -> str:
    """Say what is wrong with a model's input, a part a field, without the input's values, and in 20 KB at most."""
    if error.error_count() > _LISTED:  # a workflow task has two seconds, and a hundred thousand errors take them
        return f"input: {error.error_count()} things are wrong with it, more than can be listed"
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    told = [f"{_place(item['loc'])}: {sentence(item)}" for item in errors[:_NAMED]]
    return "; ".join([*told, *([f"and {len(errors) - len(told)} more"] if len(errors) > len(told) else [])])


def sentence(error: ErrorDetails) -> str:
    """Say one error of a model, in our own words where a name is mistyped."""
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    return error["msg"].removeprefix("Value error, ")[:_SENTENCE_SHOWN]


def _place(loc: tuple[int | str, ...]) -> str:
    """Name a field; parts of a path can be keys that were sent."""
    return ".".join(fitted(str(part), _PART_SHOWN) for part in loc) or "input"


def load(*, secrets: Collection[str] | None = None) -> Settings:
    """Read the settings, and the secrets in files of the sections `secrets`; others are read where they are used.

    None is all sections: who doesn't say which ones it has, has everything.

    Raises:
        SettingsError: the named file does not exist or does not parse, a field is wrong, or values don't hold together;
            says all of it, a line each.

    """
    file = config_file()
    if "RUNBOOKS_CONFIG" in os.environ and not file.is_file():
        raise SettingsError(f"RUNBOOKS_CONFIG names {file}, which does not exist")
    try:
        with secrets_of(secrets):
            settings = Settings()
    except ValidationError as error:
        raise SettingsError(_told(file, [*described(error, Settings), *_of_the_rest(file)])) from None
    except ValueError as error:  # tomllib: invalid TOML, with its line
        raise SettingsError(f"{file}: {error}") from None
    poolers = {name: list(database.poolers) for name, database in settings.databases.items()}
    wrong = [
        *faults(settings.services, settings.approvals),
        *unknown_poolers(settings.services, poolers),
        *unknown_variables(os.environ, Settings.model_fields),
        *value_faults(settings),
    ]
    if wrong:
        raise SettingsError(_told(file, wrong))
    return settings


def described(error: ValidationError, model: type[BaseModel] | None = None) -> list[Fault]:
    """Give a model's errors as faults, without the input's values; a name that is mistyped with those there are."""
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        what = sentence(item)
        if item["type"] == "extra_forbidden" and model is not None and (known := _fields_at(model, item["loc"][:-1])):
            what = f"{what}. Known: {', '.join(known)}"
        found.append(Fault(item["loc"], what))
    return found


def _fields_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Name the fields of what is at a place of a model; none where that is no model."""
    at: type[BaseModel] | None = model
    for part in place:
        field = at.model_fields.get(str(part)) if at else None
        if field is not None:
            at = _model_in(field.annotation)
        # else it is the key of a table, such as a service's name: its model is known already
    return list(at.model_fields) if at else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)


def told(file: Path, text: str, wrong: Sequence[Fault]) -> str:
    """Say every fault with its line in the file, or the variable that it comes from, one a line."""
    lines = []
    for place, what in wrong:
        if variable := _variable(place):
            lines.append(f"{variable} (environment): {_place(place)}: {what}")
            continue
        line = line_of(text, place)
        lines.append(f"{file}{f':{line}' if line else ''}: {_place(place)}: {what}")
    return "\n".join(lines)


def _variable(place: Sequence[str | int]) -> str:
    """Name the variable that says what is at a place, or what it is in; it counts before the file does."""
    upper = {name.upper(): name for name in os.environ}
    for length in range(len(place), 0, -1):
        name = f"RUNBOOKS_{'__'.join(str(part) for part in place[:length])}".upper()
        if name in upper and (length > 1 or "__" not in name):
            return upper[name]
    return ""


def _told(file: Path, wrong: Sequence[Fault]) -> str:
    return told(file, file.read_text(encoding="utf-8") if file.is_file() else "", wrong)


def _of_the_rest(file: Path) -> list[Fault]:
    """Look at what is right by itself though something else is wrong, so that one start tells everything."""
    raw = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    services = {}
    for name, values in _table(raw.get("services")).items():
        with suppress(ValidationError):
            services[name] = Service.model_validate(values)
    approvals = ApprovalPolicy()
    with suppress(ValidationError):
        approvals = ApprovalPolicy.model_validate(_table(raw.get("approvals")))
    return faults(services, approvals)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
