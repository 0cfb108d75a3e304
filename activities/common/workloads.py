"""The kinds of workloads that a service may consist of, as Kubernetes names them."""

from typing import Literal

WorkloadKind = Literal["Deployment", "StatefulSet", "CronJob"]
