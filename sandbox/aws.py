"""AWS as moto plays it: its real HTTP server as a child process, with an EKS cluster and a GPU node group in it.

`python -m sandbox.aws PORT` is that process. It keeps everything in memory: a restarted one is empty.
"""

import functools
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess

REGION = "eu-central-1"
CLUSTER = "tensafe-prod"
NODE_GROUP = "gpu-workers"
DESIRED = 2
ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "sandbox",
    "AWS_SECRET_ACCESS_KEY": "sandbox",
    "AWS_DEFAULT_REGION": REGION,
}
"""What processes need in their environment to talk to it; moto takes any credentials."""

GPU_LABEL = "nvidia.com/gpu.present"
_ACCOUNT = "123456789012"
_INSTANCE_TYPE = "g5.12xlarge"


class Aws:
    """One server, with the EKS cluster `tensafe-prod` and its node group `gpu-workers` once it is ready."""

    name = "aws"

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._process = ServerProcess(
            name=self.name,
            directory=directory,
            argv=[sys.executable, "-m", "sandbox.aws", str(self.port)],
            env=ENVIRONMENT,
            stop_signal=signal.SIGKILL,  # it keeps nothing: nothing is worth a farewell
        )

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it."""
        return [self._process]

    def start(self) -> None:
        """Start it empty."""
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it answers, and create what the sandbox's service stands on.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        self._process.wait_ready(probes.tcp(self.port), timeout)
        create_node_group(self.url, CLUSTER, NODE_GROUP)

    def stop(self) -> None:
        """Shut down."""
        self._process.stop()


@functools.cache
def eks(endpoint: str, *, patience: float = 30.0) -> Any:
    """Give boto3's EKS client for it, whatever the environment's credentials are; it waits `patience` seconds."""
    import boto3  # noqa: PLC0415 - a quarter of a second that those who only need the names above need not wait
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=2, read_timeout=patience, retries={"total_max_attempts": 1}, proxies={})
    session = boto3.Session(
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    return session.client("eks", endpoint_url=endpoint, config=config)


def create_node_group(
    endpoint: str, cluster: str, name: str, *, minimum: int = 2, maximum: int = 10, desired: int = DESIRED
) -> None:
    """Create a GPU node group, and its EKS cluster where there is none yet; tainted, as GPU nodes usually are."""
    # The first node group makes moto import its EC2, which takes a while on a busy machine.
    client = eks(endpoint, patience=30.0)
    if cluster not in client.list_clusters()["clusters"]:
        client.create_cluster(name=cluster, roleArn=_role("eks"), resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    client.create_nodegroup(
        clusterName=cluster,
        nodegroupName=name,
        nodeRole=_role("node"),
        subnets=["subnet-1"],
        instanceTypes=[_INSTANCE_TYPE],
        labels={GPU_LABEL: "true"},
        taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
        scalingConfig={"minSize": minimum, "maxSize": maximum, "desiredSize": desired},
    )


def delete_node_group(endpoint: str, cluster: str, name: str) -> None:
    """Delete a node group; its nodes go with it."""
    eks(endpoint).delete_nodegroup(clusterName=cluster, nodegroupName=name)


def _role(name: str) -> str:
    return f"arn:aws:iam::{_ACCOUNT}:role/{name}"


def main() -> None:
    """Serve until SIGTERM."""
    from moto import server  # noqa: PLC0415 - half a second that those who import this module for a client need not wait

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it would log every request
    server.main(["--host", LOOPBACK, "--port", sys.argv[1]])


if __name__ == "__main__":
    main()
