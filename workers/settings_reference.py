"""Every setting there is, read from the models: what it is, its default, and how it is said in TOML."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from workers.settings import Settings

_NAMED = {"services": "NAME", "databases": "NAME"}


@dataclass(frozen=True)
class Setting:
    """One value."""

    name: str
    kind: str
    default: str
    """As TOML; empty where there is none."""

    required: bool
    what: str


@dataclass(frozen=True)
class Table:
    """One table of the file."""

    name: str
    many: bool
    """Whether it is written once for each, as `[[…]]`."""

    what: str
    settings: tuple[Setting, ...]


def tables() -> Iterator[Table]:
    """Give every table, in the order of the file, what is in it before what is below it."""
    for name, field in Settings.model_fields.items():
        model, many = _model(field.annotation)
        if model is not None:
            yield from _of(
                model, f"{name}.{_NAMED[name]}" if name in _NAMED else name, many=many and name not in _NAMED
            )


def _of(model: type[BaseModel], name: str, *, many: bool) -> Iterator[Table]:
    plain: list[Setting] = []
    below: list[tuple[str, type[BaseModel], bool]] = []
    for key, field in model.model_fields.items():
        if name.count(".") == 1 and key == "name":
            continue  # it is the table's own name
        inner, listed = _model(field.annotation)
        if inner is not None:
            table = get_origin(field.annotation) is dict
            kinds = _kinds(field.annotation)
            below += [(f"{name}.{key}.{kind}", one, False) for kind, one in kinds.items()]
            if not kinds:
                below.append((f"{name}.{key}{'.NAME' if table else ''}", inner, listed and not table))
        else:
            plain.append(_setting(key, field))
    yield Table(name, many, " ".join((model.__doc__ or "").split()), tuple(plain))
    for key, inner, listed in below:
        yield from _of(inner, key, many=listed)


def _model(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """Give the model in an annotation, and whether there may be several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for one in get_args(annotation):
        found, _ = _model(one)
        if found is not None:
            return found, get_origin(annotation) in {tuple, list, dict}
    return None, False


def _kinds(annotation: object) -> dict[str, type[BaseModel]]:
    """Give the models that an annotation chooses from by `kind`, each by its kind."""
    found: dict[str, type[BaseModel]] = {}
    for one in get_args(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel) and "kind" in one.model_fields:
            said = get_args(one.model_fields["kind"].annotation)
            found |= {said[0]: one} if len(said) == 1 else {}
        else:
            found |= _kinds(one)
    return found


def _setting(name: str, field: FieldInfo) -> Setting:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    return Setting(name, _kind(field.annotation), _toml(default), required, " ".join((field.description or "").split()))


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "number",
    float: "number",
    str: "text",
    Path: "path",
    timedelta: "duration",
    time: "time of day",
    SecretStr: "secret",
}


def _kind(annotation: Any) -> str:  # noqa: PLR0911  a line a kind
    if annotation in _KINDS:
        return _KINDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(json.dumps(one) for one in arguments)
    if origin in {tuple, list}:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if origin is Union or type(None) in arguments:
        return " or ".join(dict.fromkeys(_kind(one) for one in arguments if one is not type(None)))
    if arguments:  # annotated
        return _kind(arguments[0])
    return "text"


def _toml(value: Any) -> str:
    """Write a default as TOML takes it; nothing for None and for secrets."""
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, timedelta | time):
        return json.dumps(TypeAdapter(type(value)).dump_python(value, mode="json"))
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(str(k))} = {_toml(v)}' for k, v in value.items())} }}" if value else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(str(value.value if isinstance(value, Enum) else value), ensure_ascii=False)


def reference() -> str:
    """Write all of it as one file in which everything is a comment: what one needs, one takes the `#` from."""
    lines = ["# Every setting there is, with its default. Made from the program: `runbooks config reference`."]
    for table in tables():
        head = f"[[{table.name}]]" if table.many else f"[{table.name}]"
        lines += ["", f"# {table.what}" if table.what else "#", f"# {head}"]
        for setting in table.settings:
            value = setting.default or ("…" if setting.kind == "number" else '"…"')
            told = "; ".join(filter(None, (setting.kind, "required" if setting.required else "", setting.what)))
            lines.append(f"# {setting.name} = {value}    # {told}")
    return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """Give the file's JSON schema, for editors: names, kinds and descriptions of everything."""
    made: dict[str, Any] = Settings.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "runbooks.toml"}
