"""The certificates that Amazon SNS signs with: fetched from SNS itself, over TLS, and kept.

The file holds one certificate, without those above it, so its trust is that of the TLS connection to SNS's own host.
"""

import asyncio
import re
from collections import OrderedDict
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from libraries import httpx, logger
from starters.sources.port import Unauthentic, Unsure
from starters.sources.rate import Rate

_log = logger(__name__)
_WITHIN = timedelta(seconds=3)
_LARGEST = 65_536
_KEPT = 20
_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")


def host_of(topic: str) -> str:
    """Give SNS's host in the region of a topic, by its ARN."""
    _, partition, _, region = topic.split(":")[:4]
    return f"sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"


class SigningCertificates:
    """Fetches each once."""

    def __init__(self, http: "httpx.AsyncClient") -> None:
        self._http = http
        self._kept: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        # Whoever knows a topic's name can name certificates that aren't there.
        self._rate = Rate(1)

    async def key(self, url: str, topic: str, now: datetime) -> RSAPublicKey:
        """Give the key that signs for a topic.

        Raises:
            Unauthentic: the address is not SNS's own, or what is there is no certificate of SNS that is valid now.
            Unsure: SNS doesn't answer.

        """
        host = host_of(topic)
        try:
            parts = urlsplit(url)
        except ValueError:
            raise Unauthentic("its SigningCertURL is not an address") from None
        at_home = (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", host, "", "")
        if not at_home or not _PATH.fullmatch(parts.path) or url != f"https://{host}{parts.path}":
            raise Unauthentic("its SigningCertURL is not one of SNS in the topic's region")
        certificate = self._kept.get(url)
        if certificate is None:  # whoever is known already waits for no stranger's
            async with self._one_at_a_time:
                certificate = self._kept.get(url) or await self._certificate(url)
                self._kept[url] = certificate
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Unauthentic("the certificate that it is signed with is not valid now")
        if not _names(certificate) & {host, "sns.amazonaws.com"}:
            raise Unauthentic("the certificate that it is signed with is not that of SNS")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Unauthentic("the certificate that it is signed with has no RSA key")
        return key

    async def fetched(self, url: str) -> bool:
        """Fetch an address for what that does; False where it doesn't answer with 2xx."""
        try:
            answer = await self._http.get(url, timeout=_WITHIN.total_seconds(), follow_redirects=False)
        except httpx.HTTPError as error:
            _log.warning("SNS did not answer", why=type(error).__name__)
            return False
        return answer.is_success

    async def _certificate(self, url: str) -> x509.Certificate:
        if not self._rate.take():
            raise Unsure("too many certificates were asked for")
        body = bytearray()
        try:
            async with self._http.stream("GET", url, timeout=_WITHIN.total_seconds(), follow_redirects=False) as answer:
                status = answer.status_code
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST:
                        break
        except httpx.HTTPError as error:
            _log.warning("SNS's certificate could not be fetched", why=type(error).__name__)
            raise Unsure("SNS's certificate could not be fetched") from None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unsure("SNS's certificate could not be fetched")
        if status != HTTPStatus.OK or len(body) > _LARGEST:
            raise Unauthentic("what is at its SigningCertURL is no certificate")
        try:
            return x509.load_pem_x509_certificate(bytes(body))
        except ValueError:
            raise Unauthentic("what is at its SigningCertURL is no certificate") from None


def _names(certificate: x509.Certificate) -> set[str]:
    names = {str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return names
    return names | set(alternative.value.get_values_for_type(x509.DNSName))
