"""Helm's post-renderer: keeps replicas that somebody has raised beyond the release (helm.sh/docs/topics/advanced).

Helm runs it with the rendered manifests on its standard input, and applies what it prints. Arguments: NAME=REPLICAS for
each Deployment whose replicas are to be no fewer. Only their line is touched: all else stays as the chart wrote it.
Where the chart has no such line any more it gets one: Helm would take the field away, and Kubernetes' default is 1.
"""

import re
import sys
from itertools import pairwise

_DOCUMENTS = re.compile(r"^---[^\n]*\n", re.MULTILINE)
_DEPLOYMENT = re.compile(r"^kind:\s*[\"']?Deployment[\"']?\s*$", re.MULTILINE)
_NAME = re.compile(r"^metadata:[ ]*\n(?:[ ]{2,}.*\n|[ ]*\n)*?[ ]{2}name:\s*[\"']?(?P<name>[a-z0-9.-]+)", re.MULTILINE)
_REPLICAS = re.compile(r"(?<=\n)(?P<before>[ ]{2}replicas:[ ]*)(?P<number>\d+)(?=\s*(?:#.*)?\n)")
_SPEC = re.compile(r"^spec:[ ]*\n(?=[ ]{2}\S)", re.MULTILINE)


def kept(manifests: str, replicas: dict[str, int]) -> str:
    """Give the manifests with at least so many replicas."""
    places = [0, *(found.end() for found in _DOCUMENTS.finditer(manifests)), len(manifests)]
    documents = [manifests[start:end] for start, end in pairwise(places)]
    return "".join(_document(document, replicas) for document in documents)


def _document(document: str, replicas: dict[str, int]) -> str:
    named = _NAME.search(document)
    if not _DEPLOYMENT.search(document) or named is None or named["name"] not in replicas:
        return document
    least = replicas[named["name"]]
    if not _REPLICAS.search(document):
        return _SPEC.sub(lambda found: f"{found[0]}  replicas: {least}\n", document, count=1)
    return _REPLICAS.sub(lambda found: f"{found['before']}{max(least, int(found['number']))}", document, count=1)


def main(arguments: list[str]) -> None:
    """Filter."""
    pairs = (argument.partition("=") for argument in arguments)
    sys.stdout.write(kept(sys.stdin.read(), {name: int(number) for name, _, number in pairs}))


if __name__ == "__main__":
    main(sys.argv[1:])
