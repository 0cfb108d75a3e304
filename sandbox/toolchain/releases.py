"""Which published file holds a program, and where its publisher says its checksum.

The bases can be set by `RUNBOOKS_KUBERNETES_RELEASES`, `RUNBOOKS_HELM_RELEASES`, `RUNBOOKS_GITHUB` and
`RUNBOOKS_GITHUB_API`, for a mirror inside a company.
"""

import os
import platform
from dataclasses import dataclass

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}


def system() -> str:
    """Name this machine as Go's releases do, e.g. `linux-amd64`."""
    return f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"


def kubernetes_base() -> str:
    """Where Kubernetes publishes."""
    return os.environ.get("RUNBOOKS_KUBERNETES_RELEASES", "https://dl.k8s.io/release")


def helm_base() -> str:
    """Where Helm publishes."""
    return os.environ.get("RUNBOOKS_HELM_RELEASES", "https://get.helm.sh")


def github_base() -> str:
    """Where the others publish."""
    return os.environ.get("RUNBOOKS_GITHUB", "https://github.com")


def github_api_base() -> str:
    """Where GitHub describes releases, with a digest of each file; kwok publishes no other checksums."""
    return os.environ.get("RUNBOOKS_GITHUB_API", "https://api.github.com")


@dataclass(frozen=True)
class Release:
    """One published file.

    `checksums` is a bare SHA-256, lines of `SHA-256  file`, or GitHub's description of a release. `member` is the
    program's place in the archive, or None where the file is the program itself.
    """

    url: str
    checksums: str
    member: str | None = None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def release(program: str, version: str) -> Release | None:
    """Find a program's release by the version of its Go module; None where no checksums are published for it."""
    if program.startswith("kube"):
        url = f"{kubernetes_base()}/{version}/bin/{system().replace('-', '/')}/{program}"
        return Release(url, f"{url}.sha256")
    if program == "helm":
        url = f"{helm_base()}/helm-{version}-{system()}.tar.gz"
        return Release(url, f"{url}.sha256sum", f"{system()}/helm")
    if program == "etcd":
        name, kind = f"etcd-{version}-{system()}", "tar.gz" if system().startswith("linux") else "zip"
        base = f"{github_base()}/etcd-io/etcd/releases/download/{version}"
        return Release(f"{base}/{name}.{kind}", f"{base}/SHA256SUMS", f"{name}/etcd")
    if program in {"prometheus", "alertmanager"}:
        # Prometheus' Go module is v0.316.0 where its release is 3.16.0.
        number = version.removeprefix("v")
        if program == "prometheus":
            minor, patch = number.removeprefix("0.").split(".")
            number = f"{minor[0]}.{int(minor[1:])}.{patch}"
        name = f"{program}-{number}.{system()}"
        base = f"{github_base()}/prometheus/{program}/releases/download/v{number}"
        return Release(f"{base}/{name}.tar.gz", f"{base}/sha256sums.txt", f"{name}/{program}")
    if program == "kwok":
        repository = "kubernetes-sigs/kwok"
        return Release(
            f"{github_base()}/{repository}/releases/download/{version}/kwok-{system()}",
            f"{github_api_base()}/repos/{repository}/releases/tags/{version}",
        )
    return None
