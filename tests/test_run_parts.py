"""What runs where, so that nothing is left out."""

from pathlib import Path

import pytest

from hatch_build import compiled_modules
from tests import house
from tests.run_parts import ROOT, Part, is_at_length, is_for_compiled_code

FILES = sorted((ROOT / "tests").rglob("test_*.py"))
PURE = {ROOT / f"tests/{module.replace('.', '/')}.py" for module in house.pure_modules()}


def test_each_file_is_in_a_part() -> None:
    assert len(FILES) > 900
    assert [path for path in FILES if not any(part.has(path) for part in Part)] == []


def test_part_with_the_gate_has_the_tests_of_each_pure_module() -> None:
    chosen = {path.with_name(path.name.removeprefix("test_")) for path in FILES if Part.PURE.has(path)}
    assert len(PURE) > 300
    assert PURE - chosen == set()
    assert ROOT / "tests/proxy/supervisor/supervisor.py" not in chosen


def test_all_that_tests_compiled_code_is_in_the_other_part() -> None:
    compiled = [ROOT / "tests" / Path(path).with_name(f"test_{Path(path).name}") for path in compiled_modules()]
    assert len(compiled) > 200
    assert [path for path in compiled if not Part.OTHERS.has(path)] == []
    assert Part.OTHERS.has(ROOT / "tests" / "integration" / "test_reload.py")


@pytest.mark.at_length
def test_many_examples_are_for_the_part_with_compiled_code_if_that_has_the_file(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    item: pytest.Item = request.node
    assert is_at_length(item)
    monkeypatch.setattr(item, "path", ROOT / "tests/proxy/http2/hpack/test_decoder.py")
    assert is_for_compiled_code(item)
    monkeypatch.setattr(item, "path", ROOT / "tests/certs/rotation/test_planning.py")
    assert not is_for_compiled_code(item), "or nothing would run it"


def test_a_plain_test_is_for_both_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    item: pytest.Item = request.node
    monkeypatch.setattr(item, "path", ROOT / "tests/proxy/http2/hpack/test_decoder.py")
    assert not is_at_length(item)
    assert not is_for_compiled_code(item)
