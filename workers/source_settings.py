"""Who may send alerts beside Alertmanager, and how each is known: `[webhook.sources.NAME]` (docs/alert-sources.md).

A source's name is its address, `/webhooks/NAME`, and what its alerts are called in the records. Every secret may be
several: while one is changed, the old and the new are both taken.
"""

import base64
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from workers.sections import FileSecret, Secret, Section

ALERTMANAGER = "alertmanager"
"""The source that is always there, with the webhook's own credentials."""


def _not_taken(name: str) -> str:
    if name == ALERTMANAGER:
        raise ValueError(f"{name} is there already, with the webhook's own credentials: call this one otherwise")
    return name


SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$"), AfterValidator(_not_taken)]
"""A part of an address."""


def _not_empty(secret: SecretStr) -> SecretStr:
    if not isinstance(secret, FileSecret) and not secret.get_secret_value():
        raise ValueError("is empty")
    return secret


def _standard(secret: SecretStr) -> SecretStr:
    """See that it is a key, as Standard Webhooks writes it."""
    if isinstance(secret, FileSecret):  # of a process that doesn't use it
        return secret
    written = secret.get_secret_value().removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("not a key of Standard Webhooks: `whsec_` and base64")
    return secret


_Given = Annotated[Secret, AfterValidator(_not_empty)]
_Secrets = Annotated[tuple[_Given, ...], Field(min_length=1, description="Any of them is taken; several for rotation.")]
_Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
_WINDOW = timedelta(minutes=5)


class _Source(Section):
    rate: int = Field(
        default=100, ge=1, le=100_000, description="Posts a second, over ten seconds; what is more has to come again."
    )
    max_body: int = Field(
        default=2 * 1_048_576,
        ge=1024,
        description="Bytes, and never more than [webhook] max_body: a body is read before anybody knows who sent it.",
    )


class GrafanaSource(_Source):
    """A contact point "Webhook" of Grafana Alerting, with an HMAC signature (Grafana 12 and later)."""

    kind: Literal["grafana"] = Field(description="Which sender it is.")
    secrets: _Secrets
    header: _Header = Field(default="X-Grafana-Alerting-Signature", description="Where the signature is.")
    timestamp_header: _Header | None = Field(
        default=None, description="Where the time is; as in the contact point. Without it no time is signed."
    )
    window: timedelta = Field(default=_WINDOW, gt=timedelta(0), description="How old a signed time may be.")


class PagerDutySource(_Source):
    """A webhook subscription of PagerDuty, version 3."""

    kind: Literal["pagerduty"] = Field(description="Which sender it is.")
    secrets: _Secrets


class SnsSource(_Source):
    """Topics of Amazon SNS that post to us, CloudWatch's alarms among them."""

    kind: Literal["sns"] = Field(description="Which sender it is.")
    topics: tuple[
        Annotated[str, StringConstraints(pattern=r"^arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+$")], ...
    ] = Field(min_length=1, description="Their ARNs: nothing is believed, and nothing fetched, for any other.")
    window: timedelta = Field(
        default=timedelta(hours=24), gt=timedelta(0), description="How old a message may be; SNS itself retries long."
    )


class DatadogSource(_Source):
    """A webhook of Datadog, which signs nothing: it shows a secret in a header, or basic auth."""

    kind: Literal["datadog"] = Field(description="Which sender it is.")
    header: _Header = Field(default="X-Runbooks-Secret", description="Which custom header holds the secret.")
    secrets: tuple[_Given, ...] = Field(default=(), description="Any of them is taken; several for rotation.")
    basic_auth: dict[str, _Given] = Field(default_factory=dict, description="User → password.")

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not self.secrets and not self.basic_auth:
            raise ValueError("secrets or basic_auth: one is required")
        return self


class SentrySource(_Source):
    """An internal integration of Sentry; its client secret signs."""

    kind: Literal["sentry"] = Field(description="Which sender it is.")
    secrets: _Secrets


class StandardWebhooksSource(_Source):
    """Any sender that signs as Standard Webhooks says (standardwebhooks.com)."""

    kind: Literal["standard-webhooks"] = Field(description="Which sender it is.")
    secrets: tuple[Annotated[Secret, AfterValidator(_standard)], ...] = Field(
        min_length=1, description="Each `whsec_…`; any of them is taken, several for rotation."
    )


class CloudEventsSource(_Source):
    """Any sender of CloudEvents 1.0 over HTTP (structured, binary, in batches) with a bearer token (cloudevents.io)."""

    kind: Literal["cloudevents"] = Field(description="Which sender it is.")
    bearer_tokens: _Secrets
    origins: tuple[str, ...] = Field(
        default=(), description="Who may ask by OPTIONS whether it may send, as `WebHook-Request-Origin` names it."
    )


AlertSource = Annotated[
    GrafanaSource
    | PagerDutySource
    | SnsSource
    | DatadogSource
    | SentrySource
    | StandardWebhooksSource
    | CloudEventsSource,
    Field(discriminator="kind"),
]
