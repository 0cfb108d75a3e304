"""The servers of the crash tests, started once for all of them."""

from collections.abc import Iterator

import pytest

from tests.crash.scenario import Servers
from tests.crash.servers import servers


@pytest.fixture(scope="package")
def crash_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("crash")) as shared:
        yield shared
