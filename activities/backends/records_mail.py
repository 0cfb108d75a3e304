"""Where no mail server is configured: mails stand in the records, and nobody gets them."""

from email.message import EmailMessage


class RecordsMail:
    """Takes every mail and sends none."""

    def send(self, message: EmailMessage, *, dry_run: bool) -> None:
        """Leave it to the records."""
