"""The senders of alerts, as their documentation describes what they send and how they sign it.

Signatures are made by the vendors' own libraries where there are some (Standard Webhooks, CloudEvents), else as each
vendor's page says; SNS's by a certificate of a CA of our own.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from tests.starters.support import SERVICE

SECRET, OLD = "a-secret-of-tests", "the-secret-before"
KEY = "whsec_" + base64.b64encode(b"a key of twenty-four byte").decode()
OLD_KEY = "whsec_" + base64.b64encode(b"another of twenty-four b.").decode()
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
BEGAN = datetime(2026, 2, 4, 3, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}

MAPPING = """
[mapping.standard]
name = "$.check"
fingerprint = "$.check"
starts_at = "$.since"
status = "$.state"
firing = ["down"]
resolved = ["up"]
labels = { severity = "P1", service = "$.service", alertname = "$.check" }
annotations = { summary = "$.message" }

[mapping.events]
name = "$.subject"
fingerprint = "$.subject"
starts_at = "$.data.since"
status = "$.type"
firing = ["test.down"]
resolved = ["test.up"]
labels = { severity = "P1", service = "$.data.service" }
"""

RULES = (
    '[[route]]\nmatch = { severity = "P1" }\nprocedure = "p1-incident"\nseverity = "P1"\n\n'
    '[[route]]\nmatch_re = { alertname = "API down.*", severity = "|critical" }\nprocedure = "p1-incident"\n'
    f'service = "{SERVICE}"\n'
) + MAPPING


def hex_of(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@dataclass
class Message:
    """A post."""

    headers: dict[str, str]
    content: bytes


@dataclass
class Sender:
    """One of them: its settings, what it sends of a firing and its end, and how it signs a body."""

    name: str
    settings: dict[str, Any]
    payload: Callable[..., Any]
    sign: Callable[[Any, str], Message]
    proves: tuple[str, ...]
    """The headers without which nobody knows it; none where the proof is in the body."""

    secret: str = SECRET
    old: str = OLD
    ignored: list[Any] = field(default_factory=list)
    """Payloads that say neither that something fires nor that it ends."""

    ends_tell: bool = True
    """Whether the payload of an end names its firing."""

    def fires(self, alert: str = "api", at: datetime = BEGAN, **more: Any) -> Message:
        return self.sign(self.payload(alert, at, ended=None, **more), self.secret)

    def ends(self, alert: str = "api", at: datetime = BEGAN, **more: Any) -> Message:
        return self.sign(self.payload(alert, at, ended=at + timedelta(minutes=9), **more), self.secret)


# -- Grafana ---------------------------------------------------------------------------------------------


def grafana_payload(alert: str, at: datetime, *, ended: datetime | None, severity: str = "P1") -> Any:
    one = {
        "status": "resolved" if ended else "firing",
        "labels": {"alertname": "API down", "severity": severity, "service": SERVICE, "grafana_folder": "api"},
        "annotations": {"summary": "API down"},
        "startsAt": told(at),
        "endsAt": told(ended) if ended else "0001-01-01T00:00:00Z",
        "values": {"B": 17.3, "C": 1},
        "valueString": "[ var='B' labels={} value=17.3 ]",
        "generatorURL": "/alerting/grafana/cdabc/view?orgId=1",
        "fingerprint": hashlib.sha256(alert.encode()).hexdigest()[:16],
        "silenceURL": "https://grafana.tensafe.example/alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "imageURL": "",
    }
    return {
        "receiver": "runbooks",
        "status": one["status"],
        "orgId": 1,
        "alerts": [one],
        "groupLabels": {"alertname": "API down"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://grafana.tensafe.example/",
        "version": "1",
        "groupKey": '{}:{alertname="API down"}',
        "truncatedAlerts": 0,
        "title": "[FIRING:1]",
        "state": "alerting",
        "message": "**Firing**",
    }


def grafana(payload: Any, secret: str) -> Message:
    content = json.dumps(payload).encode()
    return Message({**JSON, "X-Grafana-Alerting-Signature": hex_of(secret, content)}, content)


def grafana_timed(payload: Any, secret: str, at: datetime | None = None) -> Message:
    content = json.dumps(payload).encode()
    seconds = str(int((at or datetime.now(UTC)).timestamp()))
    signature = hex_of(secret, f"{seconds}:".encode() + content)
    return Message({**JSON, "X-Sig": signature, "X-Sig-Time": seconds}, content)


# -- PagerDuty -------------------------------------------------------------------------------------------


def pagerduty_payload(
    alert: str, at: datetime, *, ended: datetime | None, event: str | None = None, key: str = "srv01/HTTP", **more: Any
) -> Any:
    severity = more.get("severity", "P1")
    reference = {"type": "service_reference", "self": "https://api.pagerduty.com/services/P1"}
    return {
        "event": {
            "id": hashlib.sha256(f"{alert}{ended}{event}".encode()).hexdigest()[:26].upper(),
            "event_type": event or ("incident.resolved" if ended else "incident.triggered"),
            "resource_type": "incident",
            "occurred_at": told(ended or more.get("occurred", at)),
            "agent": {"id": "PABC123", "type": "user_reference"},
            "client": None,
            "data": {
                "id": hashlib.sha256(alert.encode()).hexdigest()[:14].upper(),
                "type": "incident",
                "number": 2,
                "self": "https://api.pagerduty.com/incidents/P1",
                "html_url": "https://x.pagerduty.com/incidents/P1",
                "status": "resolved" if ended else "triggered",
                "incident_key": key,
                "created_at": told(at),
                "title": "API down",
                "service": {**reference, "id": "PF9KMXH", "summary": SERVICE},
                "assignees": [],
                "escalation_policy": {"id": "PUS0KTE", "summary": "Default"},
                "teams": [],
                "priority": {"id": "PSO75BM", "summary": severity},
                "urgency": "high",
                "conference_bridge": None,
                "resolve_reason": None,
            },
        }
    }


def pagerduty(payload: Any, secret: str) -> Message:
    content = json.dumps(payload).encode()
    # Two: PagerDuty signs with each secret that it has for the subscription.
    signatures = f"v1={hex_of('unknown-to-us', content)},v1={hex_of(secret, content)}"
    return Message({**JSON, "X-PagerDuty-Signature": signatures}, content)


# -- SNS and CloudWatch ----------------------------------------------------------------------------------


class Amazon:
    """SNS's own certificate and host, and what was fetched from there."""

    def __init__(self) -> None:
        self.authority, authority_name = rsa.generate_private_key(65537, 2048), _name("a CA of tests")
        self.key = rsa.generate_private_key(65537, 2048)
        self.stranger = rsa.generate_private_key(65537, 2048)
        self.certificates = {
            "0" * 32: self._certificate(self.key, authority_name, "sns.amazonaws.com"),
            "1" * 32: self._certificate(self.stranger, authority_name, "sns.attacker.example"),
            "2" * 32: self._certificate(self.key, authority_name, "sns.amazonaws.com", ended=True),
            "3" * 32: b"no certificate",
            "4" * 32: b"x" * 100_000,
        }
        self.fetched: list[str] = []
        self.down = False
        self.slow: asyncio.Event | None = None
        """Where it is there, nothing is answered before it is set."""

    def _certificate(self, key: Any, issuer: x509.Name, name: str, *, ended: bool = False) -> bytes:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=-1 if ended else 1))
            .sign(self.authority, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.fetched.append(str(request.url))
        if self.slow is not None:
            await self.slow.wait()
        if self.down:
            raise httpx.ConnectError("down")
        if request.url.path == "/":
            return httpx.Response(200)
        name = request.url.path.removeprefix("/SimpleNotificationService-").removesuffix(".pem")
        if name in self.certificates:
            return httpx.Response(200, content=self.certificates[name])
        return httpx.Response(403)

    def sign(self, message: dict[str, Any], *, version: str = "2", key: Any = None, certificate: str = "0" * 32) -> Any:
        url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{certificate}.pem"
        whole = {"SignatureVersion": version, "SigningCertURL": url, **message}
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        if message["Type"] == "Notification":
            names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        text = "".join(f"{name}\n{whole[name]}\n" for name in names if whole.get(name) is not None)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = (key or self.key).sign(text.encode(), PKCS1v15(), algorithm)
        return {**whole, "Signature": base64.b64encode(signature).decode()}


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


AMAZON = Amazon()


def alarm(alert: str, at: datetime, *, ended: datetime | None, state: str | None = None, **more: Any) -> Any:
    return {
        "AlarmName": f"API down {alert}" if more.get("severity", "P1") == "P1" else "Disk is filling",
        "AlarmDescription": "Nobody can log in.",
        "AWSAccountId": "123456789012",
        "NewStateValue": state or ("OK" if ended else "ALARM"),
        "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).",
        "StateChangeTime": (ended or at).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": "EU (Frankfurt)",
        "AlarmArn": f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:API down {alert}",
        "OKActions": [],
        "AlarmActions": [TOPIC],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "5xx",
            "Namespace": "AWS/ApplicationELB",
            "Period": 60,
            "Threshold": 0.0,
            "Dimensions": [{"name": "LoadBalancer", "value": "app/api/1"}],
        },
    }


def notification(inner: Any) -> dict[str, Any]:
    message = inner if isinstance(inner, str) else json.dumps(inner)
    return {
        "Type": "Notification",
        "MessageId": hashlib.sha256(message.encode()).hexdigest()[:36],
        "TopicArn": TOPIC,
        "Subject": "ALARM",
        "Message": message,
        "Timestamp": told(datetime.now(UTC)),
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }


def sns(payload: Any, secret: str) -> Message:
    del secret
    content = json.dumps(AMAZON.sign(notification(payload))).encode()
    return Message({"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}, content)


# -- Datadog ---------------------------------------------------------------------------------------------


def datadog_payload(
    alert: str, at: datetime, *, ended: datetime | None, transition: str | None = None, **more: Any
) -> Any:
    return {
        "cycle": more.get("cycle", hashlib.sha256(f"{alert}{at}".encode()).hexdigest()[:19]),
        "monitor": "1234",
        "scope": f"host:{alert}",
        "transition": transition or ("Recovered" if ended else "Triggered"),
        "type": more.get("type", "error"),
        "priority": more.get("severity", "P1"),
        "title": "API down",
        "text": "Nobody can log in.",
        "tags": f"service:{SERVICE},env:prod,monitor",
        "date": str(int((ended or more.get("occurred", at)).timestamp() * 1000)),
        "link": "https://app.datadoghq.eu/event/event?id=1",
    }


def datadog(payload: Any, secret: str) -> Message:
    return Message({**JSON, "X-Runbooks-Secret": secret}, json.dumps(payload).encode())


# -- Sentry ----------------------------------------------------------------------------------------------


def sentry_payload(alert: str, at: datetime, *, ended: datetime | None, **more: Any) -> Any:
    action = more.get("action", "resolved" if ended else "critical")
    metric = {
        "alert_rule": {
            "aggregate": "count()",
            "environment": None,
            "id": "7",
            "name": "API down" if more.get("severity", "P1") == "P1" else "Slow",
            "projects": ["api"],
            "triggers": [],
        },
        "date_closed": None,
        "date_created": told(at),
        "date_detected": told(at),
        "date_started": told(at),
        "id": hashlib.sha256(alert.encode()).hexdigest()[:9],
        "identifier": "1",
        "organization_id": "1",
        "projects": ["api"],
        "status": 20,
        "status_method": 3,
        "title": "Too many errors",
        "type": 2,
    }
    return {
        "action": action,
        "actor": {"id": "sentry", "name": "Sentry", "type": "application"},
        "data": {
            "description_text": "1000 events in the last 10 minutes",
            "description_title": "Critical: API down",
            "metric_alert": metric,
            "web_url": "https://sentry.io/organizations/x/alerts/rules/details/7/",
        },
        "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
    }


def sentry_event(issue: str, at: datetime, level: str = "fatal") -> Any:
    event = {
        "event_id": "e4874d664c3540c1a32eab185f12c5ab",
        "issue_id": issue,
        "datetime": at.isoformat(),
        "project": 1,
        "title": "ReferenceError: heck is not defined",
        "level": level,
        "culprit": "?(<anonymous>)",
        "environment": None,
        "web_url": "https://sentry.io/organizations/x/issues/1/events/e4/",
        "tags": [["environment", "production"], ["service", SERVICE]],
        "timestamp": at.timestamp(),
        "received": at.timestamp(),
    }
    return {"action": "triggered", "data": {"event": event, "triggered_rule": "API down for users"}}


def sentry(payload: Any, secret: str) -> Message:
    content = json.dumps(payload, separators=(",", ":")).encode()
    headers = {"Request-ID": "b3f1", "Sentry-Hook-Resource": "metric_alert", "Sentry-Hook-Timestamp": "1700000000"}
    return Message({**JSON, **headers, "Sentry-Hook-Signature": hex_of(secret, content)}, content)


# -- anybody ---------------------------------------------------------------------------------------------


def standard_payload(alert: str, at: datetime, *, ended: datetime | None, **more: Any) -> Any:
    # Another severity makes it another check's, which no rule takes.
    mine = more.get("severity", "P1") == "P1"
    return {
        "type": "check.changed",
        "timestamp": told(ended or at),
        "check": f"API down {alert}",
        "since": told(at),
        "state": "up" if ended else "down",
        "message": "API down",
        "service": SERVICE if mine else "billing",
    }


def standard(payload: Any, secret: str, at: datetime | None = None) -> Message:
    content = json.dumps(payload)
    now = at or datetime.now(UTC)
    name = "msg_" + hashlib.sha256(content.encode()).hexdigest()[:20]
    unknown = Webhook("whsec_" + base64.b64encode(b"unknown to us, really").decode())
    signatures = f"{unknown.sign(name, now, content)} {Webhook(secret).sign(name, now, content)}"
    seconds = str(int(now.timestamp()))
    return Message(
        {**JSON, "webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": signatures}, content.encode()
    )


def event_payload(alert: str, at: datetime, *, ended: datetime | None, **more: Any) -> Any:
    return {
        "attributes": {
            "id": hashlib.sha256(f"{alert}{at}{ended}".encode()).hexdigest()[:12],
            "source": "/checks/api",
            "type": "test.up" if ended else "test.down",
            "time": told(ended or at),
            "subject": alert,
        },
        "data": {"since": told(at), "service": SERVICE if more.get("severity", "P1") == "P1" else "billing"},
    }


def event(payload: Any, secret: str, *, binary: bool = False) -> Message:
    if not isinstance(payload, dict) or set(payload) != {"attributes", "data"}:
        content = json.dumps(payload).encode()
        kind = "cloudevents-batch" if isinstance(payload, list) else "cloudevents"
        return Message({"content-type": f"application/{kind}+json", "authorization": f"Bearer {secret}"}, content)
    attributes = dict(payload["attributes"])
    if isinstance(attributes.get("time"), str):
        attributes["time"] = datetime.fromisoformat(attributes["time"])
    made = CloudEvent(attributes, payload["data"])
    message = (to_binary_event if binary else to_structured_event)(made)
    headers = {**JSON, **message.headers} if binary else dict(message.headers)
    return Message({**headers, "authorization": f"Bearer {secret}"}, message.body)


def whole(payload: Any) -> Any:
    """Give an event as one object, as the structured mode sends it."""
    return {"specversion": "1.0", **payload["attributes"], "data": payload["data"]}


SENDERS = [
    Sender("grafana", {"kind": "grafana"}, grafana_payload, grafana, ("X-Grafana-Alerting-Signature",)),
    Sender(
        "pagerduty",
        {"kind": "pagerduty"},
        pagerduty_payload,
        pagerduty,
        ("X-PagerDuty-Signature",),
        ends_tell=False,
        ignored=[
            pagerduty_payload("api", BEGAN, ended=None, event="incident.acknowledged"),
            pagerduty_payload("api", BEGAN, ended=None, event="incident.annotated"),
            pagerduty_payload("api", BEGAN, ended=None, key="INC-20260204-030000-0a1b2c/L1"),
            {"event": {"id": "x", "event_type": "pagey.ping", "data": {"message": "Hello from your friend Pagey!"}}},
        ],
    ),
    Sender(
        "sns",
        {"kind": "sns", "topics": [TOPIC]},
        alarm,
        sns,
        (),
        ends_tell=False,
        ignored=[alarm("api", BEGAN, ended=None, state="INSUFFICIENT_DATA")],
    ),
    Sender(
        "datadog",
        {"kind": "datadog"},
        datadog_payload,
        datadog,
        ("X-Runbooks-Secret",),
        ignored=[
            datadog_payload("api", BEGAN, ended=None, transition=transition, type="warning")
            for transition in ("Warn", "Re-Warn", "No Data", "Re-No Data", "Renotify", "$ALERT_TRANSITION")
        ],
    ),
    Sender(
        "sentry",
        {"kind": "sentry"},
        sentry_payload,
        sentry,
        ("Sentry-Hook-Signature",),
        ignored=[
            {"action": "created", "data": {"installation": {"status": "pending"}}},
            {"action": "created", "data": {"issue": {"id": "1", "title": "x"}}},
            {"action": "created", "data": {"comment": "x", "issue_id": 1}},
        ],
    ),
    Sender(
        "standard",
        {"kind": "standard-webhooks"},
        standard_payload,
        standard,
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        KEY,
        OLD_KEY,
        ignored=[{**standard_payload("api", BEGAN, ended=None), "state": "unknown"}],
    ),
    Sender(
        "events",
        {"kind": "cloudevents"},
        event_payload,
        event,
        ("authorization",),
        ignored=[whole(event_payload("api", BEGAN, ended=None)) | {"type": "test.unknown"}],
    ),
]
BY_NAME = {sender.name: sender for sender in SENDERS}


def settings_of(*names: str, **more: Any) -> dict[str, Any]:
    """The section [webhook.sources] for some senders, or for all."""
    found = {}
    for sender in SENDERS:
        if names and sender.name not in names:
            continue
        secrets = [sender.old, sender.secret]
        kind = sender.settings["kind"]
        known = {} if kind == "sns" else {"bearer_tokens" if kind == "cloudevents" else "secrets": secrets}
        found[sender.name] = {**sender.settings, **known, **more}
    return found
