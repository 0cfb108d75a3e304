"""Whatever is done to a chain is found, and named where it was done."""

import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from audit.chain import Verifier, hash_of, header_bytes, header_from
from audit.records import Head, Record, Verdict
from audit.sealing import Link, Parts, seal_head, seal_run
from tests.audit.stories import archivable, chain, new_signer, redaction, without

LENGTH = 1000
SIGNER, STRANGER = new_signer(), new_signer()
CHAIN = chain(SIGNER, LENGTH)
HEAD = seal_head(SIGNER, Link.to(CHAIN[-1].header))
_PLACES = some.integers(0, LENGTH - 1)


def verify(records: Iterable[Record], heads: Iterable[Head] = (), begin: int = 1) -> Verdict:
    verifier = Verifier([SIGNER.public_key], heads, begin=begin)
    for record in records:
        verifier.feed(record)
    return verifier.end()


def broken(records: Iterable[Record], heads: Iterable[Head] = (), begin: int = 1) -> tuple[int, str]:
    verdict = verify(records, heads, begin)
    assert not verdict.ok
    assert verdict.broken is not None
    return verdict.broken.seq, verdict.broken.what


def near(first: int, last: int) -> tuple[list[Record], int]:
    """Records from shortly before one place to shortly behind another, so that each example is quick."""
    start = max(first - 2, 0)
    return CHAIN[start : last + 3], start


def test_a_chain_as_it_was_made_is_good() -> None:
    verdict = verify(CHAIN, [HEAD])
    assert verdict.ok
    assert (verdict.records, verdict.first, verdict.last, verdict.redacted) == (LENGTH, 1, LENGTH, 0)
    assert verdict.head == hash_of(CHAIN[-1].header) == HEAD.hash
    assert verdict.keys == [SIGNER.key]


def test_an_empty_chain_is_good_unless_a_head_knows_better() -> None:
    assert verify([]).ok
    assert broken([], [HEAD]) == (1, broken([], [HEAD])[1])
    assert "the end was cut off" in broken([], [HEAD])[1]


def _flip(text: str, place: int, bit: int) -> str:
    raw = bytearray(text.encode())
    raw[place % len(raw)] ^= 1 << (bit % 7)
    return raw.decode()


@settings(max_examples=150, deadline=None)
@given(_PLACES, some.integers(0, 10_000), some.integers(0, 7), some.sampled_from(["skeleton", "signature", "body"]))
def test_any_flipped_bit_is_found_and_named(place: int, byte: int, bit: int, part: str) -> None:
    records, start = near(place, place)
    record = CHAIN[place]
    if part == "skeleton":
        raw = bytearray(record.skeleton)
        raw[byte % len(raw)] ^= 1 << bit
        changed = record.model_copy(update={"skeleton": bytes(raw)})
    elif part == "signature":
        changed = record.model_copy(update={"signature": _flip(record.signature, byte, bit)})
    else:
        name = sorted(record.bodies)[byte % len(record.bodies)]
        body = record.bodies[name]
        field = "salt" if byte % 5 == 0 else "data"
        new = body.model_copy(update={field: _flip(getattr(body, field), byte, bit)})
        changed = record.model_copy(update={"bodies": record.bodies | {name: new}})
    records[place - start] = changed
    at, what = broken(records, begin=start + 1)
    assert at == place + 1, what


@settings(max_examples=150, deadline=None)
@given(_PLACES, some.integers(0, 10_000), some.integers(0, 7))
def test_any_flipped_bit_of_a_header_is_found_and_named(place: int, byte: int, bit: int) -> None:
    """As stored: a header either can't be read any more, or is not what was signed."""
    records, start = near(place, place)
    raw = bytearray(header_bytes(CHAIN[place].header))
    raw[byte % len(raw)] ^= 1 << bit
    try:
        header = header_from(bytes(raw))
    except ValueError:
        return
    records[place - start] = CHAIN[place].model_copy(update={"header": header})
    at, what = broken(records, begin=start + 1)
    assert at == place + 1, what


@settings(max_examples=60, deadline=None)
@given(some.integers(0, LENGTH - 2))
def test_a_removed_record_is_found_and_named(place: int) -> None:
    records, start = near(place, place)
    del records[place - start]
    at, what = broken(records, begin=start + 1)
    assert (at, f": {place + 1} missing" in what) == (place + 1, True), what


@settings(max_examples=60, deadline=None)
@given(_PLACES)
def test_a_cut_off_end_is_found_and_named(place: int) -> None:
    start = max(place - 3, 0)
    at, what = broken(CHAIN[start:place], [HEAD], begin=start + 1)
    assert at == place + 1
    assert "cut off" in what


@settings(max_examples=60, deadline=None)
@given(some.integers(0, LENGTH - 1), some.integers(1, 30))
def test_records_in_another_order_are_found_and_named(place: int, by: int) -> None:
    other = (place + by) % LENGTH
    first, second = sorted((place, other))
    records, start = near(first, second)
    records[first - start], records[second - start] = CHAIN[second], CHAIN[first]
    at, what = broken(records, begin=start + 1)
    assert (at, "order was changed" in what) == (first + 1, True), what


@settings(max_examples=60, deadline=None)
@given(_PLACES, _PLACES)
def test_a_record_that_stands_twice_is_found_and_named(place: int, other: int) -> None:
    records, start = near(place, place)
    records.insert(place + 1 - start, CHAIN[min(place, other)])
    at, what = broken(records, begin=start + 1)
    assert at == place + 2
    assert "inserted" in what


@settings(max_examples=40, deadline=None)
@given(_PLACES)
def test_a_record_by_somebody_else_is_found_and_named(place: int) -> None:
    before = Link.to(CHAIN[place - 1].header) if place else Link()
    forged = seal_run(STRANGER, Parts.of(archivable(5000)), before)
    records, start = near(place, place)
    records.insert(place - start, forged)
    at, what = broken(records, begin=start + 1)
    assert at == place + 1
    assert "none of the known keys" in what
    claiming = forged.model_copy(update={"header": forged.header.model_copy(update={"key": SIGNER.key})})
    records[place - start] = claiming
    at, what = broken(records, begin=start + 1)
    assert (at, "does not fit its signature" in what) == (place + 1, True)


def test_a_chain_rewritten_with_the_key_itself_is_found_by_a_head_kept_elsewhere() -> None:
    rewritten = chain(SIGNER, LENGTH)
    assert verify(rewritten).ok
    at, what = broken(rewritten, [HEAD])
    assert at == LENGTH
    assert "rewritten" in what


def test_a_record_grafted_on_with_the_key_itself_breaks_the_link_behind_it() -> None:
    graft = seal_run(SIGNER, Parts.of(archivable(7)), Link.to(CHAIN[5].header))
    at, what = broken([*CHAIN[:6], graft, *CHAIN[7:9]])
    assert at == 8
    assert "as the hash before it" in what


def test_a_head_that_was_changed_or_is_somebody_elses_is_refused() -> None:
    for head in (
        seal_head(STRANGER, Link.to(CHAIN[-1].header)),
        HEAD.model_copy(update={"seq": 3}),
        HEAD.model_copy(update={"hash": CHAIN[0].header.skeleton}),
    ):
        assert "signed head" in broken(CHAIN[:5], [head])[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda bodies, story: {n: b for n, b in bodies.items() if n != story}, "the story is missing"),
        (lambda bodies, story: {story: bodies[story]}, "is missing, and no redaction in the chain says so (nor 1 more"),
        (lambda bodies, story: bodies | {"0" * 64: bodies[story]}, "named by nothing"),
        (lambda bodies, story: dict(zip(bodies, reversed(bodies.values()), strict=True)), "does not fit"),
    ],
)
def test_missing_foreign_and_exchanged_bodies_are_found(change: Callable[..., object], said: str) -> None:
    record = CHAIN[3]
    changed = record.model_copy(update={"bodies": change(record.bodies, record.header.story)})
    at, what = broken([*CHAIN[:3], changed, *CHAIN[4:6]])
    assert at == 4
    assert said in what


def test_a_missing_body_is_named_though_something_later_is_broken_too() -> None:
    bare = without(CHAIN[1], list(CHAIN[1].bodies))
    assert broken([CHAIN[0], bare, CHAIN[2], CHAIN[4]])[0] == 2


def test_a_redaction_covers_exactly_what_it_names() -> None:
    record = CHAIN[1]
    erased = sorted(record.bodies)
    whole = redaction(SIGNER, record, erased, CHAIN[4])
    bare = [CHAIN[0], without(record, erased), *CHAIN[2:5]]
    verdict = verify([*bare, whole])
    assert (verdict.ok, verdict.redacted, verdict.last) == (True, len(erased), 6)
    assert broken([*bare, redaction(SIGNER, record, erased[1:], CHAIN[4])])[0] == 2
    assert broken([*bare, redaction(SIGNER, CHAIN[2], erased, CHAIN[4])])[0] == 2
    assert broken([*bare, redaction(STRANGER, record, erased, CHAIN[4])])[0] in {2, 6}
    assert verify([*CHAIN[:5], whole]).ok, "erased here, but still there in an older copy"


def test_a_redaction_whose_statement_was_changed_covers_nothing() -> None:
    record = CHAIN[1]
    erased = sorted(record.bodies)
    whole = redaction(SIGNER, record, erased[:1], CHAIN[4])
    more = redaction(SIGNER, record, erased, CHAIN[4]).skeleton
    swapped = whole.model_copy(update={"skeleton": more})
    assert broken([CHAIN[0], without(record, erased), *CHAIN[2:5], swapped])[0] == 2
    assert broken([*CHAIN[:5], swapped]) == (
        6,
        "the redaction's statement does not have the digest that the header names",
    )


def test_a_redaction_can_be_only_about_what_is_before_it() -> None:
    late = CHAIN[4].model_copy(update={"header": CHAIN[4].header.model_copy(update={"seq": 9})})
    assert "not before it" in broken([*CHAIN[:5], redaction(SIGNER, late, [], CHAIN[4])])[1]


def test_a_part_of_the_chain_is_verified_from_where_it_begins() -> None:
    assert verify(CHAIN[10:20], begin=11).ok
    assert broken(CHAIN[10:20])[0] == 1
    verdict = verify(CHAIN[10:20], begin=11)
    assert (verdict.first, verdict.last) == (11, 20)


def test_headers_alone_carry_the_chain_on() -> None:
    verifier = Verifier([SIGNER.public_key], [HEAD])
    for record in CHAIN:
        if 10 < record.header.seq < 20:
            verifier.feed(record)
        else:
            verifier.link(record.header, record.signature)
    assert verifier.end().ok


def test_a_header_is_read_only_as_it_was_written() -> None:
    raw = header_bytes(CHAIN[0].header)
    assert header_from(raw) == CHAIN[0].header
    for other in (raw.replace(b",", b", ", 1), raw.replace(b"Z", b"+00:00", 1), b"{}", b""):
        with pytest.raises(ValueError, match=r"."):
            header_from(other)


def test_memory_does_not_grow_with_the_chain() -> None:
    peaks = []
    for length in (100, 1000):
        verifier = Verifier([SIGNER.public_key])
        tracemalloc.start()
        for record in CHAIN[:length]:
            verifier.feed(record)
        assert verifier.end().ok
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 50_000
