"""What benchmarks give their processes are settings that those take: else `make bench` ends before it has measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.production import Production, Service
from starters.steering.configuration import load


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "policies": {"alerts_by": "alert"},
            "sources": {"grafana": {"kind": "grafana", "secrets": ["x"]}},
        },
    ],
    ids=["plain", "with a source"],
)
def test_settings_of_a_benchmark_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    servers: Any = SimpleNamespace(
        directory=tmp_path,
        temporal=SimpleNamespace(address="127.0.0.1:1", ui_url="http://127.0.0.1:2"),
        records="postgresql://bench@127.0.0.1/bench",
    )
    services = {"tensafe-server": Service("tensafe", "http://127.0.0.1:3/health")}
    production = Production(servers, "posts", services, kubeconfig=tmp_path / "none", **more)
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(production.file))
    settings, rules = load(routed=True, secrets=("temporal", "webhook"))
    assert {*settings.webhook.sources} == {*more.get("sources", ())}
    assert rules is not None
