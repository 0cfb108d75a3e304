"""Releases are named and laid out as their publishers do."""

from sandbox.toolchain.releases import release, system


def test_releases_are_named_as_their_publishers_do() -> None:
    kube = release("kube-apiserver", "v1.36.3")
    etcd = release("etcd", "v3.6.8")
    prometheus = release("prometheus", "v0.316.0")
    kwok = release("kwok", "v0.8.0")
    helm = release("helm", "v3.21.4")
    assert helm is not None
    assert kube is not None
    assert etcd is not None
    assert prometheus is not None
    assert kwok is not None
    here = system()
    assert kube.url.endswith(f"/v1.36.3/bin/{here.replace('-', '/')}/kube-apiserver")
    assert etcd.url.endswith(f"/etcd-io/etcd/releases/download/v3.6.8/{etcd.file}")
    assert prometheus.url.endswith(f"/v3.16.0/prometheus-3.16.0.{here}.tar.gz")
    assert kwok.url.endswith(f"/v0.8.0/kwok-{here}")
    assert helm.url.endswith(f"/helm-v3.21.4-{here}.tar.gz")
    assert helm.member == f"{here}/helm"
