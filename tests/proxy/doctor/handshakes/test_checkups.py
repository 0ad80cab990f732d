"""The check of the doctor as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.checkup import Lacking
from proxy.doctor.finding import Area, Finding, Judge, State
from proxy.doctor.handshakes.checkups import HANDSHAKES, condensed
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.visits import Entrance
from tests.certificates import Authority, CertificateFiles
from tests.proxy.doctor.checkups import NOTHING, answering, configured
from tests.proxy.doctor.handshakes.tls_servers import context, tls_server, unused_door

(CHECKUP,) = HANDSHAKES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return Authority(tmp_path_factory.mktemp("checkups")).issue("chat", ("chat.test",))


def looked(
    directory: Path, door: Entrance, *, rest: str = "", listener: str = "", is_running: bool = False
) -> Sequence[Finding]:
    file = directory / "plexigate.toml"
    file.write_text(
        f'[listener.public]\nbind = "{door}"\n{listener}\n'
        f'[identity.chat]\nnames = ["chat.test"]\ncertificate = "c.pem"\nkey = "k.pem"\n{rest}'
    )
    status = {"listeners": [{"name": "public", "addresses": [str(door)]}], "certificates": []}
    running = answering(status) if is_running else None
    return list(CHECKUP.look(replace(NOTHING, file=file, configured=configured(file), running=running)))


def states(findings: Sequence[Finding]) -> dict[str, State]:
    return {one.check: one.state for one in findings}


ROUTE = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "chat.test"\nupstream = "chat"\n'


def test_it_measures_time_and_needs_a_configuration() -> None:
    assert CHECKUP.is_alone
    with pytest.raises(Lacking):
        list(CHECKUP.look(NOTHING))
    assert CHECKUP.area is Area.HANDSHAKES


def test_nothing_runs_and_nothing_listens(tmp_path: Path) -> None:
    (found,) = looked(tmp_path, unused_door(), rest=ROUTE)
    assert (found.subject, found.state) == ("public", State.SKIPPED)
    assert found.found == "no proxy runs, and nothing listens there"


def test_running_proxy_whose_address_is_dead(tmp_path: Path) -> None:
    found = states(looked(tmp_path, unused_door(), rest=ROUTE, is_running=True))
    assert found.pop("hybrid key share") is State.FAILURE
    assert set(found.values()) == {State.SKIPPED}, "no name and no request is tried there"


def test_another_program_at_the_address(tmp_path: Path, files: CertificateFiles) -> None:
    with tls_server(context(files, "X25519")) as door:
        found = states(looked(tmp_path, door, rest=ROUTE))
    assert found["hybrid key share"] is State.FAILURE
    assert found["classical client"] is State.OK


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("", "no name has a route"),
        (ROUTE + 'auth = {upstream = "chat"}\n', "no name has a route"),
        (ROUTE + 'allow = ["10.0.0.0/8"]\n', "no name has a route"),
        (
            ROUTE + '[identity.chat.client_certificates]\nca = "ca.pem"\n',
            "no name has a route",
        ),
    ],
)
def test_requests_need_a_route_that_takes_anyone(
    tmp_path: Path, files: CertificateFiles, rest: str, words: str
) -> None:
    with tls_server(context(files)) as door:
        requests = [one for one in looked(tmp_path, door, rest=rest) if one.check == "request"]
    assert [(one.state, words in one.found) for one in requests] == [(State.SKIPPED, True)]


def test_listener_that_relays_is_asked_nothing(tmp_path: Path, files: CertificateFiles) -> None:
    rest = '[upstream.irc]\nservers = ["tcp://127.0.0.1:1"]\n'
    with tls_server(context(files)) as door:
        found = looked(tmp_path, door, rest=rest, listener='protocol = "tcp"\nupstream = "irc"')
    assert [one.state for one in found if one.check == "request"] == [State.SKIPPED]


def test_health_path_is_asked_for(tmp_path: Path, files: CertificateFiles) -> None:
    asked: list[bytes] = []
    rest = ROUTE.replace("[[route]]", '[upstream.chat.health]\npath = "/alive"\n[[route]]')
    made = context(files, alpn=("http/1.1",))
    with tls_server(made, lambda tls: asked.append(tls.recv(10_000))) as door:
        looked(tmp_path, door, rest=rest, listener='http = ["http/1.1"]')
    assert (
        len([one for one in asked if one.startswith(b"GET /alive HTTP/1.1\r\n")]) == 2
    )  # the second one is an upgrade


def test_names_that_are_passed_on(tmp_path: Path, files: CertificateFiles) -> None:
    passed = '[listener.public.passthrough]\n"turn.test" = "tcp://127.0.0.1:5349"\n'
    with tls_server(context(files)) as door:
        found = states(looked(tmp_path, door, rest=passed))
    assert found["passthrough"] is State.OK
    assert "passthrough" not in states(looked(tmp_path, unused_door(), rest=passed))


JUDGE = Judge("presented chain")


def pair(listener: str, name: str, found: str) -> tuple[Subject, Finding]:
    subject = Subject(listener, "127.0.0.1:443", name)
    return subject, JUDGE.ok(str(subject), found)


def test_one_subject_stays_as_it_is() -> None:
    assert [one.subject for one in condensed([pair("public", "chat.test", "good")])] == [
        "public 127.0.0.1:443 chat.test"
    ]


def test_same_text_becomes_one_finding_that_names_all() -> None:
    found = list(
        condensed(
            [
                pair("public", "chat.test", "good"),
                pair("public", "files.test", "bad"),
                pair("inner", "chat.test", "good"),
                pair("inner", "rooms.test", "good"),
            ]
        )
    )
    assert [(one.subject, one.found) for one in found] == [
        ("chat.test, rooms.test on public, inner", "good"),
        ("public 127.0.0.1:443 files.test", "bad"),
    ]


def test_long_lists_are_cut() -> None:
    (found,) = condensed([pair("public", f"{number}.test", "good") for number in range(10)])
    assert found.subject == "0.test, 1.test, 2.test, 3.test, 4.test, 5.test, 6.test, 7.test and 2 more on public"
