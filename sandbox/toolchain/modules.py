"""The pinned Go modules beside this file, the programs they give, and the cache they are kept in."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Module:
    """One folder with a go.mod and go.sum; its programs are built and kept together."""

    name: str
    programs: dict[str, str]
    """Program → the package it is built from."""
    ldflags: str = ""
    tags: str = ""
    fits: dict[str, str] = field(default_factory=dict)
    """Program → pattern of the version that a copy from elsewhere must show."""
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Program → the arguments that make it show its version, where that isn't `--version`."""
    debian: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Program → the Debian package that has it too, and its place in there."""
    work: dict[str, float] = field(default_factory=dict)
    """Program → seconds of a core that building it takes, after those before it: for estimates."""
    needs_all: bool = False
    """Nearly every module that its go.mod names is needed: then they are fetched at once, in half of the time that it
    takes where each is fetched when an import of it is met."""

    @property
    def directory(self) -> Path:
        """Where its go.mod is."""
        return _HERE / self.name

    @cached_property
    def _pins(self) -> dict[str, str]:
        text = (self.directory / "go.mod").read_text(encoding="utf-8")
        return dict(re.findall(r"^\s*(?:require )?(\S+) (v\S+)(?: // indirect)?$", text, flags=re.MULTILINE))

    def pinned(self, program: str) -> str:
        """Give the version of the Go module that the program is built from, e.g. `v1.36.3`."""
        package = self.programs[program]
        return next(version for path, version in self._pins.items() if f"{package}/".startswith(f"{path}/"))

    @cached_property
    def cache(self) -> Path:
        """Its place in the cache: another version, another go.sum or other flags are another place."""
        pins = b"".join((self.directory / name).read_bytes() for name in ("go.mod", "go.sum"))
        pins += f"{self.ldflags} {self.tags}".encode()
        version = self.pinned(next(iter(self.programs)))
        return cache_directory() / "toolchain" / f"{self.name}-{version}-{hashlib.sha256(pins).hexdigest()[:12]}"

    @property
    def bin(self) -> Path:
        """The folder of its finished programs."""
        return self.cache / "bin"


def cache_directory() -> Path:
    """Give the folder that outlives checkouts: `$XDG_CACHE_HOME/durable-runbooks`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "durable-runbooks"


# The control plane's parts may not be newer than its API server, so all of them must be of one minor version.
_KUBERNETES = "k8s.io/kubernetes/cmd"
_SAME_MINOR = r"v1\.36\."

KUBERNETES = Module(
    name="kubernetes",
    programs={
        "kube-apiserver": f"{_KUBERNETES}/kube-apiserver",
        "kube-controller-manager": f"{_KUBERNETES}/kube-controller-manager",
        "kube-scheduler": f"{_KUBERNETES}/kube-scheduler",
        "kubectl": f"{_KUBERNETES}/kubectl",
        "etcd": "go.etcd.io/etcd/server/v3",
        "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    },
    # Without it the servers call themselves v0.0.0-master, at which clients balk.
    ldflags="-X k8s.io/component-base/version.gitVersion={kube-apiserver}",
    fits={
        "kube-apiserver": _SAME_MINOR,
        "kube-controller-manager": _SAME_MINOR,
        "kube-scheduler": _SAME_MINOR,
        "kubectl": _SAME_MINOR,
        "etcd": r"etcd Version: 3\.[5-9]\.",
        "kwok": r"v0\.(?:[7-9]|\d\d)\.",
    },
    asked={"kubectl": ("version", "--client")},
    needs_all=True,
    work={
        "kube-apiserver": 340,
        "kube-controller-manager": 130,
        "kube-scheduler": 10,
        "kubectl": 55,
        "etcd": 75,
        "kwok": 22,
    },
)
PROMETHEUS = Module(
    name="prometheus",
    programs={"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
    tags="remove_all_sd",
    fits={"prometheus": r"version (?:2\.[3-9]\d|[3-9]\.\d+)\."},
    debian={"prometheus": ("prometheus", "usr/bin/prometheus")},
    work={"prometheus": 195},
)
# Not Debian's: that one reads its templates from /usr/share, where nothing is unless its package is installed.
ALERTMANAGER = Module(
    name="alertmanager",
    programs={"alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager"},
    fits={"alertmanager": r"version 0\.(?:2[4-9]|[3-9]\d)\."},
    work={"alertmanager": 55},
)
HELM = Module(
    name="helm",
    programs={"helm": "helm.sh/helm/v3/cmd/helm"},
    # Without it Helm calls itself v3.21.
    ldflags="-X helm.sh/helm/v3/internal/version.version={helm}",
    # Helm 4 waits, and tells of it, in other ways than the activities know.
    fits={"helm": r"v3\.(?:1[7-9]|[2-9]\d)\."},
    asked={"helm": ("version", "--short")},
    work={"helm": 105},
)
PEBBLE = Module(
    name="pebble",
    programs={
        "pebble": "github.com/letsencrypt/pebble/v2/cmd/pebble",
        "pebble-challtestsrv": "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv",
    },
    ldflags="-X main.version={pebble}",
    fits={"pebble": r"Pebble version: v?2\.(?:1\d|[2-9]\d)\.", "pebble-challtestsrv": r"-dnsserver"},
    asked={"pebble": ("-version",), "pebble-challtestsrv": ("-help",)},
    work={"pebble": 8, "pebble-challtestsrv": 3},
)
TEMPORAL = Module(
    name="temporal",
    programs={
        "temporal-server": "go.temporal.io/server/cmd/server",
        "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
    },
    # What is stored must fit the schema that the tool brings: both are of one minor version.
    fits={"temporal-server": r"1\.32\.", "temporal-sql-tool": r"1\.32\."},
    needs_all=True,
    work={"temporal-server": 780, "temporal-sql-tool": 40},
)
TEMPORAL_UI = Module(
    name="temporal_ui",
    programs={"temporal-ui-server": "github.com/temporalio/ui-server/v2/cmd/server"},
    fits={"temporal-ui-server": r"2\.\d+\.\d+"},
    work={"temporal-ui-server": 25},
)
MODULES = (KUBERNETES, PROMETHEUS, ALERTMANAGER, HELM, PEBBLE, TEMPORAL, TEMPORAL_UI)


def module_of(program: str) -> Module:
    """Find the module that gives a program.

    Raises:
        KeyError: none does.

    """
    for module in MODULES:
        if program in module.programs:
            return module
    raise KeyError(program)
