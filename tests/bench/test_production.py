"""What benchmarks tell their workers is what a worker takes: nobody sees it otherwise before somebody measures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import upgrade
from bench.production import Production, Service
from workers.settings import load

HEALTH = "http://127.0.0.1:1/health"


@pytest.mark.parametrize(
    "services",
    [{"one": Service("bench-one", HEALTH), "two": Service("bench-two", HEALTH)}, upgrade.services(3, HEALTH)],
    ids=["some", "upgrade"],
)
def test_a_worker_takes_the_settings_of_a_benchmark(
    services: dict[str, Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporal = SimpleNamespace(address="127.0.0.1:1", ui_url="http://127.0.0.1:1")
    servers: Any = SimpleNamespace(directory=tmp_path, temporal=temporal, records="postgresql://x@127.0.0.1:1/x")
    (tmp_path / "kubeconfig").touch()
    Production(servers, "bench", services, kubeconfig=tmp_path / "kubeconfig")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "bench" / "runbooks.toml"))
    assert set(load().services) == set(services)
