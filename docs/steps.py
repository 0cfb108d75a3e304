"""Which line of the runbook's page is done where: read from the code of `workflows/`, without running it.

A step's key, for example `2.2/6`, stands where the step is done: as an argument of `step`, `attempt`, `keep`, `insist`,
`say` or of a helper that passes it on. So the code itself says which function and which activity implement a line.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEY = re.compile(r"[1-8]\.[1-9](/[\w-]+)*")
_PLATFORM = ("workflows.platform.runbook", "Runbook")
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEEPEST = 6
"""Calls into calls that are followed: nothing passes a key on through more than three."""


@dataclass(frozen=True, order=True)
class Activity:
    """An activity, as a workflow names it."""

    module: str
    name: str
    """`Records.acknowledge_alert`."""

    @property
    def file(self) -> str:
        """Its file, from the root of the checkout."""
        return f"{self.module.replace('.', '/')}.py"


@dataclass(frozen=True, order=True)
class Function:
    """A function or method of `workflows/`."""

    module: str
    name: str
    """`Incident.acknowledge`."""

    @property
    def file(self) -> str:
        """Its file, from the root of the checkout."""
        return f"{self.module.replace('.', '/')}.py"


Found = dict[Function, set[Activity]]
"""Where something is done, and by which activities; none where it is decided or said only."""


@dataclass(eq=False)
class Code:
    """One function of a module."""

    module: "Module"
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def function(self) -> Function:
        """Its name for readers."""
        return Function(self.module.name, self.name)

    @property
    def owner(self) -> str:
        """The class that it is a method of; empty for none."""
        return self.name.rpartition(".")[0]

    @cached_property
    def parameters(self) -> list[str]:
        """Its parameters' names, without `self`."""
        arguments = self.node.args
        return [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.arg != "self"]

    @cached_property
    def defaults(self) -> dict[str, ast.expr]:
        """What parameters are where a call doesn't say."""
        arguments = self.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        last = positional[len(positional) - len(arguments.defaults) :]
        found = {a.arg: d for a, d in zip(last, arguments.defaults, strict=True)}
        found |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
        return found

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call in it, in the order of the source."""
        found = [node for node in ast.walk(self.node) if isinstance(node, ast.Call)]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    def keys(self, expression: ast.expr) -> set[str]:
        """Give the keys that an argument may be: written here, or in a constant or variable that it names."""
        constants = _constants(expression)
        if isinstance(expression, ast.Name):
            values = [self.module.constants.get(expression.id), *self._assigned.get(expression.id, [])]
            constants |= {text for value in values if value is not None for text in _constants(value)}
        return {text for text in constants if KEY.fullmatch(text)}

    @cached_property
    def _assigned(self) -> dict[str, list[ast.expr]]:
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.node):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(node.value)
        return found

    def kept_as(self, parameter: str) -> set[str]:
        """Give the attributes of `self` that a parameter is kept as."""
        return {
            target.attr
            for node in ast.walk(self.node)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == parameter
            for target in node.targets
            if isinstance(target, ast.Attribute)
        }

    def activities(self, call: ast.Call) -> set[Activity]:
        """Give the activities that are arguments of a call."""
        found = set()
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
                module = self.module.imports.get(value.value.id, "")
                # A procedure that is started as a child stands where an activity would.
                if module.startswith("activities.") or (module.startswith("workflows.") and value.attr == "run"):
                    found.add(Activity(module, f"{value.value.id}.{value.attr}"))
        return found


@dataclass
class Module:
    """One module of `workflows/`."""

    name: str
    tree: ast.Module
    functions: list[Code] = field(default_factory=list)

    @cached_property
    def imports(self) -> dict[str, str]:
        """Which module a name comes from."""
        return {
            alias.asname or alias.name: node.module
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    @cached_property
    def rooms(self) -> set[str]:
        """The modules that it imports from, and those it imports whole."""
        return {name for alias, module in self.imports.items() for name in (module, f"{module}.{alias}")}

    def whole(self, function: ast.expr) -> str:
        """Give the module that a function is called of, where that is imported whole; empty for other objects."""
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            alias = function.value.id
            return f"{self.imports[alias]}.{alias}" if alias in self.imports else ""
        return ""

    @cached_property
    def classes(self) -> dict[str, list[ast.expr]]:
        """What each class of the module derives from."""
        return {node.name: node.bases for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @cached_property
    def fields(self) -> dict[str, list[ast.expr]]:
        """What each class of the module declares its attributes to be."""
        return {
            node.name: [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
            for node in self.tree.body
            if isinstance(node, ast.ClassDef)
        }

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """What names of the module are."""
        return {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }


class Workflows:
    """All of `workflows/`, and where the steps of the page are in it."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        self._methods: dict[tuple[str, str], list[Code]] = {}
        for file in sorted((root / "workflows").rglob("*.py")):
            name = ".".join(file.relative_to(root).with_suffix("").parts)
            module = Module(name, ast.parse(file.read_text(encoding="utf-8")))
            module.functions = [Code(module, *found) for found in _functions(module.tree.body)]
            self.modules[name] = module

    @cached_property
    def steps(self) -> dict[str, Found]:
        """Where each key is done."""
        found: dict[str, Found] = {}
        for module in self.modules.values():
            for code in module.functions:
                for key, activities in self._keys(code):
                    found.setdefault(key, {}).setdefault(code.function, set()).update(activities)
        return found

    def _keys(self, code: Code) -> Iterator[tuple[str, set[Activity]]]:
        for call in code.calls:
            yield from self._keyed(code, call)
        # What a helper is called with where its caller leaves it out.
        for name, default in code.defaults.items():
            for key in code.keys(default):
                yield key, self._passed(code, name)

    def _keyed(self, code: Code, call: ast.Call) -> Iterator[tuple[str, set[Activity]]]:
        targets = self.callees(code, call)
        bound = _bound(call, targets[0]) if targets else {}
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            for key in code.keys(value):
                name = next((name for name, argument in bound.items() if argument is value), "")
                passed = {a for target in targets for a in self._passed(target, name)} if name else set()
                yield key, code.activities(call) | passed

    def _passed(self, code: Code, parameter: str, depth: int = 0) -> set[Activity]:
        """Give the activities that get a parameter of a function as their key; of a constructor, in all its methods."""
        found: set[Activity] = set()
        if depth > _DEEPEST:
            return found
        whole = code.name.endswith(".__init__")
        names = {parameter, *code.kept_as(parameter)}
        for other in [c for c in code.module.functions if c.owner == code.owner] if whole else [code]:
            for call in other.calls:
                values = [*call.args, *(keyword.value for keyword in call.keywords)]
                passed = [value for value in values if any(_is(value, name, of_self=whole) for name in names)]
                if not passed:
                    continue
                found |= other.activities(call)
                for target in self.callees(other, call):
                    for name, argument in _bound(call, target).items():
                        if argument in passed:
                            found |= self._passed(target, name, depth + 1)
        return found

    def callees(self, code: Code, call: ast.Call) -> list[Code]:
        """Give the functions of `workflows/` that a call may mean: of this module, else of those it imports.

        The platform's own (`Runbook.step` and so on) are not among them.
        """
        called = _called(call)
        names = {called, f"{called}.__init__"}
        if isinstance(call.func, ast.Name):
            near = {code.module.name, code.module.imports.get(called, "")} & self.modules.keys()
            found = [c for room in sorted(near) for c in self.modules[room].functions if c.name in names]
            return found or [c for room in sorted(near) for c in self._inherited(room, called)]
        own = [c for c in self.methods(code.module.name, code.owner) if c.name.rpartition(".")[2] == called]
        if _is_self(call.func) and own:
            return own
        whole = self.modules.get(code.module.whole(call.func))
        if whole is not None:
            return [c for c in whole.functions if c.name in names]
        rooms = (self._near(code.module) - self._platform_rooms) | {code.module.name}
        there = [c for room in sorted(rooms) for c in self.modules[room].functions if c.owner and c not in own]
        return [c for c in there if c.name.rpartition(".")[2] == called]

    def methods(self, module: str, owner: str) -> list[Code]:
        """Give the methods of a class, and those of the classes it derives from that it doesn't have itself.

        The platform's own are not among them.
        """
        if (module, owner) not in self._methods:
            self._methods[module, owner] = self._find_methods(module, owner)
        return self._methods[module, owner]

    def _find_methods(self, module: str, owner: str) -> list[Code]:
        found = [c for c in self.modules[module].functions if owner and c.owner == owner]
        for where, name in self._bases(module, owner):
            if where not in self._platform_rooms:
                known = {c.name.rpartition(".")[2] for c in found}
                found += [c for c in self.methods(where, name) if c.name.rpartition(".")[2] not in known]
        return found

    @cached_property
    def platform(self) -> dict[str, Code]:
        """What every procedure derives: the methods of `Runbook` and of what it derives from itself, by name."""
        found: dict[str, Code] = {}
        todo = [_PLATFORM]
        while todo:
            module, owner = todo.pop(0)
            # The last of a name counts: the others are its overloads.
            own = {c.name.rpartition(".")[2]: c for c in self.modules[module].functions if c.owner == owner}
            found = own | found
            todo += self._bases(module, owner)
        return found

    @cached_property
    def _platform_rooms(self) -> set[str]:
        return {code.module.name for code in self.platform.values()}

    def _bases(self, module: str, owner: str) -> list[tuple[str, str]]:
        """Give the classes that a class of a module derives from, with their modules."""
        found = self.modules[module]
        names = [base.id for base in found.classes.get(owner, []) if isinstance(base, ast.Name)]
        return [
            (found.imports.get(name, module), name) for name in names if found.imports.get(name, module) in self.modules
        ]

    def _inherited(self, module: str, owner: str) -> list[Code]:
        """Give the constructor that a class has from the nearest class it derives from."""
        for where, name in self._bases(module, owner):
            own = [c for c in self.modules[where].functions if c.name == f"{name}.__init__"]
            if found := own or self._inherited(where, name):
                return found
        return []

    def _near(self, module: Module) -> set[str]:
        """Give the modules that a module imports, and those of what the imported classes derive from and consist of."""
        found = module.rooms & self.modules.keys()
        todo = [(where, name) for name, where in module.imports.items() if where in self.modules]
        seen = set(todo)
        while todo:
            one = todo.pop()
            more = [other for other in (*self._bases(*one), *self._consists_of(*one)) if other not in seen]
            found |= {where for where, _ in more}
            todo += more
            seen.update(more)
        return found

    def _consists_of(self, module: str, owner: str) -> list[tuple[str, str]]:
        """Give the classes that a class declares its attributes to be of, with their modules."""
        found = self.modules[module]
        fields = found.fields.get(owner, [])
        names = {node.id for field in fields for node in ast.walk(field) if isinstance(node, ast.Name)}
        return [(found.imports[name], name) for name in sorted(names) if found.imports.get(name) in self.modules]

    def of(self, dotted: str) -> Found:
        """Give a function by its dotted name, with every activity that it comes to; outside `workflows/` a module.

        Raises:
            KeyError: there is nothing of that name.

        """
        for name, module in self.modules.items():
            for code in module.functions:
                if f"{name}.{code.name}" == dotted:
                    return {code.function: self._all(code)}
        found = Function(dotted, "")
        if (self.root / found.file).is_file():
            return {found: set()}
        raise KeyError(f"{dotted}: there is no such function in workflows/, and no such module")

    def _all(self, code: Code, depth: int = 0) -> set[Activity]:
        found: set[Activity] = set()
        for call in code.calls:
            found |= code.activities(call)
            if depth < _DEEPEST:
                for target in self.callees(code, call):
                    if not target.name.endswith("__init__"):
                        found |= self._all(target, depth + 1)
        return found

    def item(self, item: str, within: str) -> Found:
        """Give what ticks an item of a checklist, with what is done before it in the same function."""
        found: Found = {}
        for name, module in self.modules.items():
            for code in module.functions if name.startswith(within) else []:
                ticks = [call for call in code.calls if _called(call).endswith("tick") and call.args]
                named = [call for call in ticks if _is_text(call.args[0], item)]
                if named:
                    found[code.function] = self._before(code, named[0])
                elif any(not isinstance(call.args[0], ast.Constant) for call in ticks) and any(
                    _is_text(node, item) for node in ast.walk(code.node)
                ):
                    found[code.function] = self._all(code)
        return found

    def _before(self, code: Code, last: ast.Call) -> set[Activity]:
        """Give the activities that stand between the last mention of something and the one before."""
        found: set[Activity] = set()
        ended = False
        for call in code.calls:
            if call is last:
                break
            done = {activity for key, activities in self._keyed(code, call) if key for activity in activities}
            if done:
                found, ended = (done if ended else found | done), False
            elif _called(call).endswith("tick"):
                ended = True
        return found


def _functions(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in body:
        if isinstance(node, _FUNCTION):
            yield f"{owner}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{owner}{node.name}.")


def _constants(node: ast.AST) -> set[str]:
    """Give the texts in an expression, but not those in calls within it: they belong to these."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.Call):
        return set()
    return {text for child in ast.iter_child_nodes(node) for text in _constants(child)}


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _called(call: ast.Call) -> str:
    """Give the last name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is(value: ast.expr, name: str, *, of_self: bool) -> bool:
    if of_self and isinstance(value, ast.Attribute):
        return value.attr == name and isinstance(value.value, ast.Name) and value.value.id == "self"
    return isinstance(value, ast.Name) and value.id == name


def _is_self(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "self"


def _bound(call: ast.Call, target: Code) -> dict[str, ast.expr]:
    found = dict(zip(target.parameters, call.args, strict=False))
    return found | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
