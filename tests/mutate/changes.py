"""Changes made on purpose: what can be changed in a module, one thing at a time."""

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Change:
    """One change: where, and what becomes of what."""

    line: int
    before: str
    after: str
    source: str
    """The whole module, changed."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.before} → {self.after}"


def changes(source: str) -> list[Change]:
    """Give every change of a module, in its order; texts, annotations and docstrings stay as they are."""
    tree = ast.parse(source)
    found = []
    for number, node in enumerate(ast.walk(tree)):
        for change in _of(node):
            other = copy.deepcopy(tree)
            twin = next(one for place, one in enumerate(ast.walk(other)) if place == number)
            before = ast.unparse(twin)
            change(twin)
            placed = node.target if isinstance(node, ast.comprehension) else node
            found.append(
                Change(
                    getattr(placed, "lineno", 0),
                    _short(before),
                    _short(ast.unparse(twin)),
                    ast.unparse(ast.fix_missing_locations(other)),
                )
            )
    return sorted((one for one in found if one.before != one.after), key=lambda one: (one.line, one.before, one.after))


def sample(source: str, number: int, seed: int) -> list[Change]:
    """Give some of them, always the same ones for a seed."""
    every = changes(source)
    return sorted(random.Random(seed).sample(every, min(number, len(every))), key=lambda one: one.line)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:69]}…"


def _of(node: ast.AST) -> Iterator[Callable[..., None]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        yield lambda twin: twin.ops.__setitem__(0, _COMPARISONS[type(twin.ops[0])]())
    if isinstance(node, ast.BoolOp):
        yield lambda twin: setattr(twin, "op", ast.And() if isinstance(twin.op, ast.Or) else ast.Or())
    # `A | B` of types is no arithmetic.
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not isinstance(node.op, ast.BitOr):
        yield lambda twin: setattr(twin, "op", _OPERATORS[type(twin.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _not_any_more
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda twin: setattr(twin, "value", not twin.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield lambda twin: setattr(twin, "value", twin.value + 1)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _NAMES:
        yield lambda twin: setattr(twin.func, "id", _NAMES[twin.func.id])
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield lambda twin: setattr(twin, "value", ast.Constant(None))
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
        yield lambda twin: setattr(twin, "value", ast.Constant(None))
    if isinstance(node, ast.Raise):
        yield lambda twin: setattr(twin, "exc", ast.parse("LookupError('other')", mode="eval").body)
    if isinstance(node, ast.comprehension) and node.ifs:
        yield lambda twin: twin.ifs.pop()


def _not_any_more(node: ast.UnaryOp) -> None:
    node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
