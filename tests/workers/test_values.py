"""What a value can't mean is said before any run: addresses, keys, roles, selectors, queries."""

import base64
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from tests.workers.fine_settings import FINE
from workers.database_settings import PoolerSettings
from workers.settings import SettingsError, load

REFUSED = [
    ('"restore", "failover"', '"restore", "failover"]\npublic_keys = ["abc"', "approvals.public_keys.0: is no Ed25519"),
    (
        "[approvals]",
        '[approvals]\nsignature_valid_for = "PT0S"',
        "approvals.signature_valid_for: 0 s is not between",
    ),
    (
        "[approvals]",
        '[approvals]\nsignature_valid_for = "P9D"',
        "approvals.signature_valid_for: 9 d is not",
    ),
    ("http://127.0.0.1", "127.0.0.1", "services.api.health_url: '127.0.0.1/health' is no URL"),
    ("http://127.0.0.1", "ftp://127.0.0.1", "services.api.health_url: 'ftp://127.0.0.1/health' is no URL"),
    ('"app=api"', '""', "services.api.selector: is empty: that would be every pod of the namespace"),
    ('"app=api"', '"app = = api"', "services.api.selector: 'app = = api' is no label selector"),
    ("min_nodes = 2", 'min_nodes = 2\nselector = " "', "services.api.gpu.selector: is empty: that would be every node"),
    ('deployment = "api"', 'deployment = "Api"', "services.api.deployment: 'Api' is no name of Kubernetes"),
    ('deployment = "api"', 'deployment = "api"\nchannel = " "', "services.api.channel: is empty"),
    ('deployment = "api"', 'deployment = "api"\nstakeholders = ["#a", ""]', "services.api.stakeholders.1: is empty"),
    (
        'deployment = "api"',
        'deployment = "api"\nwindow.silence = { service = "" }',
        "services.api.window.silence.service: is empty: Alertmanager would silence every alert",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\nmetrics.error_rate = "sum(rate(x[5m])"',
        "services.api.metrics.error_rate: is no PromQL",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\nincident.scale_to = 21',
        "services.api.incident.scale_to: 21 is above scaling.max_replicas, 20",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\ndegradation.better_for = "PT1H"',
        "services.api.degradation.better_for: 1 h is longer than watch_for",
    ),
    (
        'deployment = "api"',
        (
            'deployment = "api"\n'
            'release = { release = "r", chart = "c", off_peak = [{ days = [], start = "01:00", end = "02:00" }] }'
        ),
        "services.api.release.off_peak.0: never comes",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\nrelease = { release = "r", chart = "" }',
        "services.api.release.chart: is empty",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\nrelease = { release = "r", chart = "c", repository = "tensafe" }',
        "services.api.release.repository: 'tensafe' is not OWNER/NAME",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\nrecovery.tests = [{ name = "a", url = "/health" }]',
        "services.api.recovery.tests.0.url: '/health' is no URL",
    ),
    (
        'deployment = "api"',
        'deployment = "api"\ncertificates.served = [{ host = "api example" }]',
        "services.api.certificates.served.0.host: 'api example' is no name of a host",
    ),
    ('secret = "one" }', 'secret = "one", spare = true }', "services.api.database.servers: all are spare"),
    (
        "[approvals]",
        '[databases.e]\nservers.one.url = "u"\nbarman.server = "e"\n[approvals]',
        "there is no [databases.d]",
    ),
    (
        "[approvals]",
        '[databases.d]\nservers.two.url = "u"\nbarman.server = "d"\n[approvals]',
        "services.api.database.servers.one: [databases.d.servers] has: two",
    ),
    (
        "[approvals]",
        '[services.b]\nnamespace = "shop"\ndeployment = "api"\nselector = "a"\nhealth_url = "http://b/"\n[approvals]',
        "deployment: shop/api is that of services.",
    ),
    ("[approvals]", '[prometheus]\nurl = "localhost:9090"\n[approvals]', "prometheus.url: 'localhost:9090' is no URL"),
    ("[approvals]", '[alertmanager]\nurl = "alerts"\n[approvals]', "alertmanager.url: 'alerts' is no URL"),
    (
        "[approvals]",
        '[temporal]\naddress = "http://x:1"\n[approvals]',
        "temporal.address: 'http://x:1' is not HOST:PORT",
    ),
    ("[approvals]", '[observability]\nmetrics_address = "9090"\n[approvals]', "'9090' is not HOST:PORT"),
    ("[approvals]", '[webhook]\nbearer_tokens = ["a", ""]\n[approvals]', "webhook.bearer_tokens.1: is empty"),
    ("[approvals]", '[webhook]\nbasic_auth = { ada = " " }\n[approvals]', "webhook.basic_auth.ada: needs a name"),
    ("[approvals]", '[gateway]\nprivate_key = "x"\n[approvals]', "gateway.private_key: not an Ed25519 private key"),
    ("[approvals]", '[audit]\npublic_keys = ["x"]\n[approvals]', "audit.public_keys.0: is no Ed25519"),
    ("[approvals]", '[paging]\nescalation_keys = { 0 = "x" }\n[approvals]', "paging.escalation_keys.0: no page has"),
    (
        "[approvals]",
        '[slack.people.U1]\nwho = " "\nroles = ["comander"]\n[approvals]',
        "slack.people.U1.roles.0: nothing asks for the role 'comander': is 'commander' meant?",
    ),
    ("[approvals]", '[slack.people.U1]\nwho = " "\nroles = ["dba"]\n[approvals]', "slack.people.U1.who: is empty"),
    ("[approvals]", '[web]\npeople = { comander = ["ada"] }\n[approvals]', "web.people.comander: nothing asks for"),
    ("[approvals]", '[web]\ngroups = { commander = [""] }\n[approvals]', "web.groups.commander.0: is empty"),
]


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ({"reconnect": ["x", "{sever}"]}, "reconnect: '{sever}': known are {pooler}, {host}, {server}"),
        ({"reconnect": ["x"], "pause": ["{server}"]}, "pause: '{server}': known are {pooler}, {host}"),
        ({"reconnect": []}, "at least 1"),
    ],
)
def test_a_poolers_words_are_known(commands: dict[str, list[str]], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        PoolerSettings.model_validate(commands)


@pytest.mark.parametrize(("right", "wrong", "says"), REFUSED)
def test_what_opens_or_is_nothing_is_refused_before_any_run(file: Path, right: str, wrong: str, says: str) -> None:
    assert FINE.count(right) == 1
    file.write_text(FINE.replace(right, wrong), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load()
    (line,) = [line for line in str(refused.value).splitlines() if says in line]
    assert re.match(r".*runbooks\.toml:\d+: ", line), "with its line"


@pytest.mark.parametrize(
    "selector",
    ["app=api", "app == api,tier!=db", "a in (b, c),!d", "x.io/a notin (b)", "app", "nvidia.com/gpu.present=true"],
)
def test_selectors_of_kubernetes_are_taken(file: Path, selector: str) -> None:
    file.write_text(FINE.replace('"app=api"', f'"{selector}"'), encoding="utf-8")
    assert load().services["api"].selector == selector


def test_a_gateway_whose_words_every_run_would_refuse_is_told(file: Path) -> None:
    mine, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    pem = mine.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for key, fine in ((mine, True), (other, False)):
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        text = FINE.replace(
            "[approvals]", f'[gateway]\nprivate_key = """{pem}"""\n[approvals]\npublic_keys = ["{public}"]'
        )
        file.write_text(text, encoding="utf-8")
        if fine:
            load()
        else:
            with pytest.raises(SettingsError, match="every run refuses what it signs"):
                load()


"""What, in its place, is refused and with which words."""
