# One image for the workers, the webhook, the pages, Slack, the records' migration and the `runbooks` command.
#
# Base images are pinned by version; whoever builds from a mirror adds `@sha256:…` with the digest of the mirror.
# Nothing but the classic Dockerfile syntax: BuildKit, Podman, Buildah and Kaniko all build it.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11.16-slim-trixie AS build
COPY --from=uv /uv /usr/local/bin/uv
# The interpreter of the base image and no other; bytecode now, since the container's file system is read-only.
ENV UV_PYTHON=/usr/local/bin/python \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /app
# The dependencies by themselves: a layer that only another lock file makes anew. Wheels only, as locked: nothing is
# compiled, and nothing but what the lock file's hashes name is run.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-default-groups --no-install-project --no-build
COPY activities activities
COPY audit audit
COPY records_schema records_schema
COPY libraries libraries
COPY sandbox sandbox
COPY starters starters
COPY workers workers
COPY workflows workflows
RUN uv sync --frozen --no-dev --no-default-groups --no-editable

# Helm as sandbox/toolchain/helm pins it; its go.sum vouches for every source.
FROM golang:1.26.8-trixie AS helm
WORKDIR /src
COPY sandbox/toolchain/helm ./
RUN CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags "-s -w \
    -X helm.sh/helm/v3/internal/version.version=$(go list -m -f '{{.Version}}' helm.sh/helm/v3)" \
    helm.sh/helm/v3/cmd/helm

FROM python:3.11.16-slim-trixie
ARG VERSION=latest
LABEL org.opencontainers.image.title="durable-runbooks" \
      org.opencontainers.image.description="The operations runbook as durable Temporal workflows" \
      org.opencontainers.image.version="${VERSION}"
# A number, so that Kubernetes' runAsNonRoot can see that it is not root; a name, so that programs can look it up.
# The folders are made here, since a named volume takes over the owner of what it covers.
RUN groupadd --gid 10001 runbooks \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/runbooks --no-create-home --shell /usr/sbin/nologin runbooks \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/runbooks /var/lib/runbooks/evidence
# At the same path as it was built: the programs of a virtual environment name their interpreter by it.
COPY --from=build /app/.venv /app/.venv
COPY --from=helm /out/helm /usr/local/bin/helm
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/runbooks
USER 10001:10001
CMD ["python", "-m", "workers"]
