"""Two Deployments whose pods are real processes of this test: they read three secrets at their start, as pods do.

A login of the database, a key that both sign with, and a token for somebody else's service. And a client that asks them
without pause, and counts what it is answered.
"""

import base64
import hashlib
import hmac
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
from psycopg import sql
from pydantic import SecretStr

from activities.catalogue.security import CredentialPolicy
from activities.database.servers.servers import Database, Databases, Server
from tests.activities.kubernetes.on_cluster import eventually

API, WORKER = "api", "worker"
LOGIN, SIGNING = "login", "signing"
_ENDS_AFTER = 15.0
"""Seconds for which a pod still answers after it left the endpoints, as a preStop hook gives: on a loaded machine a
request that was on its way takes some."""


@dataclass
class Roles:
    """Two roles with the same rights by a third, on a real server."""

    url: str
    group: str
    names: tuple[str, str]
    password: str = "first"

    @classmethod
    def create(cls, url: str) -> "Roles":
        mark = secrets.token_hex(4)
        roles = cls(url, f"app_{mark}", (f"app_{mark}_a", f"app_{mark}_b"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS things (id int)")
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(roles.group)))
            connection.execute(sql.SQL("GRANT SELECT ON things TO {}").format(sql.Identifier(roles.group)))
            for name in roles.names:
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
                connection.execute(
                    statement.format(sql.Identifier(name), sql.Literal(roles.password), sql.Identifier(roles.group))
                )
        return roles

    def drop(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(self.group)))
            for name in (*self.names, self.group):
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (name,))
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))

    def login(self, name: str, password: str | None = None) -> str:
        """Give the URL of a role."""
        _, _, behind = self.url.partition("@")
        return f"postgresql://{name}:{password or self.password}@{behind}"

    def databases(self) -> Databases:
        server = Server(name="primary", url=SecretStr(self.url))
        return Databases({"tensafe": Database(name="tensafe", servers={"primary": server})})


def keep(kube: httpx.Client, namespace: str, name: str, **data: str) -> None:
    """Make a Secret."""
    body = {"metadata": {"name": name}, "stringData": data}
    kube.post(f"/api/v1/namespaces/{namespace}/secrets", json=body).raise_for_status()


def kept(kube: httpx.Client, namespace: str, name: str) -> dict[str, str]:
    """Read a Secret."""
    data = kube.get(f"/api/v1/namespaces/{namespace}/secrets/{name}").raise_for_status().json().get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@dataclass
class Company:
    """Both Deployments, the secrets, and what asks for them."""

    kube: httpx.Client
    namespace: str
    roles: Roles
    aws: Any
    secret_id: str
    pods: dict[str, dict[str, "Pod"]] = field(default_factory=lambda: {API: {}, WORKER: {}})
    failures: list[str] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def policies(self) -> dict[str, CredentialPolicy]:
        both = (API, WORKER)
        return {
            "login": CredentialPolicy(
                kind="database-roles",
                secret=LOGIN,
                key="url",
                database="tensafe",
                roles=self.roles.names,
                deployments=both,
            ),
            "signing": CredentialPolicy(kind="secret", secret=SIGNING, key="now", overlap_key="also", deployments=both),
            "upstream": CredentialPolicy(kind="secrets-manager", secret=self.secret_id, deployments=both),
        }

    def create(self) -> None:
        keep(self.kube, self.namespace, LOGIN, url=self.roles.login(self.roles.names[0]))
        keep(self.kube, self.namespace, SIGNING, now="the first key")
        for name in (API, WORKER):
            deploy(self.kube, self.namespace, name)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Run the pods' processes and the client until the context ends."""
        threads = [threading.Thread(target=self._run_pods, daemon=True)]
        threads[0].start()
        eventually(lambda: all(len(self._ready(name)) == 2 for name in self.pods))
        threads += [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(2)]
        for thread in threads[1:]:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join()
            for pod in [pod for of in self.pods.values() for pod in of.values()]:
                pod.end()

    def _ready(self, name: str) -> list["Pod"]:
        return [pod for pod in list(self.pods[name].values()) if pod.ready]

    def _run_pods(self) -> None:
        while not self._end.wait(0.05):
            for name, of in self.pods.items():
                path = f"/api/v1/namespaces/{self.namespace}/pods"
                found = self.kube.get(path, params={"labelSelector": f"app={name}"}).raise_for_status().json()["items"]
                there = {each["metadata"]["name"]: each for each in found}
                for pod_name, raw in there.items():
                    if pod_name not in of:
                        of[pod_name] = Pod(self)
                    conditions = {c["type"]: c["status"] for c in raw.get("status", {}).get("conditions", ())}
                    leaves = "deletionTimestamp" in raw["metadata"]
                    of[pod_name].ready = conditions.get("Ready") == "True" and not leaves
                for pod_name in set(of) - set(there):
                    of[pod_name].ready = False
                for pod_name, pod in list(of.items()):
                    if not pod.ready and (pod_name not in there or "deletionTimestamp" in there[pod_name]["metadata"]):
                        pod.leave()

    def _ask(self, number: int) -> None:
        """Health of both, and something that one signs and the other must accept."""
        chance = random.Random(number)
        with httpx.Client(trust_env=False, timeout=20) as client:
            while not self._end.is_set():
                for name in self.pods:
                    self._get(client, "health", chance.choice(self._ready(name)), "/health")
                one, other = chance.sample([API, WORKER], 2)
                signed = self._get(client, "sign", chance.choice(self._ready(one)), "/sign")
                if signed:
                    self._get(client, "verify", chance.choice(self._ready(other)), f"/verify?{signed}")
                time.sleep(0.01)

    def _get(self, client: httpx.Client, kind: str, pod: "Pod", path: str) -> str:
        self.requests[kind] = self.requests.get(kind, 0) + 1
        try:
            answer = client.get(f"{pod.url}{path}")
        except httpx.HTTPError as error:
            self.failures.append(f"{kind}: {type(error).__name__}")
            return ""
        if answer.is_success:
            return answer.text
        self.failures.append(f"{kind}: {answer.text}")
        return ""

    def upstream_accepts(self, token: str) -> bool:
        """Somebody else's service: it takes what is current, and what was before."""
        for stage in ("AWSCURRENT", "AWSPREVIOUS"):
            try:
                if self.aws.get_secret_value(SecretId=self.secret_id, VersionStage=stage)["SecretString"] == token:
                    return True
            except self.aws.exceptions.ResourceNotFoundException:
                continue
        return False

    def token(self) -> str:
        # Which AWS gives by default; moto goes on giving the version that was made first.
        return str(self.aws.get_secret_value(SecretId=self.secret_id, VersionStage="AWSCURRENT")["SecretString"])


class Pod:
    """One process: what it read at its start is what it has."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.ready = False
        self._left = False
        login = kept(company.kube, company.namespace, LOGIN)
        signing = kept(company.kube, company.namespace, SIGNING)
        self.database, self.key, self.also = login["url"], signing["now"], signing.get("also", "")
        self.token = company.token()
        self._lock = threading.Lock()
        self._pooled = psycopg.connect(self.database, autocommit=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def leave(self) -> None:
        """Answer a little longer, then end."""
        if not self._left:
            self._left = True
            threading.Timer(_ENDS_AFTER, self.end).start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            self._pooled.close()

    def health(self) -> str:
        with self._lock:
            self._pooled.execute("SELECT count(*) FROM things")
        with psycopg.connect(self.database) as connection:
            connection.execute("SELECT count(*) FROM things")
        if not self.company.upstream_accepts(self.token):
            return "the upstream does not accept the token"
        return ""

    def sign(self) -> str:
        text = secrets.token_hex(4)
        return f"{text}.{_signed(self.key, text)}"

    def verify(self, token: str) -> bool:
        text, _, signature = token.partition(".")
        return signature in {_signed(key, text) for key in (self.key, self.also) if key}


def _signed(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _handler(pod: Pod) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, text = _answer(pod, self.path)
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _answer(pod: Pod, path: str) -> tuple[int, str]:
    if path == "/sign":
        return 200, pod.sign()
    if path.startswith("/verify?"):
        return (200, "ok") if pod.verify(path.partition("?")[2]) else (401, "the signature is not accepted")
    try:
        wrong = pod.health()
    except psycopg.Error as error:
        wrong = f"database: {type(error).__name__}"
    return (503, wrong) if wrong else (200, "ok")


def deploy(kube: httpx.Client, namespace: str, name: str, **spec: Any) -> None:
    """Make a Deployment of two pods."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "app", "image": f"registry.example/{name}:v1"}]},
    }
    body = {
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template, **spec},
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    kube.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"}).raise_for_status()


@contextmanager
def front(company: Callable[[], Company]) -> Iterator[str]:
    """The service's own health, as runs ask for it: that of any pod that is ready."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wrong = company()._ready(API)[0].health()
            self.send_response(503 if wrong else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/health"
    finally:
        server.shutdown()
        server.server_close()
