"""What stands between clients and HTTP/3 is told, with what to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.doctor.checkup import Examined, Lacking
from proxy.doctor.finding import Finding, State
from proxy.doctor.http3 import HTTP3, Http3Sources, http3_findings
from proxy.quic.datagrams import RECEIVE_BYTES
from tests.configurations import Site, listener
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

REST = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "chat.test"\nupstream = "chat"\n'


def status(fault: str | None = None) -> Any:
    http3 = {"port": 443, "fault": fault, "connections": 0, "connections_open": 0}
    return {"listeners": [{"name": "public", "addresses": ["0.0.0.0:8443"], "http3": http3}]}


class Scene:
    """A configuration, the machine, and what answers by UDP."""

    def __init__(self, directory: Path, **settings: object) -> None:
        site = Site.make(directory)
        text = listener("public", **(settings or {"http3": True, "http3_port": 443}))
        self.examined: Examined = replace(NOTHING, configured=configured(site.write(text + site.identity + REST)))
        self.probed: list[tuple[tuple[str, int], str]] = []
        self.fault: str | None = None
        self.reason: str | None = None
        self.sysctl = directory / "sys"
        (self.sysctl / "net/core").mkdir(parents=True)
        self.buffer(7_500_000)

    def buffer(self, most: object) -> None:
        (self.sysctl / "net/core/rmem_max").write_text(f"{most}\n")

    def runs(self, fault: str | None = None) -> None:
        self.examined = replace(self.examined, running=answering(status(fault)))

    async def probe(self, address: tuple[str, int], name: str) -> str | None:
        self.probed.append((address, name))
        return self.fault

    def findings(self) -> dict[str, Finding]:
        around = Http3Sources(lambda: self.reason, self.probe, self.sysctl)
        return {one.subject: one for one in http3_findings(self.examined, around)}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


UDP = "public 127.0.0.1 UDP 8443"


def test_listener_that_answers_is_fine_and_has_a_record_to_publish(scene: Scene) -> None:
    scene.runs()
    found = scene.findings()
    assert {one.state for one in found.values()} == {State.OK}
    assert scene.probed == [(("127.0.0.1", 8443), "chat.test")]
    assert "UDP port 443" in found[UDP].found
    record = 'chat.test. 300 IN HTTPS 1 . alpn="h3,h2"; *.chat.test. 300 IN HTTPS 1 . alpn="h3,h2"'
    assert found["public DNS"].found.endswith(record)


def test_listener_that_does_not_answer_is_a_failure(scene: Scene) -> None:
    scene.runs("no answer")
    scene.fault = "no answer"
    found = scene.findings()[UDP]
    assert (found.state, found.found) == (State.FAILURE, "no answer")
    assert "UDP port 8443" in found.remedy


def test_answers_that_do_not_offer_it_yet_are_told(scene: Scene) -> None:
    scene.runs("no answer")
    assert scene.findings()[UDP].state is State.WARNING


def test_port_is_not_known_without_the_running_proxy(scene: Scene) -> None:
    assert scene.findings()["public"].state is State.SKIPPED
    assert scene.probed == []


def test_what_is_missing_is_told_first(scene: Scene) -> None:
    scene.reason = "libngtcp2.so.16 is not installed"
    assert states(scene.findings().values()) == [("libraries", "failure")]
    assert scene.findings()["libraries"].found == scene.reason


@pytest.mark.parametrize(
    ("most", "state"), [(212_992, State.WARNING), (RECEIVE_BYTES, State.OK), ("none", State.UNKNOWN)]
)
def test_buffer_of_the_kernel(scene: Scene, most: object, state: State) -> None:
    scene.buffer(most)
    found = scene.findings()["net.core.rmem_max"]
    assert found.state is state
    if state is State.WARNING:
        assert f"sysctl -w net.core.rmem_max={RECEIVE_BYTES}" in found.remedy


def test_many_names_are_counted(scene: Scene) -> None:
    scene.runs()
    (name, identity), *_ = scene.examined.loaded.config.identity.items()
    names = (*identity.names, *(f"{number}.test" for number in range(3)))
    config = scene.examined.loaded.config.model_copy(
        update={"identity": {name: identity.model_copy(update={"names": names})}}
    )
    scene.examined = replace(scene.examined, configured=replace(scene.examined.loaded, config=config))
    assert scene.findings()["public DNS"].found.endswith("(and 2 more names)")


def test_listener_without_names_has_no_record(scene: Scene) -> None:
    scene.runs()
    config = scene.examined.loaded.config.model_copy(update={"identity": {}})
    scene.examined = replace(scene.examined, configured=replace(scene.examined.loaded, config=config))
    assert scene.findings()["public DNS"].state is State.SKIPPED


def test_nothing_to_look_at(tmp_path: Path) -> None:
    scene = Scene(tmp_path, http3=False)
    (checkup,) = HTTP3
    assert list(checkup.look(scene.examined)) == []
    with pytest.raises(Lacking):
        list(checkup.look(NOTHING))
