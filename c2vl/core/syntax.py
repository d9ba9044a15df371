"""Python code as syntax trees: comments, docstrings and formatting are not in them."""

from __future__ import annotations

import ast

UNSAID = ("ctx", "kind", "type_comment", "type_ignores")  # fields that follow from the rest


def parsed(source: str) -> ast.Module:
    """The tree of `source` without docstrings (any string that stands alone is one).

    Raises:
        SyntaxError: this is not Python.
    """
    tree: ast.Module = _WithoutDocstrings().visit(ast.parse(source))
    return tree


def dump(node: object) -> str:
    r"""A tree as text, the same in every version of Python (`ast.dump` is not).

    Examples:
        >>> dump(parsed("x = 1  # one")) == dump(parsed('''"A docstring."\nx = (1)'''))
        True
    """
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={dump(value)}"
            for name, value in ast.iter_fields(node)
            if name not in UNSAID and value is not None and value != []
        ]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(dump, node))}]"
    return repr(node)


def same_code(one: str, other: str) -> bool:
    """Whether two sources differ in comments, docstrings and formatting at most."""
    try:
        return dump(parsed(one)) == dump(parsed(other))
    except SyntaxError:
        return False


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else self.generic_visit(node)
