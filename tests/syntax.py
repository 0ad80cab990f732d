"""The syntax of files of Python: each is parsed once in a process, and walked once. Some thirty tests look through all of them."""

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Of a file."""
    return ast.parse(path.read_bytes())


@cache
def nodes(of: ast.AST) -> tuple[ast.AST, ...]:
    """What `ast.walk` gives."""
    return tuple(ast.walk(of))
