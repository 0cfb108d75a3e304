"""A bundle is verified by its reader alone: whatever was changed, cut or put in is found and named."""

import io
import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.verify import NoBundle, key_inside, verify
from tests.audit.bundles import BUNDLE, PART, SIGNER, files, judged, made, moved, resealed, zipped
from tests.audit.stories import chain, new_signer, redaction, without


def test_a_part_of_the_chain_is_accepted(file: Path) -> None:
    file.write_bytes(BUNDLE)
    verdict = verify(file, [SIGNER.public_key])

    assert verdict.ok
    assert (verdict.first, verdict.last, verdict.records) == (PART.start, PART.stop - 1, len(PART))
    assert verdict.head == json.loads(files(BUNDLE)["manifest.json"])["head"]
    assert key_inside(file) == SIGNER.public_key


def test_a_thousand_records_are_accepted(file: Path) -> None:
    file.write_bytes(made(chain(SIGNER, 1000), 1000))
    verdict = verify(file, [SIGNER.public_key])
    assert (verdict.ok, verdict.records) == (True, 1000)


def test_another_key_accepts_nothing(file: Path) -> None:
    file.write_bytes(BUNDLE)
    verdict = verify(file, [new_signer().public_key])
    assert verdict.broken is not None
    assert "none of the known keys" in verdict.broken.what


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_file_is_found_and_its_place_named(file: Path, data: st.DataObject) -> None:
    content = files(BUNDLE)
    name = data.draw(st.sampled_from(sorted(content)))
    place, bit = data.draw(st.integers(0, len(content[name]) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(content[name])
    changed[place] ^= 1 << bit
    accepted, said = judged(file, zipped({**content, name: bytes(changed)}))

    assert not accepted
    seq = re.match(r"records/(\d+)/", name)
    assert said.startswith(f"{int(seq[1])} " if seq else "0 "), (name, said)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(files(BUNDLE))))
def test_a_removed_file_is_named(file: Path, name: str) -> None:
    accepted, said = judged(file, zipped({one: content for one, content in files(BUNDLE).items() if one != name}))
    assert not accepted
    assert f"{name} is missing" in said


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(BUNDLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_zip_itself_is_found_or_changes_nothing(file: Path, place: int, bit: int) -> None:
    changed = bytearray(BUNDLE)
    changed[place] ^= 1 << bit
    accepted, _ = judged(file, bytes(changed))
    assert not accepted or files(bytes(changed)) == files(BUNDLE)


@pytest.mark.parametrize("gone", range(PART.start, PART.stop))
def test_a_removed_record_is_found_though_all_digests_fit(file: Path, gone: int) -> None:
    left = {name: data for name, data in files(BUNDLE).items() if not name.startswith(f"records/{gone:08}/")}
    accepted, said = judged(file, resealed(left, SIGNER))
    assert not accepted
    assert said.startswith(f"{gone} ")


def test_swapped_and_inserted_records_are_found_though_all_digests_fit(file: Path) -> None:
    content = files(BUNDLE)
    swapped = moved(moved(moved(content, 5, 99), 6, 5), 99, 6)
    accepted, said = judged(file, resealed(swapped, SIGNER))
    assert (accepted, said.startswith("5 ")) == (False, True)

    doubled = {**content, **{n.replace("00000009", "00000010"): d for n, d in content.items() if "/00000009/" in n}}
    accepted, said = judged(file, resealed(doubled, SIGNER))
    assert (accepted, said.startswith("10 ")) == (False, True)


def test_the_earliest_break_is_named_with_its_run(file: Path) -> None:
    content = files(BUNDLE)
    content["records/00000005/header.sig"] = content["records/00000006/header.sig"]
    content["records/00000008/story.json"] = content["records/00000007/story.json"]
    file.write_bytes(resealed(content, SIGNER))
    broken = verify(file, [SIGNER.public_key]).broken
    assert broken is not None
    assert (broken.seq, broken.workflow_id) == (5, "wf-5")

    content["records/00000005/header.sig"] = files(BUNDLE)["records/00000005/header.sig"]
    file.write_bytes(resealed(content, SIGNER))
    broken = verify(file, [SIGNER.public_key]).broken
    assert broken is not None
    assert (broken.seq, broken.workflow_id, broken.run_id) == (8, "wf-8", "run-8")


@pytest.mark.parametrize("method", [1, 9, 12, 14, 99])
def test_a_method_that_is_none_of_ours_is_refused(file: Path, method: int) -> None:
    changed = bytearray(BUNDLE)
    entry = changed.index(b"PK\x01\x02")
    changed[entry + 10 : entry + 12] = method.to_bytes(2, "little")
    assert not judged(file, bytes(changed))[0]
    with suppress(NoBundle):
        key_inside(file)


def test_a_story_that_is_not_the_records_is_found(file: Path) -> None:
    content = files(BUNDLE)
    content["records/00000006/story.json"] = content["records/00000005/story.json"]
    accepted, said = judged(file, resealed(content, SIGNER))
    assert not accepted
    assert said.startswith("6 records/00000006/story.json is not the story")


def test_a_later_redaction_explains_what_is_gone(file: Path) -> None:
    records = chain(SIGNER, 6)
    gone = sorted(records[2].bodies)[:2]
    records[2] = without(records[2], gone)
    records.append(redaction(SIGNER, records[2], gone, records[-1]))
    file.write_bytes(made(records, 3))
    verdict = verify(file, [SIGNER.public_key])

    assert verdict.ok
    assert verdict.redacted == 2
    assert sorted(name for name in files(file.read_bytes()) if name.startswith("links/")) == [
        f"links/0000000{seq}/header.{end}" for seq in (4, 5, 6) for end in ("json", "sig")
    ]
    file.write_bytes(made(records[:-1], 3))
    unexplained = verify(file, [SIGNER.public_key])
    assert unexplained.broken is not None
    assert unexplained.broken.seq == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"../../etc/passwd": b""}, "does not belong"),
        ({"/etc/passwd": b""}, "does not belong"),
        ({"records/00000005/../x": b""}, "does not belong"),
        ({"records/00000005/extra.json": b""}, "does not belong"),
        ({"records/000000005/story.html": b""}, "does not belong"),
        ({"links/00000005/story.json": b""}, "does not belong"),
    ],
)
def test_a_name_that_does_not_belong_is_refused(file: Path, change: dict[str, bytes], why: str) -> None:
    accepted, said = judged(file, zipped({**files(BUNDLE), **change}))
    assert not accepted
    assert why in said


def test_a_file_twice_and_a_bomb_are_refused(file: Path) -> None:
    target = io.BytesIO(BUNDLE)
    with zipfile.ZipFile(target, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("manifest.json", b"{}")
    assert "is in it twice" in judged(file, target.getvalue())[1]

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("SHA256SUMS", "w") as member:
        for _ in range(257):
            member.write(bytes(1024 * 1024))
    accepted, said = judged(file, bomb.getvalue())
    assert (accepted, "is the most" in said) == (False, True)


@pytest.mark.parametrize("content", [b"", b"no zip", BUNDLE[: len(BUNDLE) // 2]])
def test_what_is_no_bundle_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(NoBundle, match="no zip file"):
        verify(file, [SIGNER.public_key])
