"""A bundle proves what is in it to somebody who has nothing but a public key, and standard tools."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit.bundle import Empty, Manifest, write
from audit.signatures import canonical
from tests.audit.bundles import BUNDLE, PART, RECORDS, SIGNER, files, made
from tests.audit.stories import chain, redaction, without


def test_the_same_records_make_the_same_files() -> None:
    again = files(made(RECORDS[PART.start - 1 : PART.stop - 1], PART.stop - 1))
    changing = {"manifest.json", "manifest.sig"}
    assert {n: d for n, d in again.items() if n not in changing} == {
        n: d for n, d in files(BUNDLE).items() if n not in changing
    }


def test_nothing_is_no_bundle() -> None:
    with pytest.raises(Empty):
        write(io.BytesIO(), SIGNER, iter(()), 0)


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
