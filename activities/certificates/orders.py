"""Orders of certificates by ACME, each step once (RFC 8555; runbook 6.3 step 2, `tensafe-admin cert renew`).

What the authority refuses is part of an answer and not a failure: Temporal would try a failure again, and authorities
count. Only what was not heard (no answer, a passing fault) is tried again, and finds what an earlier attempt has done:
the order by its URL beside the key, a challenge and an order by their states at the authority.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.certificates.account import (
    Account,
    AcmeOptions,
    AlreadyReplaced,
    AuthorityRefused,
    Problem,
    Session,
    new_key,
    problem,
)
from activities.certificates.challenges import Challenges, Shown
from activities.certificates.facts import Certificate, chain_of, facts
from activities.certificates.pending import PendingSecrets
from activities.certificates.secrets import SecretName
from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, NotFound, Refused
from activities.common.heartbeat import Progress, resume, turns
from activities.kubernetes.api import Object
from audit.text import length
from libraries import acme_messages, kubernetes, x509

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL = timedelta(seconds=1)
_LOOK = timedelta(seconds=5)
"""Between our own looks: Route 53 answers five requests a second, and to a whole account."""

_PENDING, _PROCESSING, _READY, _VALID = "pending", "processing", "ready", "valid"

_SHARE_DIGITS = 8
_SHARES = float(16**_SHARE_DIGITS)

ChallengeKind = Literal["http-01", "dns-01"]


class WindowRequest(BaseModel):
    """Which certificate's renewal window."""

    certificate: Certificate


class Window(BaseModel):
    """When its authority wants a certificate renewed (RFC 9773)."""

    offered: bool = Field(description="False where the authority has none for it.")
    start: datetime | None = None
    end: datetime | None = None
    explanation: str = Field(default="", description="A URL.")

    def moment(self, certificate: Certificate) -> datetime | None:
        """Give a time in the window: the same at every look, and spread evenly over all certificates."""
        if self.start is None or self.end is None:
            return None
        share = int(certificate.fingerprint[:_SHARE_DIGITS], 16) / _SHARES
        return self.start + (self.end - self.start) * share

    def __str__(self) -> str:
        if self.start is None or self.end is None:
            return "the authority has no window for it"
        why = f", see {self.explanation}" if self.explanation else ""
        return f"{self.start:%Y-%m-%d %H:%M %Z} to {self.end:%Y-%m-%d %H:%M %Z}{why}"


class OrderCertificate(SecretName):
    """Order a new certificate for a Secret."""

    names: list[str] = Field(min_length=1)
    key: str = "ecdsa-p256"
    profile: str | None = None
    replaces: str = Field(default="", description="Renewal ID of the one that it is to replace.")
    effect: Effect


class Ordered(Change):
    """An order, or why there is none."""

    order: str = Field(default="", description="Its URL; empty in plan mode, or where it was refused.")
    problems: list[Problem] = Field(default_factory=list)


class OnOrder(SecretName):
    """A step on an order."""

    order: str
    challenge: ChallengeKind
    effect: Effect


class SeeOrder(BaseModel):
    """Look whether its challenges can be seen."""

    order: str
    challenge: ChallengeKind
    within: timedelta


class Seen(BaseModel):
    """What can't be seen yet."""

    hidden: list[str]

    def __str__(self) -> str:
        return "; ".join(self.hidden) or "they can be seen"


class ValidateOrder(OnOrder):
    """Let the authority look."""

    within: timedelta


class Validated(Change):
    """What the authority found."""

    valid: bool
    problems: list[Problem] = Field(default_factory=list)


class IssueCertificate(OnOrder):
    """Have it issued, and keep it beside its key."""

    names: list[str]
    within: timedelta


class Issued(Change):
    """The new certificate, or why there is none."""

    certificate: Certificate | None = None
    problems: list[Problem] = Field(default_factory=list)


class Acme:
    """The settings' certificate authority. Raises what the cluster's and the authority's API raise."""

    def __init__(
        self,
        api: "kubernetes.ApiClient",
        options: AcmeOptions | None,
        challenges: "dict[str, Callable[[], Challenges]]",
    ) -> None:
        core = kubernetes.CoreV1Api(api)
        self._pending = PendingSecrets(core)
        self._account = Account(core, options) if options else None
        self._challenges = challenges

    @activity.defn(name="acme.window")
    def window(self, request: WindowRequest) -> Window:
        """Ask when a certificate should be renewed (RFC 9773); anybody may.

        Raises:
            Unavailable: the authority does not answer.

        """
        certificate = request.certificate
        network, directory, last = self._open_account().public()
        base = directory.get("renewalInfo")
        if not base or not certificate.renewal_id or certificate.not_after <= datetime.now(UTC):
            return Window(offered=False)  # of one that has expired it must not be asked (RFC 9773, 4.3)
        try:
            with last.failures():
                answer: Object = network.get(f"{str(base).rstrip('/')}/{certificate.renewal_id}").json()
        except (AuthorityRefused, Refused):
            return Window(offered=False)  # not one of its own
        return _window(answer)

    @activity.defn(name="acme.order")
    @effect
    def order(self, request: OrderCertificate) -> Ordered:
        """Make a key, keep it, and order a certificate for it.

        Raises:
            Misconfigured: settings name no authority, or don't agree to its terms.
            Unavailable: the authority did not answer; where it had heard us, nobody goes on with that order.

        """
        target, names = f"order/{request.name}", ", ".join(request.names)
        ordered = Ordered(target=target, after=f"ordered for {names}", applied=False)
        at, mine = (request.namespace, request.name), request.effect.key
        try:
            session = self._open_account().open()
            if request.effect.dry_run:
                return ordered.model_copy(update={"note": "plan only: the account is in order"})
            waits = self._pending.read(*at)
            if waits is not None and waits.order.key == mine and waits.order.url:
                note = "done by an earlier attempt"
                return ordered.model_copy(update={"order": waits.order.url, "note": note})
            if waits is None or waits.order.key != mine:
                waits = self._pending.begin(*at, request.effect, new_key(request.key))
            url = _new_order(session, request)
        except AuthorityRefused as refused:
            return ordered.model_copy(update={"after": "refused", "problems": [refused.problem]})
        self._pending.ordered(*at, waits, url)
        return ordered.model_copy(update={"order": url, "applied": True})

    @activity.defn(name="acme.show")
    @effect
    def show(self, request: OnOrder) -> Change:
        """Show what the authority is going to look for.

        Raises:
            Refused: the authority does not offer that kind of challenge for a name.

        """
        with _said():
            shown = _shown(self._open_account().open(), request.order, request.challenge)
        return self._challenge(request.challenge).show(shown, request.effect)

    @activity.defn(name="acme.seen")
    def seen(self, request: SeeOrder) -> Seen:
        """Look until everything that is shown can be seen, or the time is up."""
        with _said():
            shown = _shown(self._open_account().open(), request.order, request.challenge)
        challenges = self._challenge(request.challenge)
        hidden: list[str] = []
        for _ in turns(resume(Progress), within=request.within, every=_LOOK):
            hidden = challenges.hidden(shown)
            if not hidden:
                break
        return Seen(hidden=hidden)

    @activity.defn(name="acme.validate")
    @effect
    def validate(self, request: ValidateOrder) -> Validated:
        """Tell the authority to look, and wait for what it finds. What it has looked at is not asked again."""
        answer = Validated(target=f"order/{request.name}", after="valid", applied=True, valid=True)
        try:
            session = self._open_account().open()
            progress, told = resume(Progress), False
            for _ in turns(progress, within=request.within, every=_POLL):
                found = _authorizations(session, request.order)
                if not told:
                    _tell(session, found, request.challenge)
                    told = True
                states = {str(one["status"]) for one in found}
                if states <= {_VALID}:
                    return answer
                if not states <= {_VALID, _PENDING}:
                    return answer.model_copy(update={"after": "not valid", "valid": False, "problems": _failed(found)})
        except AuthorityRefused as refused:
            return answer.model_copy(update={"after": "refused", "valid": False, "problems": [refused.problem]})
        late = Problem(
            type="timeout", detail=f"the authority had not looked within {length(request.within)}", permanent=False
        )
        return answer.model_copy(update={"after": "not looked at in time", "valid": False, "problems": [late]})

    @activity.defn(name="acme.issue")
    @effect
    def issue(self, request: IssueCertificate) -> Issued:
        """Send the request for the certificate, wait for it, and keep it beside its key.

        Raises:
            NotFound: the key is gone: somebody has removed it.
            Refused: what was issued does not fit the key or the names.

        """
        answer = Issued(target=f"order/{request.name}", after="issued", applied=True)
        try:
            return self._issue(request, answer)
        except AuthorityRefused as refused:
            return answer.model_copy(update={"after": "refused", "applied": False, "problems": [refused.problem]})

    @activity.defn(name="acme.clean")
    @effect
    def clean(self, request: OnOrder) -> Change:
        """Take away what was shown."""
        with _said():
            shown = _shown(self._open_account().open(), request.order, request.challenge, all_states=True)
        return self._challenge(request.challenge).clean(shown, request.effect)

    def _issue(self, request: IssueCertificate, answer: Issued) -> Issued:
        waits = self._pending.read(request.namespace, request.name)
        if waits is None or waits.order.url != request.order:
            raise NotFound(f"the key that was made for secret/{request.name} is gone: order again")
        if waits.chain is not None:
            known = facts(chain_of(waits.chain)[0])
            note = "done by an earlier attempt"
            return answer.model_copy(update={"after": str(known), "certificate": known, "applied": False, "note": note})
        session = self._open_account().open()
        sent = False
        for _ in turns(resume(Progress), within=request.within, every=_POLL):
            found, _ = session.read(request.order)
            state = found["status"]
            if state == _READY and not sent:
                session.send(found["finalize"], _certificate_request(waits.key, request.names))
                sent = True
            elif state == _VALID and found.get("certificate"):
                chain = session.text(found["certificate"]).encode()
                issued = _fitting(chain, waits.key, request.names)
                self._pending.issued(request.namespace, request.name, waits, chain)
                return answer.model_copy(update={"after": str(issued), "certificate": issued})
            elif state not in {_PENDING, _READY, _PROCESSING}:
                why = acme_messages.Error.from_json(found.get("error") or {"type": "unknown", "detail": state})
                return answer.model_copy(update={"after": state, "applied": False, "problems": [problem(why)]})
        late = Problem(type="timeout", detail=f"not issued within {length(request.within)}", permanent=False)
        return answer.model_copy(update={"after": "not issued in time", "applied": False, "problems": [late]})

    def _open_account(self) -> Account:
        if self._account is None:
            raise Misconfigured("settings name no certificate authority: [acme] directory")
        return self._account

    def _challenge(self, kind: ChallengeKind) -> Challenges:
        return self._challenges[kind]()


@contextmanager
def _said() -> Iterator[None]:
    """Make a refusal a failure, in steps that the authority has no reason to refuse."""
    try:
        yield
    except AuthorityRefused as refused:
        raise Refused(f"the certificate authority refused: {refused.problem}") from None


def _new_order(session: Session, request: OrderCertificate) -> str:
    try:
        return session.new_order(request.names, profile=request.profile, replaces=request.replaces)
    except AlreadyReplaced:  # by a person, or by an order of ours whose answer was lost
        return session.new_order(request.names, profile=request.profile, replaces="")


def _authorizations(session: Session, order: str) -> list[Object]:
    found, _ = session.read(order)
    return [session.read(url)[0] for url in found["authorizations"]]


def _shown(session: Session, order: str, kind: ChallengeKind, *, all_states: bool = False) -> list[Shown]:
    """Give what is to be shown for each name that the authority has not seen yet.

    Raises:
        Refused: a name has no challenge of that kind.

    """
    shown = []
    for authorization in _authorizations(session, order):
        if authorization["status"] != _PENDING and not all_states:
            continue
        name = str(authorization["identifier"]["value"])
        challenge = _of_kind(authorization, kind)
        if challenge is None:
            if all_states:
                continue  # it was validated in another way, in another order
            offered = ", ".join(sorted(str(one["type"]) for one in authorization["challenges"]))
            raise Refused(f"the certificate authority offers no {kind} for {name}, but {offered}")
        known = acme_messages.ChallengeBody.from_json(challenge).chall
        value = known.validation(session.key)
        shown.append(Shown(name=name, token=str(challenge["token"]), value=str(value)))
    return shown


def _of_kind(authorization: Object, kind: ChallengeKind) -> Object | None:
    return next((one for one in authorization["challenges"] if one["type"] == kind), None)


def _tell(session: Session, authorizations: list[Object], kind: ChallengeKind) -> None:
    """Tell the authority to look, where nobody has told it yet."""
    for authorization in authorizations:
        challenge = _of_kind(authorization, kind)
        if authorization["status"] == _PENDING and challenge and challenge["status"] == _PENDING:
            answer = acme_messages.ChallengeBody.from_json(challenge).chall.response(session.key)
            session.send(challenge["url"], answer)


def _failed(authorizations: list[Object]) -> list[Problem]:
    found = []
    for authorization in authorizations:
        name = str(authorization["identifier"]["value"])
        errors = [one["error"] for one in authorization["challenges"] if one.get("error")]
        found += [problem(acme_messages.Error.from_json(error), identifier=name) for error in errors]
        if not errors and authorization["status"] not in {_VALID, _PENDING}:
            state = str(authorization["status"])
            found.append(Problem(type=state, detail="the authority says no more", identifier=name, permanent=False))
    return found


def _certificate_request(key: bytes, names: list[str]) -> Any:
    from acme import crypto_util  # noqa: PLC0415  with the rest of the library

    pem = crypto_util.make_csr(key, names)
    return acme_messages.CertificateRequest(csr=x509.load_pem_x509_csr(pem))


def _fitting(chain: bytes, key: bytes, names: list[str]) -> Certificate:
    """Give the facts of a new certificate.

    Raises:
        Refused: it is for another key, or not for all names.

    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    leaf = chain_of(chain)[0]
    found = facts(leaf)
    if serialization.load_pem_private_key(key, None).public_key() != leaf.public_key():
        raise Refused("the authority issued a certificate for another key")
    if missing := sorted(set(names) - set(found.names)):
        raise Refused(f"the authority issued a certificate without {', '.join(missing)}")
    return found


def _window(answer: Object) -> Window:
    """Read a renewal window; one that ends before it begins is none (RFC 9773, 4.2)."""
    try:
        start, end = (_moment(answer["suggestedWindow"][name]) for name in ("start", "end"))
    except (KeyError, TypeError, ValueError):
        return Window(offered=False)
    if end <= start:
        return Window(offered=False)
    return Window(offered=True, start=start, end=end, explanation=str(answer.get("explanationURL", ""))[:300])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
