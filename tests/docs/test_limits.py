"""What docs, compose and the sandbox say of an alert's way in is what the webhook does."""

import re
from pathlib import Path

import yaml

from sandbox.alertmanager import Alertmanager
from workers.settings import WebhookSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/alert-sources.md").read_text(encoding="utf-8")


def test_the_receiver_of_the_page_sends_all_alerts_of_a_group() -> None:
    (block,) = re.findall(r"```yaml\n(receivers:.*?)```", PAGE, re.DOTALL)
    (receiver,) = yaml.safe_load(block)["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook["max_alerts"] == 0, "Alertmanager's word for: all of them"
    assert webhook["send_resolved"] is True
    assert webhook["url"].endswith("/webhooks/alertmanager")


def test_the_sandbox_sends_all_alerts_of_a_group(tmp_path: Path) -> None:
    (receiver,) = Alertmanager(tmp_path, webhook_url="http://x")._configuration()["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook.get("max_alerts", 0) == 0


def test_the_limit_of_a_post_is_the_one_that_is_told() -> None:
    assert [int(mib) * 2**20 for mib in re.findall(r"(\d+) MiB, `\[webhook\] max_body`", PAGE)] == [
        WebhookSettings().max_body
    ]
    for file in ("docker-compose.temporal.yml", "deploy/runbooks.toml"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert "max_body" not in text.lower(), f"{file} sets another limit: say it in docs/alert-sources.md as well"
        assert "max_alerts" not in text, file
