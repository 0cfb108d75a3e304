"""Any sender that signs as Standard Webhooks says.

(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

What it sends is its own: `[mapping.NAME]` says where everything is. Such a sender turns itself off at a 410: nothing
here answers that.
"""

import re
from contextlib import suppress

from standardwebhooks import Webhook, WebhookVerificationError

from starters.sources.port import Post, Said, Source, Unauthentic, document
from starters.steering.mapping import PayloadMapping, called, time
from workers.source_settings import StandardWebhooksSource

_SIGNATURE = re.compile(r"(?<![^ ,])v1,[A-Za-z0-9+/]{43}=(?![^ ,])")
"""One of those in the header: an HMAC-SHA256 in base64."""


class StandardWebhooks(Source):
    """One sender."""

    def __init__(self, name: str, settings: StandardWebhooksSource, mapping: PayloadMapping) -> None:
        super().__init__(name)
        self._keys = [Webhook(secret.get_secret_value()) for secret in settings.secrets]
        self._mapping = mapping

    async def check(self, post: Post) -> None:
        """See that ID, time and body are signed, and that the time is within five minutes, as the standard says."""
        headers = {name: value for name, value in post.headers.items() if name.startswith("webhook-")}
        # The library gives up at the first that it can't read: one of another version must not stand before ours.
        headers["webhook-signature"] = " ".join(_SIGNATURE.findall(headers.get("webhook-signature", "")))
        fits = [_fits(key, post.body, headers) for key in self._keys]
        if not any(fits):
            raise Unauthentic("webhook-signature has no v1 signature by a secret of this source, or its time is off")

    def read(self, post: Post) -> Said:
        """Read by the mapping; the standard's own `timestamp` says when, where the mapping doesn't."""
        body = document(post.body)
        at = None
        with suppress(ValueError):
            at = time(body.get("timestamp"))
        message = called(post.headers.get("webhook-id", ""))
        return Said([*self._mapping.alerts(body, self.name, message, at)])


def _fits(key: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        key.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a body that is no UTF-8
        return False
    return True
