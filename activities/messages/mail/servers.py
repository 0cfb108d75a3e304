"""Mail by SMTP (RFC 5321), over TLS where settings say so."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Literal, NoReturn

from pydantic import SecretStr

from activities.common.errors import Misconfigured, Refused, Unavailable, unavailable

_SYSTEM = "the mail server"
_TIMEOUT_SECONDS = 10
_FAILED, _PERMANENT = 400, 500
Security = Literal["none", "starttls", "tls"]


class SmtpServer:
    """One mail server; a connection a mail."""

    def __init__(self, host: str, port: int, security: Security, login: tuple[str, SecretStr] | None) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._login = login

    def send(self, message: EmailMessage, *, dry_run: bool) -> None:
        """Give the server the mail; in plan mode ask it whether it takes mail from us to there, and no more."""
        with _failures(), self._connected() as smtp:
            (_, sender), (_, recipient) = getaddresses([str(message["From"]), str(message["To"])])
            international = not (sender + recipient).isascii()
            if international and not smtp.has_extn("smtputf8"):
                _cannot_write_to(sender)
            if not dry_run:
                smtp.send_message(message)
                return
            _taken(smtp.mail(sender, ["SMTPUTF8", "BODY=8BITMIME"] if international else []), sender)
            _taken(smtp.rcpt(recipient), recipient)
            smtp.rset()

    def greet(self) -> None:
        """Connect and log in, and no more.

        Raises:
            Unavailable, Misconfigured, Refused: it doesn't answer, or doesn't let us in.

        """
        with _failures(), self._connected() as smtp:
            smtp.noop()

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        smtp = (
            smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context)
            if self._security == "tls"
            else smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        )
        try:
            if self._security == "starttls":
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
            if self._login is not None:
                user, password = self._login
                smtp.login(user, password.get_secret_value())
            yield smtp
            # What it has taken is sent, whatever it says to the goodbye. To smtplib's own `with` that is a failure, and
            # the mail would be sent again.
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()


def _cannot_write_to(sender: str) -> NoReturn:
    what = "takes no address whose name before the @ has letters beyond ASCII (it offers no SMTPUTF8)"
    if not sender.isascii():
        raise Misconfigured(f"{_SYSTEM} {what}: give [mail] sender another")
    raise Refused(f"{_SYSTEM} {what}: ask the customer for another address")


def _taken(answer: tuple[int, bytes], address: str) -> None:
    code, text = answer
    if code >= _FAILED:
        raise smtplib.SMTPRecipientsRefused({address: (code, text)})


@contextmanager
def _failures() -> Iterator[None]:
    """Turn SMTP's failures into ours; answers to an address may quote it, so none is passed on."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        _by(code, f"{_SYSTEM} takes no mail for this address ({code}): check it with the customer")
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code < _PERMANENT:  # RFC 4954, 6: it can't tell just now
            raise Unavailable(f"{_SYSTEM} can't check our login now ({error.smtp_code})") from None
        raise Misconfigured(
            f"{_SYSTEM} refuses our login ({error.smtp_code}): check [mail] user and password"
        ) from None
    except smtplib.SMTPNotSupportedError:
        raise Misconfigured(
            f"{_SYSTEM} does not offer what settings ask for: check [mail] security, user and port"
        ) from None
    except smtplib.SMTPResponseException as error:
        _by(error.smtp_code, f"{_SYSTEM} refuses the mail ({error.smtp_code})")
    except ssl.SSLCertVerificationError:
        raise Misconfigured(f"{_SYSTEM} shows a certificate that isn't trusted: check [mail] host") from None
    except (smtplib.SMTPException, OSError) as error:
        unavailable(_SYSTEM, error)


def _by(code: int, message: str) -> None:
    raise (Refused if code >= _PERMANENT else Unavailable)(message) from None


class RecordsMail:
    """Takes every mail and sends none."""

    def send(self, message: EmailMessage, *, dry_run: bool) -> None:
        """Leave it to the records."""
