"""What is measured of encryption: by handshakes, by asking AWS and PostgreSQL, and by what Temporal really holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from psycopg_pool import ConnectionPool

from activities.catalogue.certificates import ServedName
from activities.common.errors import Misconfigured
from activities.compliance.encryption import (
    MEASURES,
    EncryptionLooked,
    EncryptionStatus,
    LookAtEncryption,
)
from activities.compliance.looking import Around
from activities.database.servers.servers import Databases
from activities.evidence.files import FileStore
from activities.kubernetes.api import connect
from audit.compliance import Measured
from sandbox.aws import Aws
from sandbox.ports import LOOPBACK, free_port
from tests.activities.certificates.issuing import Issuer
from tests.activities.certificates.tls_servers import tls_server
from tests.activities.compliance.packaging import FOLDER, effect, path_of

HOST = "api.tensafe.test"
PLAIN = Measured(
    group="Temporal", what="payloads", found="this run's input lies there as json/plain", state="not encrypted"
)


def refuse(*_: Any) -> Any:
    raise Misconfigured("no access to it")


@pytest.fixture
def measuring(tmp_path: Path, records_pool: ConnectionPool[Any]) -> Callable[..., dict[str, Measured]]:
    def measure(around: Around, *served: ServedName) -> dict[str, Measured]:
        made = EncryptionStatus(FileStore(tmp_path / "evidence"), records_pool, list(served), around)
        looked: EncryptionLooked = made._look(LookAtEncryption(folder=FOLDER, effect=effect("look")), PLAIN)
        found = MEASURES.validate_json(path_of(looked).read_bytes())
        assert {gap.why for gap in looked.gaps} == {one.found for one in found if one.state == "could not look"}
        return {f"{one.group} {one.what}": one for one in found}

    return measure


def test_a_name_and_what_does_not_answer(measuring: Callable[..., dict[str, Measured]], tmp_path: Path) -> None:
    around = Around(refuse, lambda: Databases({}), {}, refuse)
    with tls_server(tmp_path, *Issuer().issue(HOST)) as address:
        closed = f"{LOOPBACK}:{free_port()}"
        found = measuring(around, ServedName(host=HOST, addresses=(address, closed)))
    assert found[f"TLS {HOST} at {address}"].state == "encrypted"
    assert found[f"TLS {HOST} at {closed}"].state == "could not look"
    for missing in ("TLS Kubernetes API", "RDS RDS", "EBS EBS", "S3 S3", "Kubernetes Secrets in etcd"):
        assert found[missing].state == "could not look"
    assert found["PostgreSQL records"].state == "not encrypted"
    assert "ssl is off" in found["PostgreSQL records"].found


def test_no_named_name_is_no_silence(measuring: Callable[..., dict[str, Measured]]) -> None:
    found = measuring(Around(refuse, lambda: Databases({}), {}, refuse))
    assert "settings name no served names" in found["TLS served names"].found


def test_the_clusters_api(measuring: Callable[..., dict[str, Measured]], kubeconfig: Path) -> None:
    found = measuring(Around(lambda: connect(kubeconfig), lambda: Databases({}), {}, refuse))
    (api,) = [one for name, one in found.items() if name.startswith("TLS Kubernetes API")]
    assert (api.state, "TLS 1.3: TLS_" in api.found) == ("encrypted", True)


def test_aws(measuring: Callable[..., dict[str, Measured]], aws: Aws) -> None:
    def client(service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    for name, encrypted in (("audit-kept", True), ("audit-open", False)):
        client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            StorageEncrypted=encrypted,
            MasterUsername="x",
            MasterUserPassword="xxxxxxxx",
            AllocatedStorage=10,
        )
    volume = client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1, Encrypted=True)["VolumeId"]
    client("s3").create_bucket(Bucket="audit-evidence")
    client("s3").put_bucket_encryption(
        Bucket="audit-evidence",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    client("secretsmanager").create_secret(Name="audit/secret", SecretString="x")
    found = measuring(Around(refuse, lambda: Databases({}), {}, client))
    states = {name: one.state for name, one in found.items()}
    assert (states["RDS audit-kept"], states["RDS audit-open"]) == ("encrypted", "not encrypted")
    assert states[f"EBS {volume}"] == "encrypted"
    assert found["S3 audit-evidence"].found == "AES256"
    assert "not rotated by itself" in found["Secrets Manager audit/secret"].found
