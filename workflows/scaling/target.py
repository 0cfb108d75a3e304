"""How many replicas are wanted: what a person writes, pinned to an absolute number."""

import math
import re

from activities.common.errors import InvalidInput, Refused
from audit.text import counted, noun

PATTERN = r"^(\+\d{1,3}|[x×*]\d{1,2}(\.\d{1,2})?|\d{1,4})$"
"""`+2` adds, `×1.5` (or `x1.5`) multiplies, `8` is the number itself."""


def pinned(by: str, current: int, most: int) -> int:
    """Turn what is wanted into a number of replicas, more than there are.

    Raises:
        InvalidInput: it can't be read.
        Refused: it is no more than there are now, or more than settings allow.

    """
    if not re.fullmatch(PATTERN, by):
        raise InvalidInput("target: write +2 to add, ×1.5 to multiply, or the number of replicas")
    if by.startswith("+"):
        target = current + int(by)
    elif by[0].isdigit():
        target = int(by)
    else:
        target = math.ceil(current * float(by[1:]))
    if target <= current:
        there = f"the {current} there {noun(current, 'is', 'are')}"
        raise Refused(f"target: {counted(target, 'replica')} is no more than {there}: this procedure scales up")
    if target > most:
        raise Refused(
            f"target: {counted(target, 'replica')} is more than settings allow ({most}, scaling.max_replicas)"
        )
    return target
