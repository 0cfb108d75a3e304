"""Helm's post-renderer: keeps replicas that somebody has raised beyond the release (helm.sh/docs/topics/advanced).

Helm runs it with the rendered manifests on its standard input, and applies what it prints. Arguments: NAME=REPLICAS for
each Deployment whose replicas are to be no fewer. Only their number is touched: all else stays as the chart wrote it.
Where the chart has no such line any more it gets one: Helm would take the field away, and Kubernetes' default is 1.
"""

import re
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

from libraries import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCUMENTS = re.compile(r"^---[^\n]*\n", re.MULTILINE)


def kept(manifests: str, replicas: dict[str, int]) -> str:
    """Give the manifests with at least so many replicas.

    Raises:
        yaml.YAMLError: they are none.

    """
    places = [0, *(found.end() for found in _DOCUMENTS.finditer(manifests)), len(manifests)]
    return "".join(_document(manifests[start:end], replicas) for start, end in pairwise(places))


def _document(document: str, replicas: dict[str, int]) -> str:
    if "Deployment" not in document or not any(name in document for name in replicas):
        return document  # charts may have megabytes of other kinds
    nodes = (one for node in yaml.compose_all(document, Loader=yaml.SafeLoader) for one in _objects(node))
    # From behind, so that the places of those before stay; what an alias names twice is changed once.
    for start, end, text in sorted({_edit(node, replicas) for node in nodes}, reverse=True):
        document = document[:start] + text + document[end:]
    return document


def _objects(node: "yaml.Node") -> "Iterator[yaml.Node]":
    """Give the objects of a document: what has `items` is a list of them, as kubectl and Helm read it."""
    items = _fields(node).get("items")
    if not isinstance(items, yaml.SequenceNode):
        yield node
        return
    for item in items.value:
        yield from _objects(item)


def _edit(node: "yaml.Node", replicas: dict[str, int]) -> tuple[int, int, str]:
    """Say what is to stand where in an object's text; nothing at its beginning where it may stay as it is."""
    fields = _fields(node)
    kind, name, spec = fields.get("kind"), _fields(fields.get("metadata")).get("name"), fields.get("spec")
    unchanged = (0, 0, "")
    if kind is None or kind.value != "Deployment" or name is None or name.value not in replicas:
        return unchanged
    if not isinstance(spec, yaml.MappingNode) or not spec.value:
        return unchanged
    least, said = replicas[name.value], _fields(spec).get("replicas")
    if said is None:
        first = spec.value[0][0].start_mark
        between = ", " if spec.flow_style else "\n" + " " * first.column
        return first.index, first.index, f"replicas: {least}{between}"
    try:
        if float(said.value) >= least:
            return unchanged
    except ValueError:  # it is null
        pass
    end = said.end_mark.index
    start = end - len(said.value)  # behind an anchor
    return start, end, f"{'' if said.value else ' '}{least}"


def _fields(node: "yaml.Node | None") -> "dict[str, yaml.Node]":
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def main(arguments: list[str]) -> None:
    """Filter."""
    pairs = (argument.partition("=") for argument in arguments)
    sys.stdout.write(kept(sys.stdin.read(), {name: int(number) for name, _, number in pairs}))


if __name__ == "__main__":
    main(sys.argv[1:])
