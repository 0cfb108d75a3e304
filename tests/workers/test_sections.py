"""A secret may be in a file, which is read at once or where it is used; one that can't be read opens nothing."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.sections import FileSecret, Secret, Section, UnreadableSecret, secrets_of, section


class Slack(Section):
    """A section with a secret and a span."""

    token: Secret
    wait: timedelta = timedelta(0)


def slack(**fields: object) -> Slack:
    return Slack.model_validate(fields)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(" hunter2\n", encoding="utf-8")
    return path


def test_a_secret_is_read_from_its_file_or_taken_as_it_is(file: Path) -> None:
    assert slack(token=f"file:{file}").token.get_secret_value() == "hunter2"
    assert slack(token="xoxb").token.get_secret_value() == "xoxb"


@pytest.mark.parametrize(("content", "says"), [(None, "No such file"), (" \n", "the secret's file is empty")])
def test_one_that_can_not_be_read_is_said(file: Path, content: str | None, says: str) -> None:
    file.unlink()
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ValidationError, match=says):
        slack(token=f"file:{file}")


def test_other_sections_secrets_stay_in_their_files_until_they_are_used(file: Path) -> None:
    with secrets_of({"paging"}):
        with section("paging"):
            assert not isinstance(slack(token=f"file:{file}").token, FileSecret)
        with section("slack"):
            later = slack(token=f"file:{file}").token
    assert isinstance(later, FileSecret)
    file.write_text("rotated", encoding="utf-8")
    assert later.get_secret_value() == "rotated"
    file.unlink()
    with pytest.raises(UnreadableSecret, match=rf"No such file.*\({file}\)"):
        later.get_secret_value()


def test_without_a_word_all_secrets_are_read_at_once(file: Path) -> None:
    with section("slack"):
        assert not isinstance(slack(token=f"file:{file}").token, FileSecret)


def test_unknown_names_and_spans_without_end_are_refused() -> None:
    with pytest.raises(ValidationError, match="tokn"):
        Slack.model_validate({"token": "x", "tokn": "y"})
    with pytest.raises(ValidationError, match="wait"):
        slack(token="x", wait=timedelta(days=999_999_999))
