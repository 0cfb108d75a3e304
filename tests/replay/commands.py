"""The commands that a procedure gives to Temporal, in the order of the code: read from the source, nothing runs.

Helpers are followed to where the command is, so that moving, renaming and splitting functions changes nothing here.
What stands behind `workflow.patched("…")` is kept apart: it is no change for runs that began before it.
"""

import ast
from collections.abc import Iterator
from functools import cached_property

from docs.steps import Code, Workflows
from workers.registry import PROCEDURES, SYSTEM
from workflows.platform.reporting import WRITTEN

_STEPS = {"step", "attempt", "keep", "insist"}
_TEMPORAL = {
    "execute_activity": "activity",
    "execute_activity_method": "activity",
    "execute_local_activity_method": "local activity",
    "start_child_workflow": "child",
    "execute_child_workflow": "child",
    "continue_as_new": "continue as new",
    "upsert_memo": "memo",
    "upsert_search_attributes": "search attributes",
    "sleep": "timer",
}
_BASE = "Runbook."
_HANDLERS = ("update", "signal")
_WAITS = {"wait_condition", "wait_for"}

Commands = list[str]


class Reader:
    """Reads the commands of every procedure."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows
        self._platform = workflows.platform
        self._known: dict[tuple[str, str], Commands] = {}
        self._open: set[tuple[str, str]] = set()
        self._patches: dict[str, dict[str, str]] = {}

    def all(self) -> dict[str, Commands]:
        """Give each procedure's `run` and handlers, then what the platform does for all of them, by name."""
        found: dict[str, Commands] = {}
        for name in [entry.module for entry in PROCEDURES] + [entry.module for entry in SYSTEM]:
            module = f"workflows.{name}"
            for run in self._workflows.modules[module].functions:
                if run.name.endswith(".run"):
                    for code in self._workflows.methods(module, run.owner):
                        handled = _handled(code)
                        if handled or code is run:
                            found[f"{run.owner}.{handled or 'run'}"] = self._of(code)
        found |= {f"{_BASE}{name}": self._of(code) for name, code in self._platform.items() if not name.startswith("_")}
        return {name: commands for name, commands in found.items() if commands}

    def _of(self, code: Code) -> Commands:
        key = code.module.name, code.name
        if key in self._open:
            return []  # it calls itself: its commands stand where it was called first
        if key not in self._known:
            self._open.add(key)
            self._known[key] = [command for node in code.node.body for command in self._read(code, node)]
            self._open.discard(key)
        return self._known[key]

    def _read(self, code: Code, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and (patch := _patch(node.test, self._kept(code))):
            yield from self._read(code, node.test)
            yield f"patched {patch} {{"
            for statement in node.body:
                yield from self._read(code, statement)
            yield "}"
            for statement in node.orelse:
                yield from self._read(code, statement)
            return
        for child in ast.iter_child_nodes(node):
            yield from self._read(code, child)
        if isinstance(node, ast.Call):
            yield from self._called(code, node)
            if _TEMPORAL.get(_name(node)) != "child":  # it has a history of its own
                yield from self._handed(code, node)

    def _handed(self, code: Code, call: ast.Call) -> Iterator[str]:
        """Give what functions do that a call hands over: they are called in the end."""
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(value, ast.Attribute | ast.Name):
                for target in self._targets(code, ast.Call(func=value, args=[], keywords=[])):
                    yield from self._of(target)

    def _called(self, code: Code, call: ast.Call) -> Iterator[str]:
        name = _name(call)
        receiver = _receiver(call)
        if name in _STEPS:
            yield f"{name} {_activities(code, call)}"
        elif receiver in {"workflow", "asyncio"}:
            if name in _TEMPORAL:
                yield f"{_TEMPORAL[name]} {_activities(code, call)}".rstrip(" …")
            elif name in _WAITS and any(keyword.arg == "timeout" for keyword in call.keywords):
                yield "timer"
        elif name == "say":
            kind = call.args[0] if call.args else None
            if not isinstance(kind, ast.Constant) or kind.value in WRITTEN:
                yield "memo"
        elif name == "signal":
            yield "signal"
        elif name in self._platform and _is_run(receiver) and not self._own(code, name):
            commands = self._of(self._platform[name])
            if code in self._platform.values():
                yield from commands
            elif commands:
                yield name
        else:
            for target in self._targets(code, call):
                yield from self._of(target)

    def _kept(self, code: Code) -> dict[str, str]:
        """Give the attributes and variables of a module that keep whether a patch is in, with the patch's ID.

        What an object is made with, or is set on it by another, holds in every module: `happened.today`.
        """
        module = code.module
        if module.name not in self._patches:
            found: dict[str, str] = {}
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Assign) and (patch := _patch(node.value, {})):
                    found |= {ast.unparse(target): patch for target in node.targets}
            self._patches[module.name] = found
        return self._held_by_others | self._patches[module.name]

    @cached_property
    def _held_by_others(self) -> dict[str, str]:
        """Give what says in other objects whether a patch is in: they are made with it, or it is set on them."""
        found: dict[str, str] = {}
        for module in self._workflows.modules.values():
            for node in ast.walk(module.tree):
                patch = _patch(node.value, {}) if isinstance(node, ast.keyword | ast.Assign) else ""
                if patch and isinstance(node, ast.keyword):
                    found[f".{node.arg}"] = patch
                elif patch and isinstance(node, ast.Assign):
                    others = [one for one in node.targets if isinstance(one, ast.Attribute) and _of_another(one)]
                    found |= {f".{one.attr}": patch for one in others}
        return found

    def _own(self, code: Code, name: str) -> bool:
        own = self._workflows.methods(code.module.name, code.owner)
        return any(other.name.rpartition(".")[2] == name for other in own)

    def _targets(self, code: Code, call: ast.Call) -> list[Code]:
        return [target for target in self._workflows.callees(code, call) if target.node is not code.node]


def _patch(test: ast.expr, kept: dict[str, str]) -> str:
    """Give the ID of the patch that a condition asks for; empty where it asks for none, or for its absence."""
    if isinstance(test, ast.Name | ast.Attribute):
        by_others = f".{test.attr}" if isinstance(test, ast.Attribute) else ""
        return kept.get(ast.unparse(test)) or kept.get(by_others, "")
    if isinstance(test, ast.Call) and _name(test) == "patched":
        argument = test.args[0]
        return str(argument.value) if isinstance(argument, ast.Constant) else ""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return next((found for value in test.values if (found := _patch(value, kept))), "")
    return ""


def _of_another(attribute: ast.Attribute) -> bool:
    return not (isinstance(attribute.value, ast.Name) and attribute.value.id == "self")


def _handled(code: Code) -> str:
    """Give the name of the update or signal that a method takes; empty for other methods."""
    for decorator in code.node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(function, ast.Attribute) and function.attr in _HANDLERS:
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            names = [k.value.value for k in keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
            return str(names[0]) if names else code.node.name
    return ""


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _receiver(call: ast.Call) -> str:
    return ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _is_run(receiver: str) -> bool:
    return receiver in {"self", "run", "super()"} or receiver.endswith(".run")


def _activities(code: Code, call: ast.Call) -> str:
    return ", ".join(sorted(activity.name for activity in code.activities(call))) or "…"


def without_new_patches(known: Commands, now: Commands) -> Commands:
    """Leave out what stands behind a patch that wasn't known: runs from before don't go there."""
    old = {command for command in known if command.startswith("patched ")}
    kept: Commands = []
    depth = 0
    for command in now:
        if command.startswith("patched ") and (depth or command not in old):
            depth += 1
        elif command == "}" and depth:
            depth -= 1
        elif not depth:
            kept.append(command)
    return kept
