"""The connection to Temporal that workers and starters share."""

from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from workers.codec import codec
from workers.converter import data_converter
from workers.settings import TemporalSettings
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES


async def connect(
    settings: TemporalSettings,
    *,
    interceptors: list[Interceptor] | None = None,
    runtime: Runtime | None = None,
    lazy: bool = False,
    compression: GrpcCompression = GrpcCompression.GZIP,
) -> Client:
    """Connect with our settings; what Temporal's own `TEMPORAL_*` environment says (TLS, API key, profile) wins.

    Raises:
        RuntimeError: the server does not answer (unless `lazy`).

    """
    options: dict[str, Any] = {"target_host": settings.address, "namespace": settings.namespace}
    options |= ClientConfig.load_client_connect_config()
    return await Client.connect(
        **options,
        data_converter=data_converter(codec(settings.payload_keys)),
        interceptors=interceptors or [],
        runtime=runtime,
        lazy=lazy,
        grpc_compression=compression,
    )


async def register_search_attributes(client: Client) -> list[str]:
    """Register what is missing of `workflows.platform.search_attributes`, and name it.

    A run that sets an attribute the namespace doesn't know is stuck, so workers do this before they poll. Namespaces
    that don't let a worker do it (Temporal Cloud) have them registered by hand.

    Raises:
        temporalio.service.RPCError: the namespace's attributes can be neither read nor added.

    """
    namespace = client.namespace
    present = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = {
        key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        for key in SEARCH_ATTRIBUTES
        if key.name not in present.custom_attributes
    }
    if missing:
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace, search_attributes=missing)
            )
        except RPCError as error:
            # Another worker was quicker.
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise
    return sorted(missing)
