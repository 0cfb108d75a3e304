"""What an S3 store asks for, and what it makes of the answers."""

import socket

import pytest

from activities.common.errors import Unavailable
from activities.evidence.s3 import S3Store


def test_s3_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable, match="EndpointConnectionError") as caught:
        S3Store("evidence", endpoint_url=url, region="us-east-1").find("a")
    assert "very-secret" not in str(caught.value)
