"""A bundle proves what is in it to somebody who has nothing but a public key, and standard tools."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.bundle import Empty, Manifest, write
from audit.records import Record
from audit.signatures import canonical
from audit.signer import FileSigner
from audit.verify import NoBundle, key_inside, verify
from tests.audit.stories import chain, new_signer, redaction, without

SIGNER = new_signer()
RECORDS = chain(SIGNER, 12)
PART = range(4, 10)


def made(records: list[Record], last: int, signer: FileSigner = SIGNER) -> bytes:
    target = io.BytesIO()
    write(target, signer, iter(records), last)
    return target.getvalue()


BUNDLE = made(RECORDS[PART.start - 1 : PART.stop - 1], PART.stop - 1)


def files(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return target.getvalue()


def judged(path: Path, bundle: bytes) -> tuple[bool, str]:
    """Tell whether it was accepted, and what was said."""
    path.write_bytes(bundle)
    try:
        verdict = verify(path, [SIGNER.public_key])
    except NoBundle as error:
        return False, str(error)
    broken = verdict.broken
    return verdict.ok, f"{broken.seq} {broken.what}" if broken else ""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles") / "b.zip"


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


def resealed(content: dict[str, bytes], signer: FileSigner, **changes: object) -> bytes:
    """What somebody with write access could do: make all digests fit again, and sign with a key of their own."""
    rest = {name: data for name, data in content.items() if name not in {"manifest.json", "manifest.sig", "SHA256SUMS"}}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in rest.items()).encode()
    manifest = json.loads(content["manifest.json"]) | {"sums": hashlib.sha256(sums).hexdigest()} | changes
    raw = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return zipped({**rest, "SHA256SUMS": sums, "manifest.json": raw, "manifest.sig": signer.sign(raw)})


def moved(content: dict[str, bytes], old: int, new: int) -> dict[str, bytes]:
    return {
        name.replace(f"records/{old:08}/", f"records/{new:08}/")
        if name.startswith(f"records/{old:08}/")
        else name: data
        for name, data in content.items()
    }


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


def test_the_same_records_make_the_same_files() -> None:
    again = files(made(RECORDS[PART.start - 1 : PART.stop - 1], PART.stop - 1))
    changing = {"manifest.json", "manifest.sig"}
    assert {n: d for n, d in again.items() if n not in changing} == {
        n: d for n, d in files(BUNDLE).items() if n not in changing
    }


def test_nothing_is_no_bundle() -> None:
    with pytest.raises(Empty):
        write(io.BytesIO(), SIGNER, iter(()), 0)


# -- with standard tools -------------------------------------------------------------------------------------


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(BUNDLE)) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def documented(folder: Path) -> str:
    """Paste the commands of the README that lies in the bundle into a shell, as they stand there."""
    for program in ("openssl", "sha256sum", "jq", "base64", "cmp"):
        assert shutil.which(program), f"{program} is needed for this test: install it"
    lines = (folder / "README.txt").read_text(encoding="utf-8").splitlines()
    pasted = "\n".join(line.removeprefix("   ") for line in lines if line.startswith("   "))
    answer = subprocess.run(
        ["bash"], input=pasted, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    return answer.stdout + answer.stderr


def test_the_readme_verifies_it_with_standard_tools(unpacked: Path) -> None:
    assert documented(unpacked).splitlines()[-1] == "VERIFIED"


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "header.json", "skeleton.json", "bodies.json"])
def test_the_readme_finds_what_was_changed(unpacked: Path, name: str) -> None:
    target = unpacked / name if (unpacked / name).exists() else unpacked / "records/00000006" / name
    content = target.read_text(encoding="utf-8")
    target.write_text(content.replace("0", "1", 1), encoding="utf-8")
    assert "VERIFIED" not in documented(unpacked)


def sealed_again(folder: Path) -> None:
    """What somebody with the archive's key could do: make the digests fit again, and sign the manifest."""
    listed = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    names = [name for name in listed if (folder / name).exists()]
    sums = "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    raw = canonical(manifest | {"sums": hashlib.sha256(sums.encode()).hexdigest()})
    (folder / "manifest.json").write_bytes(raw)
    (folder / "manifest.sig").write_bytes(SIGNER.sign(raw))


def test_the_readme_verifies_what_was_sealed_again(unpacked: Path) -> None:
    sealed_again(unpacked)
    assert "VERIFIED" in documented(unpacked)


@pytest.mark.parametrize("name", ["header.json", "header.sig", "skeleton.json", "bodies.json", "story.json"])
def test_the_readme_finds_what_was_changed_though_all_digests_fit(unpacked: Path, name: str) -> None:
    mine, other = unpacked / "records/00000006" / name, unpacked / "records/00000007" / name
    mine.write_bytes(other.read_bytes())
    sealed_again(unpacked)
    assert "VERIFIED" not in documented(unpacked)


@pytest.mark.parametrize("gone", [PART.start, PART.start + 2, PART.stop - 1])
def test_the_readme_finds_a_record_that_was_cut_though_all_digests_fit(unpacked: Path, gone: int) -> None:
    shutil.rmtree(unpacked / f"records/{gone:08}")
    sealed_again(unpacked)
    assert "VERIFIED" not in documented(unpacked)


@pytest.mark.parametrize("story", [True, False])
def test_the_readme_finds_a_body_that_is_gone_without_a_redaction(unpacked: Path, *, story: bool) -> None:
    folder = unpacked / "records/00000006"
    bodies = json.loads((folder / "bodies.json").read_bytes())
    named = json.loads((folder / "header.json").read_bytes())["story"]
    del bodies[named if story else next(name for name in bodies if name != named)]
    (folder / "bodies.json").write_bytes(canonical(bodies))
    (folder / "story.json").unlink()
    sealed_again(unpacked)
    assert "VERIFIED" not in documented(unpacked)


def test_the_readme_takes_a_redaction_for_what_is_gone(tmp_path: Path) -> None:
    records = chain(SIGNER, 6)
    gone = sorted(records[2].bodies)
    records[2] = without(records[2], gone)
    records.append(redaction(SIGNER, records[2], gone, records[-1]))
    with zipfile.ZipFile(io.BytesIO(made(records, 3))) as archive:
        archive.extractall(tmp_path)
    assert documented(tmp_path).splitlines()[-1] == "VERIFIED"


def test_the_readme_finds_what_was_inserted(unpacked: Path) -> None:
    (unpacked / "records/00000006/story.html").write_text("<p>forged")
    assert "VERIFIED" not in documented(unpacked)


def test_a_manifest_tells_which_records() -> None:
    manifest = Manifest.model_validate_json(files(BUNDLE)["manifest.json"])
    assert (manifest.first, manifest.last, manifest.records, manifest.links) == (4, 9, 6, 0)
    assert manifest.made_at <= datetime.now(UTC)
    assert base64.b64decode(RECORDS[3].signature) == files(BUNDLE)["records/00000004/header.sig"]
