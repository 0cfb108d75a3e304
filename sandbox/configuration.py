"""The sandbox's settings: the `runbooks.toml` of its workers, webhook and command line, with its secrets beside it."""

import base64
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from activities.catalogue.service import Service
from sandbox import aws, binaries, manifests
from sandbox.certificate_authority import CertificateAuthority
from sandbox.ports import LOOPBACK
from sandbox.service_database import ServiceDatabase
from workers.settings import AuditSettings

SERVICE = "tensafe-server"
NAMESPACE = "tensafe"
TASK_QUEUE = "runbooks"
HOST = "api.tensafe.example"
TLS_SECRET = "tensafe-tls"  # noqa: S105 - its name
_WINDOW = "10s"


@dataclass(frozen=True)
class Tls:
    """Where the service answers TLS, what vouches for it, and who issues anew."""

    port: int
    roots: Path
    authority: CertificateAuthority


@dataclass(frozen=True)
class Endpoints:
    """Where the servers of one sandbox are."""

    temporal_address: str
    temporal_ui: str
    records_url: str
    kubeconfig: Path
    prometheus_url: str
    alertmanager_url: str
    aws_url: str
    webhook_port: int
    health_url: str
    mail_port: int = 0
    handover_url: str = ""
    database: ServiceDatabase | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Configuration:
    """The files of one sandbox; secrets are readable by their owner only."""

    directory: Path

    @property
    def file(self) -> Path:
        """The settings file, for `RUNBOOKS_CONFIG`."""
        return self.directory / "runbooks.toml"

    @property
    def routes(self) -> Path:
        """Which alert starts which procedure."""
        return self.directory / "routes.toml"

    @property
    def bearer_token(self) -> Path:
        """What Alertmanager shows to the webhook."""
        return self.directory / "webhook.token"

    @property
    def gateway_key(self) -> Path:
        """What signs people's approvals; workers know only its public half."""
        return self.directory / "gateway.pem"

    @property
    def audit_key(self) -> Path:
        """What signs the archive."""
        return self.directory / "audit.pem"

    @property
    def audit_public_key(self) -> Path:
        """What verifies it."""
        return self.directory / "audit-public.pem"

    @property
    def handover_secret(self) -> Path:
        """What one-time links are made from."""
        return self.directory / "handover-secret"

    @property
    def services(self) -> dict[str, Service]:
        """The catalogue."""
        found = tomllib.loads(self.file.read_text(encoding="utf-8"))["services"]
        return {name: Service.model_validate(service) for name, service in found.items()}

    @property
    def audit(self) -> AuditSettings:
        """The archive's settings; Temporal's development server lists at once what has closed."""
        return AuditSettings.model_validate({"private_key": f"file:{self.audit_key}", "settle": "PT10S"})

    def write(self, endpoints: Endpoints) -> None:
        """Write all of them, with new secrets."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _write_secret(self.bearer_token, secrets.token_urlsafe(32).encode())
        _write_secret(self.handover_secret, secrets.token_urlsafe(32).encode())
        key = _write_key(self.gateway_key)
        audit = _write_key(self.audit_key).public_key()
        self.audit_public_key.write_bytes(
            audit.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.routes.write_text(manifests.alert_routes(), encoding="utf-8")
        settings = self._settings(endpoints, base64.b64encode(public).decode())
        _write_secret(self.file, tomli_w.dumps(settings).encode())  # the database's password is in it

    def _settings(self, at: Endpoints, gateway_public_key: str) -> dict[str, Any]:
        service = {**_service(at.health_url), **_policy(at.database), **_certificates(at.tls)}
        return {
            "temporal": {"address": at.temporal_address, "ui_url": at.temporal_ui, "task_queue": TASK_QUEUE},
            # As CI does: whoever changes a procedure here learns at once where it is not deterministic. Workers are
            # killed here, few runs are open, and a laptop that is busy is no service that is down.
            "worker": {
                "workflow_sandbox": True,
                "dead_worker_keeps_runs": "PT3S",
                "heartbeat_throttle": "PT0.5S",
                "health_timeout": "PT20S",
            },
            "records": {"url": at.records_url},
            "kubernetes": {"kubeconfig": str(at.kubeconfig)},
            "prometheus": {"url": at.prometheus_url},
            "alertmanager": {"url": at.alertmanager_url},
            "aws": {"region": aws.REGION, "endpoint_url": at.aws_url},
            "helm": {"program": str(binaries.expected("helm"))},
            "evidence": {"directory": "evidence"},
            "mail": _mail(at.mail_port),
            "handover": {"secret": f"file:{self.handover_secret}", "base_url": at.handover_url or "http://127.0.0.1"},
            "audit": {"private_key": f"file:{self.audit_key}", "settle": "PT10S"},
            "webhook": {
                "port": at.webhook_port,
                "bearer_tokens": [f"file:{self.bearer_token}"],
                "routes": self.routes.name,
            },
            # The Temporal UI can't sign; in the sandbox a word typed there counts.
            "approvals": {"public_keys": [gateway_public_key], "allow_unsigned": True},
            "services": {SERVICE: service},
            **_authority(at.tls),
            "databases": {at.database.name: at.database.settings()} if at.database else {},
        }


def _policy(database: ServiceDatabase | None) -> dict[str, Any]:
    if database is None:
        return {}
    failover = {
        "probe_every": "PT1S",
        "up": f'service_database_up{{service="{SERVICE}"}}',
        "decision_timeout": "PT2M",
    }
    return {"database": {**database.policy(), "failover": failover, "restore": {"decision_timeout": "PT2M"}}}


def _certificates(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    policy = {
        "served": [{"host": HOST, "addresses": [f"{LOOPBACK}:{tls.port}"], "secret": TLS_SECRET}],
        "acme": {"secrets": [TLS_SECRET], "profile": "default"},
        "served_within": "PT30S",
        "decision_timeout": "PT2M",
    }
    return {"certificates": policy}


def _authority(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    acme = {
        "directory": tls.authority.url,
        "terms_agreed": True,
        "ca_file": str(tls.authority.ca_file),
        "namespace": NAMESPACE,
        "look_at": f"http://{LOOPBACK}:{tls.authority.http_port}",
    }
    return {"certificates": {"ca_file": str(tls.roots)}, "acme": acme}


def _mail(port: int) -> dict[str, Any]:
    if not port:  # without a mail server it is only noted that a mail would go out
        return {"backend": "records"}
    sender = "TenSafe operations <ops@tensafe.example>"
    return {"backend": "smtp", "host": LOOPBACK, "port": port, "security": "none", "sender": sender}


def _service(health_url: str) -> dict[str, Any]:
    requests = f'http_requests_total{{service="{SERVICE}"'
    return {
        "namespace": NAMESPACE,
        "deployment": SERVICE,
        "selector": "app=tensafe",
        "health_url": health_url,
        "hpa": SERVICE,
        "scaled_object": "tensafe-scaledobject",
        "time_zone": "Europe/Berlin",
        "metrics": {
            "error_rate": f'sum(rate({requests},code=~"5.."}}[{_WINDOW}])) / sum(rate({requests}}}[{_WINDOW}]))',
            "p95_latency": (
                "histogram_quantile(0.95, sum by (le) "
                f'(rate(http_request_duration_seconds_bucket{{service="{SERVICE}"}}[{_WINDOW}])))'
            ),
            "saturation": f'service_saturation{{service="{SERVICE}"}}',
            "request_rate": f"sum(rate({requests}}}[{_WINDOW}]))",
        },
        # Everything here happens faster than in production, and so does the patience with it.
        "incident": {"steady_for": "PT5S", "verify_timeout": "PT60S", "decision_timeout": "PT2M"},
        "degradation": {
            "latency_above": "PT1S",
            "look_back": "PT5M",
            "watch_for": "PT20S",
            "watch_every": "PT1S",
            "better_for": "PT5S",
            "down_for": "PT5S",
            "decision_timeout": "PT2M",
        },
        "release": {
            "chart": str(manifests.CHART),
            "release": manifests.RELEASE,
            "timeout": "PT2M",
            "smoke": [{"name": "health", "url": health_url}],
            "watch_for": "PT15S",
            "watch_every": "PT1S",
            "baseline_over": "PT30S",
            "breach_for": "PT3S",
        },
        "recovery": _recovery(health_url),
        "daily": _daily(),
        "customers": {"product": "TenSafe", "onboarding": {"look_every": "PT10S"}},
        "gpu": {
            "cluster": aws.CLUSTER,
            "nodegroup": aws.NODE_GROUP,
            "utilisation": f'service_gpu_utilisation{{service="{SERVICE}"}}',
            "sustained": "PT5S",
            "join_within": "PT60S",
            "decision_timeout": "PT2M",
        },
    }


def _daily() -> dict[str, Any]:
    requests = f'http_requests_total{{service="{SERVICE}",code=~"5.."}}'
    return {
        "uptime": f'avg_over_time(service_up{{service="{SERVICE}"}}[$window])',
        "errors": f"sum(increase({requests}[$window]))",
        # A night and a day, in minutes: nothing here is older.
        "night": "PT5M",
        "day": "PT10M",
        "confirm_after": "PT2S",
        "incident": "ask",  # what is broken here is broken on purpose
        "decision_timeout": "PT2M",
    }


def _recovery(health_url: str) -> dict[str, Any]:
    return {
        "components": {"scrape": {"condition": f'up{{job="{SERVICE}"}} == 1'}},
        "steady_for": "PT2S",
        "tests": [{"name": "health", "url": health_url}],
        "rollout_within": "PT30S",
        "traffic": {"mode": "ingress", "ingress": SERVICE, "hold": "PT3S"},
        "breach_for": "PT3S",
        "sample_every": "PT1S",
        # A day of looks every hour, in four minutes.
        "watch_for": "PT4M",
        "watch_every": "PT10S",
        "look_for": "PT3S",
        "decision_timeout": "PT2M",
    }


def _write_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write_secret(path, pem)
    return key


def _write_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
