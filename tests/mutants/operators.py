"""The mistakes: each is one small change in a module's syntax tree, as a tired person could have made it."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
TWINS = {"all": "any", "any": "all", "min": "max", "max": "min"}


@dataclass(frozen=True)
class Mutant:
    """One mistake: what it is called, which kind it is, and the module with it, as code and as text."""

    name: str
    kind: str
    code: CodeType
    text: str


@dataclass(frozen=True)
class Place:
    """A node that could be changed, where it hangs, and the function it stands in."""

    node: ast.AST
    parent: ast.AST
    field: str
    at: int | None
    function: str

    def put(self, node: ast.AST) -> None:
        """Another node instead."""
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node


def mutants_of(source: str, module: str, path: str) -> Iterator[Mutant]:
    """Every mistake in a module's source. Names say the function and the change, so they outlive changes elsewhere."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for place in list(places(tree)):
        for kind, new in changes(place.node):
            text = f"{module}.{place.function}: `{line_of(place.node)}` -> `{line_of(new)}`"
            seen[text] += 1
            name = text if seen[text] == 1 else f"{text} #{seen[text]}"
            place.put(ast.fix_missing_locations(ast.copy_location(new, place.node)))
            yield Mutant(name, kind, compile(tree, path, "exec"), ast.unparse(tree))
            place.put(place.node)


def line_of(node: ast.AST) -> str:
    """A piece of code on one line."""
    return " ".join(ast.unparse(node).split())


def places(node: ast.AST, function: str = "") -> Iterator[Place]:
    """Every node below one that could be changed, always in the same order."""
    for name, value in ast.iter_fields(node):
        several = isinstance(value, list)
        for at, child in enumerate(value if several else [value]):
            if isinstance(child, ast.AST) and not left_alone(node, name, child):
                yield Place(child, node, name, at if several else None, function or "module")
                is_scope = isinstance(child, ast.FunctionDef | ast.ClassDef)
                yield from places(child, f"{function}.{child.name}".lstrip(".") if is_scope else function)


def left_alone(parent: ast.AST, name: str, child: ast.AST) -> bool:
    """What says nothing or is said to people: types, docstrings, sentences, imports, how a dataclass is made, the start as a program."""
    if name in ("annotation", "returns") or isinstance(child, ast.Import | ast.ImportFrom):
        return True
    if isinstance(child, ast.Constant) and isinstance(parent, ast.JoinedStr | ast.Expr):
        return True
    if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "__all__":
        return True
    if isinstance(child, ast.Assign) and ast.unparse(child.value).startswith(("Literal[", "Callable[", "tuple[")):
        return True
    if name == "decorator_list" and ast.unparse(child).startswith("dataclass"):
        return True
    return isinstance(child, ast.If) and "__name__" in ast.unparse(child.test)


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What could be written wrongly at a node."""
    yield from changed_operators(node)
    yield from changed_conditions(node)
    yield from changed_values(node)
    yield from changed_statements(node)


def changed_operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Comparisons and their boundaries, and/or, arithmetic."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield "comparison", with_fields(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield "and/or", with_fields(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield "arithmetic", with_fields(node, op=ARITHMETIC[type(node.op)]())


def changed_conditions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """A condition the wrong way round, or a filter forgotten."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negation", copy.copy(node.operand)  # the tree itself stays as it is
    elif isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield "negation", with_fields(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield "negation", with_fields(node, ifs=[])


def changed_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Constants, codes, a name for its twin, an argument or an element left out. Strings with a space are sentences: left alone."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
        yield "code", ast.Constant(f"XX{node.value}")
    elif isinstance(node, ast.Name) and node.id in TWINS:
        yield "twin", ast.Name(TWINS[node.id], ast.Load())
    elif isinstance(node, ast.Call) and node.keywords and ast.unparse(node.func) != "rule":
        for at in range(len(node.keywords)):
            yield "argument left out", with_fields(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
    elif (
        isinstance(node, ast.Tuple | ast.List | ast.Set)
        and len(node.elts) > 1
        and isinstance(getattr(node, "ctx", None), ast.Load)
    ):
        for at in range(len(node.elts)):
            yield "element left out", with_fields(node, elts=[*node.elts[:at], *node.elts[at + 1 :]])


def changed_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """A statement forgotten, another answer given."""
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield "return", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Continue):
        yield "statement", ast.Break()
    elif isinstance(node, ast.Raise | ast.AugAssign) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)):
        yield "statement", ast.Pass()
    elif isinstance(node, ast.Assign) and ast.unparse(node.value) != "None" and not isinstance(node.targets[0], ast.Tuple):
        yield "statement", with_fields(node, value=ast.Constant(None))


def with_fields(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of a node with other parts."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new
