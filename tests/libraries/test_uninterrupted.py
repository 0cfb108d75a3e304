"""A cancelled activity leaves no half module behind."""

import sys
import threading
import time
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

import libraries

MODULE = """
import time
for _ in range(100):
    time.sleep(0.01)
answer = 42
"""


def test_an_import_goes_on_to_its_end_though_the_activity_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_slowly.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    later = libraries._Later("imported_slowly")
    environment = ActivityEnvironment()
    begun = threading.Event()

    def work() -> int:
        begun.set()
        answer: int = later.answer
        return answer

    def cancel() -> None:
        begun.wait()
        time.sleep(0.2)
        environment.cancel()

    threading.Thread(target=cancel).start()
    with pytest.raises(CancelledError):
        environment.run(work)
    try:
        assert sys.modules["imported_slowly"].answer == 42
    finally:
        del sys.modules["imported_slowly"]


def test_outside_of_an_activity_it_is_an_import_like_any_other() -> None:
    with libraries.uninterrupted():
        assert libraries.yaml.safe_load("a: 1") == {"a": 1}
