"""Amazon SNS over HTTPS, and CloudWatch's alarms in it.

(https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

A message names the addresses of its certificate and of its confirmation: whoever can post could make us fetch anything.
So the topic must be one of the settings first, and an address one of SNS in that topic's region; only then is it asked.
SNS takes a 4xx for the last word, and tries again after 5xx and 429.
"""

import base64
import re
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from activities.common.text import ToldLine
from activities.records.alerts import Alert
from audit.text import length
from starters.sources.beside import AnyObject, AnyText
from starters.sources.port import Manners, Post, Said, Source, Unauthentic, Unreadable, document
from starters.sources.signing_certificates import SigningCertificates, host_of
from starters.steering.mapping import Flaw, Ignored, PayloadMapping, called, made, text, time
from workers.source_settings import SnsSource

_HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  version 1 is SNS's default, and is SHA-1
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]
_DIMENSIONS_MOST = 30


class _Message(BaseModel):
    """The envelope, in SNS's own names."""

    model_config = ConfigDict(extra="ignore")

    Type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    MessageId: str = Field(max_length=200)
    TopicArn: str
    Message: str
    Timestamp: str
    SignatureVersion: str
    Signature: str
    SigningCertURL: str
    Subject: str | None = None
    SubscribeURL: str | None = None
    Token: str | None = None

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        values = ((name, getattr(self, name)) for name in _SIGNED[self.Type])
        return "".join(f"{name}\n{value}\n" for name, value in values if value is not None).encode()


def _dimensions(value: Any) -> Any:
    """Read a list of names and values; what is none is left out."""
    named = [one for one in value if isinstance(one, dict) and one.get("name")] if isinstance(value, list) else []
    return {f"dimension_{text(one['name'])}": text(one.get("value")) for one in named[:_DIMENSIONS_MOST]}


class _Trigger(BaseModel):
    model_config = ConfigDict(extra="ignore")

    metric: AnyText = Field(alias="MetricName", default="")
    space: AnyText = Field(alias="Namespace", default="")
    dimensions: Annotated[dict[str, str], BeforeValidator(_dimensions)] = Field(
        alias="Dimensions", default_factory=dict
    )


class _Alarm(BaseModel):
    """CloudWatch's message; a composite alarm has no trigger."""

    model_config = ConfigDict(extra="ignore")

    name: ToldLine = Field(alias="AlarmName", min_length=1)
    arn: AnyText = Field(alias="AlarmArn", default="")
    description: AnyText = Field(alias="AlarmDescription", default="")
    account: AnyText = Field(alias="AWSAccountId", default="")
    state: str = Field(alias="NewStateValue")
    reason: AnyText = Field(alias="NewStateReason", default="")
    changed: Any = Field(alias="StateChangeTime")
    trigger: Annotated[_Trigger, AnyObject] = Field(alias="Trigger", default=_Trigger())


class Sns(Source):
    """Some topics, of any regions."""

    manners = Manners(media=frozenset({"text/plain", "application/json"}))

    def __init__(
        self, name: str, settings: SnsSource, mapping: PayloadMapping | None, certificates: SigningCertificates
    ) -> None:
        super().__init__(name)
        self._settings = settings
        self._mapping = mapping
        self._certificates = certificates

    async def check(self, post: Post) -> None:
        """See that a topic of ours is meant, that SNS has signed, and that it isn't old."""
        try:
            message = _Message.model_validate(document(post.body))
            signature = base64.b64decode(message.Signature, validate=True)
            signed = message.signed
        except (Unreadable, ValueError):
            raise Unauthentic("not a signed message of SNS (is raw delivery on?)") from None
        if message.TopicArn not in self._settings.topics:
            raise Unauthentic("its TopicArn is none of this source's topics")
        algorithm = _HASHES.get(message.SignatureVersion)
        if algorithm is None:
            raise Unauthentic("its SignatureVersion is neither 1 nor 2")
        key = await self._certificates.key(message.SigningCertURL, message.TopicArn, post.at)
        try:
            key.verify(signature, signed, PKCS1v15(), algorithm)
        except InvalidSignature:
            raise Unauthentic("its signature is not that of SNS") from None
        _recent(message.Timestamp, post.at, self._settings)

    def read(self, post: Post) -> Said:
        """Read an alarm, or a message of any other shape by the mapping, or what SNS itself asks."""
        try:
            message = _Message.model_validate(document(post.body))
        except ValidationError:
            raise Unreadable("not a message of SNS") from None
        if message.Type == "SubscriptionConfirmation":
            url = message.SubscribeURL or ""
            if not _confirms(url, message):
                raise Unreadable("its SubscribeURL is not SNS's own for this topic")
            return Said([Ignored("the topic's subscription")], confirm=url)
        if message.Type == "UnsubscribeConfirmation":
            return Said([Ignored("the end of the topic's subscription")])
        try:
            inner = document(message.Message.encode(errors="replace"))
        except Unreadable as error:
            return Said([Flaw(f"Message: {error}")])
        if self._mapping is not None and "AlarmName" not in inner:
            try:
                at = time(message.Timestamp)
            except ValueError as error:  # `check` has seen a good one; nobody checks what is only tried
                return Said([Flaw(f"Timestamp: {error}")])
            return Said([*self._mapping.alerts(inner, self.name, called(message.MessageId), at)])
        return Said([self._alarm(inner, message.TopicArn)])

    async def confirm(self, url: str) -> bool:
        """Confirm the subscription."""
        return await self._certificates.fetched(url)

    def _alarm(self, inner: dict[str, Any], topic: str) -> Alert | Flaw | Ignored:
        try:
            alarm = _Alarm.model_validate(inner)
            changed = time(alarm.changed)
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in one["loc"])[:100] for one in error.errors()})
            return Flaw(f"Message.{', '.join(places[:10])}: can't be read")
        except ValueError as error:
            return Flaw(f"Message.StateChangeTime: {error}")
        if alarm.state not in {"ALARM", "OK"}:
            return Ignored("a state that is neither ALARM nor OK: nobody knows how it is")
        # The message of its end doesn't tell when it began.
        ended = alarm.state == "OK"
        region = (alarm.arn or topic).split(":")[3:4] or [""]
        return made(
            source=self.name,
            fingerprint=called(alarm.arn or f"{alarm.account}/{alarm.name}"),
            name=alarm.name,
            starts_at=changed,
            status="resolved" if ended else "firing",
            ends_at=changed if ended else None,
            labels={
                "account": alarm.account,
                "region": region[0],
                "metric": alarm.trigger.metric,
                "metric_namespace": alarm.trigger.space,
                **alarm.trigger.dimensions,
            },
            annotations={"summary": alarm.reason, "description": alarm.description},
            generator_url=_console(region[0], alarm.name),
            group_key=text(topic),
        )


def _recent(timestamp: str, now: datetime, settings: SnsSource) -> None:
    try:
        sent = time(timestamp)
    except ValueError:
        raise Unauthentic("its Timestamp is not a time") from None
    if abs(now - sent) > settings.window:
        raise Unauthentic(f"it was sent more than {length(settings.window)} ago")


def _confirms(url: str, message: _Message) -> bool:
    """Tell whether an address is that by which SNS lets this very topic be confirmed."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query, strict_parsing=True)
    except ValueError:
        return False
    return (
        (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("https", host_of(message.TopicArn), "/", "")
        and asked.get("Action") == ["ConfirmSubscription"]
        and asked.get("TopicArn") == [message.TopicArn]
        and asked.get("Token") == [message.Token or ""]
        and set(asked) == {"Action", "TopicArn", "Token"}
    )


def _console(region: str, name: str) -> str:
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        return ""
    return (
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(name, safe='')}"
    )
