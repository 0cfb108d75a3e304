"""Talking to a certificate authority by ACME (RFC 8555), with certbot's `acme`: the account, and what a refusal means.

The account's key is kept in a Secret and made once, by whoever comes first: authorities count orders by account, and an
account that is made anew with each run would only hide that from us.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from pydantic import BaseModel, Field, SecretStr

from activities.common.errors import Conflict, Misconfigured, Refused, Unavailable, unavailable
from activities.common.http import wait_asked
from activities.kubernetes.api import FIELD_MANAGER, Object, ask, optional
from libraries import acme_client, acme_errors, acme_messages, josepy, requests

if TYPE_CHECKING:
    from libraries import kubernetes

_SYSTEM = "the certificate authority"
_SECONDS = 10
_LONGEST_WAIT = timedelta(days=8)
"""Authorities count by the week: a longer wait than that is none that could be meant."""

_DETAIL_CHARACTERS = 300
_KEY = "account.pem"

_PERMANENT = {
    "accountDoesNotExist",
    "badCSR",
    "badPublicKey",
    "badSignatureAlgorithm",
    "caa",
    "externalAccountRequired",
    "invalidContact",
    "malformed",
    "rejectedIdentifier",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
    "invalidProfile",
}
"""Problem types (RFC 8555, 6.7) that come back until somebody changes settings, DNS or the account."""

_PASSING = {"serverInternal", "badNonce"}
"""The request was not heard as it was meant: it may be sent again at once."""


class Problem(BaseModel):
    """Why the authority said no, in its own words."""

    type: str = Field(description="Of RFC 8555, 6.7, without its prefix.")
    detail: str = ""
    identifier: str = Field(default="", description="The name that it is about.")
    permanent: bool = Field(description="Comes back until somebody changes something.")
    not_before: datetime | None = Field(default=None, description="When it may be asked again (Retry-After).")

    def __str__(self) -> str:
        about = f"{self.identifier}: " if self.identifier else ""
        again = f" (not again before {self.not_before:%Y-%m-%d %H:%M:%S %Z})" if self.not_before else ""
        return f"{about}{self.type}: {self.detail}{again}"


class AuthorityRefused(Exception):  # noqa: N818  not a failure of an activity: it becomes part of its answer
    """The authority refused; what it was asked is not asked again by itself."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class AlreadyReplaced(Exception):  # noqa: N818
    """Another order replaces that certificate already (RFC 9773, 5)."""


@dataclass(frozen=True)
class AcmeOptions:
    """The settings' authority."""

    directory: str
    terms_agreed: bool
    namespace: str
    contact: tuple[str, ...] = ()
    ca_file: Path | None = None
    eab_key_id: str = ""
    eab_key: SecretStr | None = None
    secret: str = "acme-account"  # noqa: S105  a name


class Session:
    """One activity's conversation with the authority; every request may raise `AuthorityRefused` or `Unavailable`."""

    def __init__(self, client: Any, last: "_Last") -> None:
        self._client = client
        self._last = last

    @property
    def key(self) -> Any:
        """The account's key, from which answers to challenges are made."""
        return self._client.net.key

    def read(self, url: str) -> "tuple[Object, requests.Response]":
        """Read a resource of the account."""
        with self._last.failures():
            answer = self._client.net.post(url, None, new_nonce_url=self._client.directory.newNonce)
            found: Object = answer.json()
        return found, answer

    def text(self, url: str) -> str:
        """Read a certificate."""
        with self._last.failures():
            answer = self._client.net.post(url, None, new_nonce_url=self._client.directory.newNonce)
        return str(answer.text)

    def send(self, url: str, message: Any) -> "tuple[Object, requests.Response]":
        """Send a message of the protocol; gives what became of the resource, and the answer."""
        with self._last.failures():
            answer = self._client.net.post(url, message, new_nonce_url=self._client.directory.newNonce)
            found: Object = answer.json()
        return found, answer

    def new_order(self, names: list[str], *, profile: str | None, replaces: str) -> str:
        """Order a certificate, and give the order's URL.

        Raises:
            AlreadyReplaced: the certificate that it is to replace has been replaced already.

        """
        body: Object = {"identifiers": [{"type": "dns", "value": name} for name in names]}
        if profile:
            body["profile"] = profile
        if replaces and "renewalInfo" in self._client.directory.to_partial_json():
            body["replaces"] = replaces
        with self._last.failures():
            try:
                answer = self._client.net.post(
                    self._client.directory.newOrder, _Body(body), new_nonce_url=self._client.directory.newNonce
                )
            except acme_errors.ConflictError:
                raise AlreadyReplaced from None
        return str(answer.headers["Location"])


class _Body:
    """A message that `acme` has no class for, or not all fields of."""

    def __init__(self, body: Object) -> None:
        self._body = body

    def json_dumps(self, **options: Any) -> str:
        return json.dumps(self._body, **options)


class _Last:
    """The last answer: `acme` raises a problem document without the headers that came with it."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def keep(self, answer: "requests.Response", *_args: Any, **_options: Any) -> None:
        self.headers = dict(answer.headers)

    @property
    def not_before(self) -> datetime | None:
        wait = wait_asked(self.headers, longest=_LONGEST_WAIT)
        return datetime.now(UTC) + wait if wait else None

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn the library's failures into ours.

        Raises:
            AuthorityRefused: with the problem; asked again at once it would only count against us.
            Unavailable: no answer, or a passing fault.
            Refused: an answer that is none of the protocol's.

        """
        try:
            yield
        except acme_messages.Error as error:
            if (error.code or "") in _PASSING:
                raise Unavailable(f"{_SYSTEM} failed ({error.code}): {_short(error.detail)}") from None
            raise AuthorityRefused(problem(error, not_before=self.not_before)) from None
        except acme_errors.ClientError as error:
            status = getattr(error.args[0] if error.args else None, "status_code", 0)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
                raise Unavailable(f"{_SYSTEM} failed (HTTP {status})") from None
            raise Refused(f"{_SYSTEM} answered something else than ACME (HTTP {status or '?'})") from None
        except (requests.RequestException, OSError, ValueError) as error:
            unavailable(_SYSTEM, error)


def problem(error: "acme_messages.Error", *, identifier: str = "", not_before: datetime | None = None) -> Problem:
    """Read a problem document; of a compound one, the first part that will not pass by itself counts."""
    parts = list(error.subproblems or ())
    code = error.code or str(error.typ).rpartition(":")[2]
    lasting = [part for part in parts if (part.code or "") in _PERMANENT]
    told = "; ".join([str(error.detail or ""), *(f"{_name(part)}{part.code}: {part.detail}" for part in parts)])
    return Problem(
        type=code,
        detail=_short(told),
        identifier=identifier or (str(error.identifier.value) if error.identifier else ""),
        permanent=code in _PERMANENT or bool(lasting),
        not_before=not_before if code == "rateLimited" else None,
    )


def _name(part: "acme_messages.Error") -> str:
    return f"{part.identifier.value} " if part.identifier else ""


def _short(text: str | None) -> str:
    return " ".join((text or "").split())[:_DETAIL_CHARACTERS]


class Account:
    """The settings' account at the authority."""

    def __init__(self, core: "kubernetes.CoreV1Api", options: AcmeOptions) -> None:
        self._core = core
        self._options = options

    def open(self) -> Session:
        """Connect, with the account; made at the first time.

        Raises:
            Misconfigured: nobody has agreed to the authority's terms, or it wants an account of theirs to bind to.
            AuthorityRefused, Unavailable: see `Session`.

        """
        if not self._options.terms_agreed:
            raise Misconfigured("settings don't agree to the certificate authority's terms: [acme] terms_agreed = true")
        network, last = self._network(josepy.jwk.JWKEC(key=josepy.util.ComparableECKey(self._key())))
        with last.failures():
            directory = acme_client.ClientV2.get_directory(self._options.directory, network)
            client = acme_client.ClientV2(directory, network)
            if client.external_account_required() and self._options.eab_key is None:
                raise Misconfigured("the certificate authority asks for [acme] eab_key_id and eab_key")
            try:
                client.new_account(self._registration(network.key, directory))
            except acme_errors.ConflictError as known:
                network.account = acme_messages.RegistrationResource(
                    uri=known.location, body=acme_messages.Registration()
                )
        return Session(client, last)

    def public(self) -> "tuple[Any, dict[str, Any], _Last]":
        """Connect without the account: gives the network, the directory, and what keeps its failures."""
        network, last = self._network(None)
        with last.failures():
            directory: dict[str, Any] = network.get(self._options.directory).json()
        return network, directory, last

    def _network(self, key: Any) -> "tuple[Any, _Last]":
        network = acme_client.ClientNetwork(key, alg=josepy.jwa.ES256, user_agent=FIELD_MANAGER, timeout=_SECONDS)
        if self._options.ca_file is not None:
            network.verify_ssl = str(self._options.ca_file)  # type: ignore[assignment]  # passed on to requests
        last = _Last()
        network.session.hooks["response"].append(last.keep)
        return network, last

    def _registration(self, key: Any, directory: Any) -> Any:
        binding = None
        if self._options.eab_key is not None:
            binding = acme_messages.ExternalAccountBinding.from_data(
                key.public_key(), self._options.eab_key_id, self._options.eab_key.get_secret_value(), directory
            )
        return acme_messages.NewRegistration.from_data(
            contact=tuple(f"mailto:{address}" for address in self._options.contact),
            terms_of_service_agreed=True,
            external_account_binding=binding,
        )

    def _key(self) -> Any:
        """Give the account's key, from its Secret; the first to come makes it."""
        where = (self._options.secret, self._options.namespace)
        found = optional(self._core.read_namespaced_secret, *where)
        if found is None:
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {"name": self._options.secret},
                "data": {_KEY: base64.b64encode(new_key("ecdsa-p256")).decode()},
            }
            try:
                found = ask(
                    self._core.create_namespaced_secret, self._options.namespace, body, field_manager=FIELD_MANAGER
                )
            except Conflict:  # another was faster
                found = ask(self._core.read_namespaced_secret, *where)
        try:
            return serialization.load_pem_private_key(base64.b64decode(found["data"][_KEY]), None)
        except (KeyError, ValueError):
            raise Misconfigured(f"secret/{self._options.secret}: its {_KEY} is no private key") from None


def new_key(kind: str) -> bytes:
    """Make a private key, PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415

    made = (
        rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        if kind == "rsa-2048"
        else ec.generate_private_key(ec.SECP256R1())
    )
    # The form that every ingress reads, for either kind.
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
