"""What the interpreter is, and whether the hot path is compiled for it."""

from dataclasses import replace

import pytest

from proxy.doctor.finding import Finding
from proxy.doctor.machine.interpreter import INTERPRETER, Installation, _is_editable, installation, interpreter_findings
from proxy.processes.hot_path import hot_path
from proxy.tls.openssl.driver import driver_name
from tests.proxy.doctor.checkups import NOTHING, states

GOOD = Installation(
    python=(3, 13, 5),
    implementation="CPython",
    executable="/opt/plexigate/bin/python",
    prefix="/opt/plexigate",
    version="1.2",
    place="/opt/plexigate/lib",
    is_editable=False,
    hot_path="compiled",
    tls_driver="native",
    tag="cpython-313",
    compiled_for=("cpython-313",),
    is_pure_by_wish=False,
)


def found(installed: Installation) -> list[Finding]:
    return list(interpreter_findings(installed))


def test_good_installation() -> None:
    findings = found(GOOD)
    assert states(findings) == [("Python", "ok"), ("Plexigate", "ok"), ("hot path", "ok"), ("TLS driver", "ok")]
    assert findings[0].found == "CPython 3.13.5, /opt/plexigate/bin/python, virtual environment /opt/plexigate"
    assert "from a wheel" in findings[1].found


@pytest.mark.parametrize("change", [{"python": (3, 10, 1)}, {"python": (3, 15, 0)}, {"implementation": "PyPy"}])
def test_python_that_cannot_run_it(change: dict[str, object]) -> None:
    assert states(found(replace(GOOD, **change)))[0] == ("Python", "failure")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"compiled_for": ("cpython-311",)}, "it was compiled for cpython-311, and this Python is cpython-313"),
        ({"compiled_for": ()}, "several times as much"),
        ({"is_pure_by_wish": True}, "PLEXIGATE_PURE is set"),
    ],
)
def test_interpreted_hot_path_is_a_warning_with_its_reason(change: dict[str, object], text: str) -> None:
    last = found(replace(GOOD, hot_path="interpreted", prefix=None, **change))[-1]  # type: ignore[arg-type]
    assert (last.subject, last.state) == ("hot path", "warning")
    assert text in last.found


def test_compiled_hot_path_without_the_native_driver_of_tls_is_a_warning() -> None:
    last = found(replace(GOOD, tls_driver="ssl"))[-1]
    assert (last.subject, last.state) == ("TLS driver", "warning")
    assert "standard library" in last.found


def test_this_installation() -> None:
    here = installation()
    assert here.tls_driver == driver_name()
    assert here.hot_path == hot_path()
    assert here.tag.startswith("cpython-3")
    (checkup,) = INTERPRETER
    assert ("Python", "ok") in states(checkup.look(NOTHING))


def test_link_to_sources_is_told_from_a_wheel() -> None:
    assert _is_editable('{"dir_info": {"editable": true}, "url": "file:///x"}')
    assert not _is_editable('{"archive_info": {}, "url": "file:///x.whl"}')
    assert not _is_editable(None)
