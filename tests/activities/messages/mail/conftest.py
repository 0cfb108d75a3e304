"""A real SMTP server, and an address of a test's own."""

from uuid import uuid4

import pytest

from sandbox.mail_server import MailServer


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    return mail_server


@pytest.fixture
def to() -> str:
    return f"it-{uuid4().hex[:8]}@acme.test"
