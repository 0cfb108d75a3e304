"""What the command line can say is kept in one list, so that a person reads each sentence that changes."""

import re

from tests.starters.cli.sentences import FILE, sentences


def test_every_sentence_is_in_the_list_that_people_read() -> None:
    assert FILE.read_text(encoding="utf-8") == sentences(), "read the change: python -m tests.starters.cli.sentences"


def test_no_sentence_has_words_of_a_library_in_it() -> None:
    library = re.compile(r"valid timedelta|traceback|NoneType|day identifier|errno|(?<!gen)pkey", re.IGNORECASE)
    assert [line for line in sentences().splitlines() if library.search(line)] == []
