from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.ready import ready
from sandbox.temporal import Temporal
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES


@pytest.fixture(scope="session")
def own_temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Temporal]:
    """A Temporal of these tests' own: the page lists all runs there are, and other tests' must not be among them."""
    directory: Path = tmp_path_factory.mktemp("web-temporal")
    with ready(Temporal(directory, SEARCH_ATTRIBUTES)) as server:
        yield server
