"""Mail addresses, judged by one rule wherever they come in and wherever they are used (RFC 5321, 6531, 5891).

A domain beyond ASCII has a form in ASCII that every server takes; a name before the @ has none, so such an address
needs a server that offers SMTPUTF8.
"""

from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from activities.common.text import Text
from libraries import email_validator

_PLAIN = "!$'*+-./=^_`{|}~"
"""What an address may have in a link as it is."""


def mail_address(text: str) -> str:
    """Give an address in its normal form, its domain as people read it.

    Raises:
        ValueError: it is none; says why, and nothing of it.

    """
    return _checked(text)[0]


MailAddress = Annotated[str, Text(320), AfterValidator(mail_address)]
"""Of a request's field."""


def sent_as(address: str) -> tuple[str, str]:
    """Give the name before the @ and the domain, in the form in which they are given to a mail server.

    Raises:
        ValueError: it is no address.

    """
    normal, domain = _checked(address)
    return normal.rpartition("@")[0], domain


def as_link(address: str) -> str:
    """Write a `mailto:` link (RFC 6068), in ASCII whatever the address; what is no address is written as it is."""
    try:
        name, domain = sent_as(address)
    except ValueError:
        name, _, domain = address.rpartition("@")
    return f"mailto:{quote(name, safe=_PLAIN)}@{domain}"


def _checked(text: str) -> tuple[str, str]:
    # A company's own domains (`.local`, `.test`) are none of the public internet's, and mail reaches them.
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    try:
        found = email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as error:
        raise ValueError(f"not a mail address ({error})") from None
    if "=?" in found.local_part:  # RFC 2047, 5: in a header it is decoded, and the mail goes to somebody else
        raise ValueError("not a mail address (the part before the @-sign would be decoded to another one)")
    return found.normalized, found.ascii_domain
