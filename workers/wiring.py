"""From settings to activities: builds the clients, picks the backends, injects them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import httpx
from botocore.config import Config
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from pydantic import SecretStr

from activities.catalogue import Catalogue
from activities.evidence import Evidence, EvidenceStore
from activities.health import HealthChecks
from activities.kubernetes import Kubernetes
from activities.metrics import PrometheusMetrics
from activities.paging import Pager, Paging
from activities.records import Records
from activities.slack import Chat, Slack
from activities.statuspage import StatusPage, StatusPages
from workers.settings import Settings, SettingsError
