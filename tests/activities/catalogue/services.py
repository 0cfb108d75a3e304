"""Services of a catalogue, as settings would have them."""

from typing import Any

from activities.catalogue.service import Service


def service(name: str = "api", **fields: Any) -> Service:
    values = {"namespace": "shop", "deployment": name, "selector": f"app={name}", "health_url": "http://x/health"}
    return Service.model_validate({**values, **fields})


def database(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "secret": "current", "servers": {"one": {"secret": "one"}}, **fields}
