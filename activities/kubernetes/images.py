"""References of container images: repository, tag and digest apart, in the one place that reads them.

The grammar is that of OCI's distribution (github.com/distribution/reference): a colon before the last slash belongs to
a registry's port.
"""

from dataclasses import dataclass

_DIGEST_CHARACTERS = 12
_DEFAULT_TAG = "latest"
"""What a reference without tag and digest means; it says nothing about what was there at another time."""


@dataclass(frozen=True)
class Image:
    """One reference."""

    repository: str
    tag: str
    """Empty where there is none."""

    digest: str
    """With its algorithm, for example `sha256:…`; empty where there is none."""

    @property
    def shown(self) -> str:
        """How people name it: by its tag, else by the beginning of its digest."""
        return self.tag or self.digest.partition(":")[2][:_DIGEST_CHARACTERS] or _DEFAULT_TAG

    @property
    def fixed(self) -> bool:
        """Whether it means the same image at any time; a tag is believed to, except `latest`."""
        return bool(self.digest) or self.tag not in {"", _DEFAULT_TAG}


def parse(reference: str) -> Image:
    """Read a reference."""
    name, _, digest = reference.partition("@")
    path, slash, last = name.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(f"{path}{slash}{name}", tag, digest)
