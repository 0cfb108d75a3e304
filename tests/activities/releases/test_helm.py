"""Helm releases with the real Helm on a real API server, each effect happening once."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from activities.common.effects import is_effect
from activities.common.errors import Misconfigured, NotFound, Refused, Unavailable
from activities.kubernetes.api import connect
from activities.releases import helm_pods
from activities.releases.helm import DescribeRelease, Helm
from sandbox import binaries
from tests.activities.kubernetes.on_cluster import an_effect
from tests.activities.releases.on_helm import TOO_BIG, OnHelm

GOOD, NEW, BAD = "v1.2.3", "v1.2.5", "v1.2.4"


def test_all_changes_are_marked_as_effects():
    assert [name for name in vars(Helm) if is_effect(getattr(Helm, name))] == ["upgrade", "rollback"]


# -- read -------------------------------------------------------------------------------------------------


def test_a_release_is_read_with_its_history(released: OnHelm):
    released.release(NEW, "--description=by hand")
    found = released.run(released.helm.release, DescribeRelease(**released.where))
    assert str(found) == "tensafe revision 2 deployed (v1.2.5)"
    assert [(r.number, r.status, r.chart) for r in found.revisions] == [
        (1, "superseded", "tensafe-1.0.0"),
        (2, "deployed", "tensafe-1.0.0"),
    ]
    assert found.revisions[1].description == "by hand"
    assert found.revisions[1].updated_at >= found.revisions[0].updated_at


def test_a_revision_that_runs_the_same_is_known_as_such(released: OnHelm):
    released.release(GOOD)
    released.release(GOOD, "--set-string=replicas=5")  # as before, but for the number of pods
    released.release(NEW)
    released.cli("rollback", "tensafe", "2")
    _, *found = released.run(released.helm.release, DescribeRelease(**released.where)).revisions
    assert [one.versions for one in found] == [[GOOD], [GOOD], [NEW], [GOOD]]
    first, again, new, back = (one.contents for one in found)
    assert first == again == back
    assert new not in {"", first}


def test_what_is_not_there_has_no_revisions(released: OnHelm):
    asked = DescribeRelease(**{**released.where, "release": "other"})
    found = released.run(released.helm.release, asked)
    assert found.current is None
    assert str(found) == "no release other"


def test_a_version_may_stand_anywhere_in_the_values_or_nowhere(released: OnHelm):
    for value, tag in (("image.repository", "registry.example/tensafe-server"), ("image", ""), ("image.tag.x", "")):
        asked = DescribeRelease(**released.where, tag_value=value)
        assert released.run(released.helm.release, asked).tag == tag


# -- upgrade ----------------------------------------------------------------------------------------------


def test_upgrade(released: OnHelm):
    change = released.run(released.helm.upgrade, released.upgrade(NEW))
    assert str(change) == "release/tensafe: revision 1 (v1.2.3) → revision 2 (v1.2.5)"
    assert change.deployed, change
    assert (change.applied, change.revision, change.reason) == (True, 2, "")
    assert released.server.image == "registry.example/tensafe-server:v1.2.5"
    assert released.server.annotations["kubernetes.io/change-cause"] == "release v1.2.5"
    assert released.history == [(1, "superseded"), (2, "deployed")]
    assert released.descriptions[1].startswith("v1.2.5, for a@b.c (effect ")


def test_an_upgrade_keeps_what_the_autoscaler_has_scaled_to_and_so_does_a_rollback(released: OnHelm):
    released.server.patch({"spec": {"replicas": 7}})
    released.run(released.helm.upgrade, released.upgrade(NEW))
    assert released.server.spec["replicas"] == 7
    released.run(released.helm.rollback, released.rollback())
    assert released.server.spec["replicas"] == 7


def test_what_a_chart_puts_into_a_list_is_seen_there(released: OnHelm, tmp_path: Path):
    chart = Path(shutil.copytree(released.chart, tmp_path / "listed"))
    template = chart / "templates" / "deployment.yaml"
    inside = template.read_text().rstrip().replace("\n", "\n  ")
    template.write_text(f"# nothing but this\n---\napiVersion: v1\nkind: List\nitems:\n- {inside}\n")
    listed: dict[str, Any] = {"chart": str(chart), "values": {"replicas": "3"}}
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", **listed))
    released.server.patch({"spec": {"replicas": 4}})
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.3-c", from_revision=2, **listed))
    assert change.deployed, change
    assert "tensafe-server keeps 4 replicas" in change.note
    assert released.server.spec["replicas"] == 4
    release = released.run(released.helm.release, DescribeRelease(**released.where))
    assert [one.versions for one in release.revisions] == [["v1.2.3"], ["v1.2.3-b"], ["v1.2.3-c"]]
    assert len({one.contents for one in release.revisions}) == 3


def test_a_second_attempt_finds_what_the_first_has_done(released: OnHelm):
    asked = released.upgrade(NEW)
    first = released.run(released.helm.upgrade, asked)
    generation = released.server.raw["metadata"]["generation"]
    second = released.run(released.helm.upgrade, asked, attempt=2)
    assert second == first.model_copy(update={"applied": False, "note": "done by an earlier attempt"})
    assert released.history == [(1, "superseded"), (2, "deployed")]
    assert released.server.raw["metadata"]["generation"] == generation


def test_a_second_attempt_is_not_misled_by_a_release_that_came_since(released: OnHelm):
    # Helm hands the labels on to the next release; it is not the effect's.
    asked = released.upgrade(NEW)
    released.run(released.helm.upgrade, asked)
    released.release("v1.2.6")
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert (change.revision, change.applied) == (2, False)
    assert change.note == "done by an earlier attempt; revision 3 has come since"
    assert released.server.image.endswith("v1.2.6")


def test_plan_mode_changes_nothing(released: OnHelm):
    before = released.server.spec, released.server.annotations
    change = released.run(released.helm.upgrade, released.upgrade(NEW, effect=an_effect(dry_run=True)))
    assert change.deployed, change
    assert (change.applied, change.revision) == (False, 2)
    assert change.note == "plan only: Helm would accept it"
    assert released.history == [(1, "deployed")]
    assert (released.server.spec, released.server.annotations) == before


def test_plan_mode_tells_of_a_chart_that_can_not_be_rendered(released: OnHelm):
    values = {"image": "not a table"}
    asked = released.upgrade(NEW, effect=an_effect(dry_run=True), values=values, tag_value="other")
    with pytest.raises(Refused, match=r"helm: .*image"):
        released.run(released.helm.upgrade, asked)


def test_the_first_release_of_all_is_installed(released: OnHelm):
    released.cli("uninstall", "tensafe")
    planned = released.upgrade(GOOD, from_revision=0, effect=an_effect(dry_run=True))
    assert released.run(released.helm.upgrade, planned).revision == 1
    assert released.run(released.helm.release, DescribeRelease(**released.where)).current is None
    asked = released.upgrade(GOOD, from_revision=0)
    change = released.run(released.helm.upgrade, asked)
    assert change.deployed, change
    assert (change.revision, change.before) == (1, "")
    assert released.run(released.helm.upgrade, asked, attempt=2).applied is False
    assert released.history == [(1, "deployed")]


def test_what_has_been_uninstalled_meanwhile_does_not_come_back(released: OnHelm):
    asked = released.upgrade(NEW)
    released.cli("uninstall", "tensafe")
    with pytest.raises(Refused, match="release tensafe is gone, no longer on revision 1"):
        released.run(released.helm.upgrade, asked)


def test_what_helm_keeps_in_config_maps_is_not_installed_a_second_time(released: OnHelm):
    history = {"metadata": {"name": "sh.helm.release.v1.tensafe.v4", "labels": {"owner": "helm", "name": "tensafe"}}}
    released.cli("uninstall", "tensafe", "--wait")
    maps = f"/api/v1/namespaces/{released.server.namespace}/configmaps"
    released.server.kube.post(maps, json=history).raise_for_status()
    for asked in (
        lambda: released.run(released.helm.release, DescribeRelease(**released.where)),
        lambda: released.run(released.helm.upgrade, released.upgrade("v1.2.4", from_revision=0)),
    ):
        with pytest.raises(Refused, match="release tensafe has its history in ConfigMaps"):
            asked()


def test_what_was_uninstalled_with_its_history_kept_is_refused_with_the_ways_out(released: OnHelm):
    released.cli("uninstall", "tensafe", "--keep-history")
    says = r"was uninstalled with its history kept, after 2.* \(revision 1 is uninstalled\)"
    found = released.run(released.helm.release, DescribeRelease(**released.where))
    assert re.search(says, found.uninstalled)
    for dry_run in (True, False):
        with pytest.raises(Refused, match=says):
            released.run(released.helm.upgrade, released.upgrade("v1.2.4", effect=an_effect(dry_run=dry_run)))
    rollback = released.rollback(from_revision=1, to_revision=1)
    with pytest.raises(Refused, match=says):
        released.run(released.helm.rollback, rollback)
    assert released.history == [(1, "uninstalled")]
    for way in re.findall("`helm ([^`]*)`", found.uninstalled):  # each is one
        released.cli(*way.split())
    assert not released.run(released.helm.release, DescribeRelease(**released.where)).revisions
    change = released.run(released.helm.upgrade, released.upgrade(NEW, from_revision=0))
    assert change.deployed, change


def test_a_release_that_was_never_installed_well_is_upgraded(released: OnHelm):
    """A first install that failed, or that somebody's helm was killed in, has no deployed revision to go by."""
    released.cli("uninstall", "tensafe")
    with pytest.raises(Exception, match="helm"):
        released.cli(
            "install",
            "tensafe",
            str(released.chart),
            "--set-string=image.tag=v1.2.3",
            "--set=cpu=100",
            "--wait",
            "--timeout=2s",
        )
    assert released.history == [(1, "failed")]
    assert not released.run(released.helm.release, DescribeRelease(**released.where)).uninstalled
    change = released.run(released.helm.upgrade, released.upgrade(NEW, from_revision=1))
    assert change.deployed, change
    assert change.revision == 2


def test_values_come_through_as_they_are(released: OnHelm):
    odd = {"note": r"a,b={c}\d.e", "list": "{x,y}", "deep.er": "null", "number": "007"}
    released.run(released.helm.upgrade, released.upgrade(NEW, values=odd))
    found = json.loads(released.cli("get", "values", "tensafe", "--output=json"))
    assert found == {
        "note": r"a,b={c}\d.e",
        "list": "{x,y}",
        "deep": {"er": "null"},
        "number": "007",
        "image": {"tag": NEW},
    }


# -- a release that doesn't get ready -----------------------------------------------------------------------


def test_pods_that_do_not_get_ready_in_time_are_a_result(released: OnHelm):
    asked = released.upgrade(NEW, values=TOO_BIG, timeout=timedelta(seconds=2))
    change = released.run(released.helm.upgrade, asked)
    assert (change.applied, change.deployed, change.revision) == (True, False, 2)
    assert change.reason.endswith("not ready within 2 s")
    assert released.history == [(1, "deployed"), (2, "failed")]
    released.unschedulable()
    again = released.run(released.helm.upgrade, asked, attempt=2)
    assert (again.applied, again.note) == (False, "done by an earlier attempt")
    assert again.reason == "3 × Unschedulable; not ready within 2 s"
    assert released.history == [(1, "deployed"), (2, "failed")]


def test_waiting_for_pods_that_go_on_failing_is_given_up(released: OnHelm, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(helm_pods, "HOPELESS_AFTER", timedelta(seconds=3))
    # The first new pod falls over before it counts as available; no other follows.
    asked = released.upgrade(BAD, values={"surge": "1", "settle": "30"}, timeout=timedelta(minutes=5))
    change = released.run(released.helm.upgrade, asked)
    assert not change.deployed
    assert change.reason == "1 × CrashLoopBackOff; waiting was given up, since the pods go on failing"
    assert released.history == [(1, "deployed"), (2, "failed")]


def test_an_upgrade_that_the_api_server_refuses_is_a_failed_revision(released: OnHelm):
    asked = released.upgrade(NEW, values={"surge": "0"})
    change = released.run(released.helm.upgrade, asked)
    assert not change.deployed
    assert "may not be 0 when" in change.reason
    assert released.history == [(1, "deployed"), (2, "failed")]


# -- somebody else ------------------------------------------------------------------------------------------


def test_a_newer_release_is_not_overtaken(released: OnHelm):
    released.release("v1.2.6", "--description=the fix")
    with pytest.raises(Refused) as refused:
        released.run(released.helm.upgrade, released.upgrade(NEW))
    assert refused.value.message == (
        "release tensafe is on revision 2 now (deployed: the fix), no longer on revision 1"
    )
    assert released.server.image.endswith("v1.2.6")


# -- rollback -----------------------------------------------------------------------------------------------


def test_rollback(released: OnHelm):
    released.release(BAD)
    asked = released.rollback()
    change = released.run(released.helm.rollback, asked)
    assert str(change) == "release/tensafe: revision 2 → revision 3 (back on revision 1)"
    assert change.deployed, change
    assert (change.applied, change.revision) == (True, 3)
    assert released.server.image.endswith(GOOD)
    again = released.run(released.helm.rollback, asked, attempt=2)
    assert again == change.model_copy(update={"applied": False, "note": "done by an earlier attempt"})
    assert released.history == [(1, "superseded"), (2, "superseded"), (3, "deployed")]


def test_the_same_rollback_by_somebody_else_leaves_nothing_to_do(released: OnHelm):
    released.release(BAD)
    released.cli("rollback", "tensafe", "1")
    change = released.run(released.helm.rollback, released.rollback())
    assert change.deployed, change
    assert (change.applied, change.revision, change.note) == (False, 3, "done already")


def test_rolling_back_to_a_revision_that_is_not_there(released: OnHelm):
    released.release(BAD)
    with pytest.raises(NotFound, match="release tensafe has no revision 9; it has: 1, 2"):
        released.run(released.helm.rollback, released.rollback(to_revision=9))


def test_a_rollback_is_refused_when_somebody_has_released_since(released: OnHelm):
    released.release(BAD)
    released.release("v1.2.6")
    with pytest.raises(Refused, match=r"is on revision 3 now .* no longer on revision 2"):
        released.run(released.helm.rollback, released.rollback())
    assert released.server.image.endswith("v1.2.6")


def test_a_rollback_in_plan_mode_changes_nothing(released: OnHelm):
    released.release(NEW)
    change = released.run(released.helm.rollback, released.rollback(effect=an_effect(dry_run=True)))
    assert (change.applied, change.revision) == (False, 3)
    assert released.history == [(1, "superseded"), (2, "deployed")]


def test_a_rollback_that_does_not_get_ready_is_a_result(released: OnHelm):
    released.release("v1.2.6", "--set-string=cpu=100")
    released.release(NEW)
    asked = released.rollback(from_revision=3, to_revision=2, timeout=timedelta(seconds=2))
    change = released.run(released.helm.rollback, asked)
    assert (change.deployed, change.revision) == (False, 4)
    assert change.reason.endswith("not ready within 2 s")
    released.unschedulable()
    again = released.run(released.helm.rollback, asked, attempt=2)
    assert (again.applied, again.note) == (False, "done by an earlier attempt")
    assert again.reason == "3 × Unschedulable; not ready within 2 s"
    assert released.history[-1] == (4, "failed")


# -- what is missing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chart", "says"),
    [
        ("./nowhere", "there is no .*nowhere"),
        ("/nowhere/tensafe", "there is no /nowhere/tensafe"),
        ("nowhere/tensafe", "repo nowhere not found"),
        ("empty", "Chart.yaml file is missing"),
    ],
)
def test_a_missing_chart(released: OnHelm, helm_charts: Path, chart: str, says: str):
    (helm_charts / "empty").mkdir(exist_ok=True)
    with pytest.raises(Misconfigured, match=says):
        released.run(released.helm.upgrade, released.upgrade(NEW, chart=chart))


def test_a_chart_is_found_beside_the_settings(released: OnHelm):
    asked = released.upgrade(NEW, chart="tensafe", effect=an_effect(dry_run=True))
    change = released.run(released.helm.upgrade, asked)
    assert change.deployed, change


@pytest.mark.parametrize("program", ["no-such-helm", "/nowhere/helm"])
def test_a_missing_program(released: OnHelm, cluster_api: client.ApiClient, program: str, tmp_path: Path):
    helm = Helm(program, cluster_api, kubeconfig=None, context=None, directory=tmp_path)
    with pytest.raises(Misconfigured, match="Install Helm 3"):
        released.run(helm.release, DescribeRelease(**released.where))


def test_a_cluster_that_does_not_answer(released: OnHelm, kubeconfig: Path, tmp_path: Path):
    away = tmp_path / "kubeconfig.yaml"
    url = connect(kubeconfig).configuration.host
    away.write_text(kubeconfig.read_text().replace(url, "https://127.0.0.1:1"))
    with connect(away) as nowhere:
        helm = Helm(str(binaries.find("helm")), nowhere, kubeconfig=away, context=None, directory=tmp_path)
        with pytest.raises(Unavailable, match="cluster unreachable"):
            released.run(helm.release, DescribeRelease(**released.where))
        with pytest.raises(Unavailable):
            released.run(helm.upgrade, released.upgrade(NEW))


def test_credentials_that_are_refused_and_contexts_that_are_not_there(
    released: OnHelm,
    cluster_api: client.ApiClient,
    kubeconfig: Path,
    tmp_path: Path,
):
    asked = DescribeRelease(**released.where)
    program = str(binaries.find("helm"))
    wrong = tmp_path / "kubeconfig.yaml"
    wrong.write_text(kubeconfig.read_text().replace("token: ", "token: not-"))
    helm = Helm(program, cluster_api, kubeconfig=wrong, context=None, directory=tmp_path)
    with pytest.raises(Refused, match="credentials"):
        released.run(helm.release, asked)
    helm = Helm(program, cluster_api, kubeconfig=kubeconfig, context="elsewhere", directory=tmp_path)
    with pytest.raises(Misconfigured, match="elsewhere"):
        released.run(helm.release, asked)
