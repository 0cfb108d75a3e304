"""A mail server that delivers into one Maildir, as a child process: aiosmtpd."""

import mailbox
import sys
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess


class MailServer:
    """One server; whoever mail is for, it lies in `mails`."""

    name = "mail"

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.mails = directory / "mails"
        self._process = ServerProcess(
            name=self.name,
            directory=directory,
            argv=[
                sys.executable,
                "-m",
                "aiosmtpd",
                "--nosetuid",
                "--smtputf8",
                "--listen",
                f"{LOOPBACK}:{self.port}",
                "--class",
                "aiosmtpd.handlers.Mailbox",
                str(self.mails),
            ],
        )

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it."""
        return [self._process]

    def start(self) -> None:
        """Start it; mails that are there stay."""
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it takes mail.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        self._process.wait_ready(probes.tcp(self.port), timeout)

    def stop(self) -> None:
        """Shut down."""
        self._process.stop()

    def received(self, address: str) -> list[EmailMessage]:
        """Read what came for an address, oldest first."""
        parser = BytesParser(policy=default)
        if not self.mails.is_dir():
            return []
        kept = mailbox.Maildir(self.mails, create=False)
        # A mail's own date knows no parts of a second; its file's name has when it came, and a number.
        arrived = sorted(kept.iterkeys(), key=_arrival)
        found = [parser.parsebytes(kept.get_bytes(key)) for key in arrived]
        return [mail for mail in found if address in str(mail["To"])]


def _arrival(key: str) -> tuple[int, int]:
    seconds, unique = key.split(".")[:2]
    return int(seconds), int(unique.rpartition("Q")[2])
