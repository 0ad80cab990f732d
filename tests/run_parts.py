"""Which files of tests `./dev test` runs on the sources, and which with the compiled code: none of them twice for nothing.

Those of pure modules, and some beside them, run on the sources, where each branch that they take is seen. All others run with the
compiled code; so do, once more, those of rooms that are compiled. What tries many examples of these runs with the compiled code alone.
"""

import enum
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import is_hypothesis_test

from hatch_build import compiled_modules

ROOT: Final = Path(__file__).parents[1]
_BESIDE: Final = ("config", "proxy/downstream", "proxy/observe/logs")
"""Where tests of other modules take branches of the pure ones."""


class Part(enum.Enum):
    """A part of the tests."""

    PURE = "pure"
    OTHERS = "others"

    def has(self, path: Path) -> bool:
        """Whether this file of tests is in it."""
        module = _mirrored(path)
        is_measured = str(module) in _pure() or any(module.is_relative_to(room) for room in _BESIDE)
        return is_measured if self is Part.PURE else not is_measured or module.parent in _compiled_rooms()


def is_at_length(test: pytest.Item) -> bool:
    """Whether it tries many examples of one thing, of which smaller tests take each branch."""
    return test.get_closest_marker("at_length") is not None


def is_for_compiled_code(test: pytest.Item) -> bool:
    """Whether compiled code tries as many examples, in a third of the time."""
    return Part.OTHERS.has(test.path) and (is_at_length(test) or is_hypothesis_test(getattr(test, "obj", None)))


def _mirrored(path: Path) -> Path:
    """The module whose tests these are; there need not be one."""
    return path.relative_to(ROOT / "tests").with_name(path.name.removeprefix("test_"))


@cache
def _pure() -> frozenset[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return frozenset(document["tool"]["coverage"]["run"]["include"])


@cache
def _compiled_rooms() -> frozenset[Path]:
    return frozenset(Path(module).parent for module in compiled_modules())
