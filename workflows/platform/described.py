"""What the Temporal UI says of an update: what it does, and an example to paste and change."""

import json
from typing import Any

from workflows.platform.signing import SignedWord

EXAMPLE = " Example: "
"""What stands between the two."""


def described(what: str, word: type[SignedWord], role: str, **fields: Any) -> str:
    """Describe the update that takes a word; `role` is one that may say it."""
    example = {"who": "ada@example.org", "role": role, **fields}
    unknown = example.keys() - word.model_fields
    assert not unknown, unknown
    return f"{what}{EXAMPLE}{json.dumps(example, ensure_ascii=False)}"
