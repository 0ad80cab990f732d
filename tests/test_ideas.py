"""A file is one idea: what is counted of that, and what stays anyway."""

import ast
from typing import Final

import pytest

from tests import house, ideas
from tests.ideas import Burden

MOST: Final = Burden(methods=16, attributes=16)
SHORTEST: Final = 60
"""Lines: a file below this with one importer belongs into it, unless it is pure or a real border."""

_STREAM: Final = "it owns a stream: each method is an event of the socket, the peer, the clock or a drain"
_PROTOCOL: Final = "it is a protocol: each method is a frame or an event of it, on one state"
_RECORD: Final = "it is a record that is filled while it goes, without a method"

HEAVIER: Final = {
    "Breaker": (Burden(18, 10), "it is the table of a breaker's events, on one state"),
    "Http1Connection": (Burden(21, 17), _STREAM),
    "Exchange": (Burden(28, 13), "a request has two sides, and both report to it: client and server"),
    "Workforce": (Burden(19, 14), "what is done with all workers at once, on one list of them"),
    "Http2Connection": (Burden(19, 11), _STREAM),
    "Http2Stream": (Burden(28, 11), "it stands between a session and an exchange, and both report to it"),
    "HttpService": (Burden(8, 21), "what the connections of a loop share: it hands out its parts"),
    "Member": (Burden(12, 19), "what a node knows of its fleet at one moment: its connection, its lead, its state"),
    "Outbox": (Burden(18, 14), _PROTOCOL),
    "RequestRecord": (Burden(0, 17), _RECORD),
    "Rotating": (Burden(15, 19), "it gives the parts of rotations what they use, in one loop"),
    "Server": (Burden(20, 22), "all that balancing, ejection and health know of a server, of which one choice is made"),
    "SessionStream": (Burden(4, 23), "the state of a stream, and the table of its moves"),
    "Shelf": (Burden(19, 5), "what may be done with the versions of a credential, each as a whole or not at all"),
    "SigningRace": (Burden(2, 17), "who is asked, who may be, and what is awaited: each answer moves a key among them"),
    "SigningToken": (Burden(20, 18), "it gives the parts of a token what they use, and is the one that is asked"),
    "SocketStream": (Burden(21, 15), _STREAM),
    "StreamConnection": (Burden(18, 20), _STREAM),
    "Supervisor": (Burden(6, 20), "it puts the parts of the parent together, and is where each can be found"),
    "TcpConnection": (Burden(14, 17), _STREAM),
    "TlsStream": (Burden(17, 16), _STREAM),
    "Tunnel": (Burden(23, 13), "two streams end in it, and each reports to it"),
    "UnreadAnswer": (Burden(16, 19), "an answer between two speeds: a side writes, another reads"),
    "Upgrading": (Burden(7, 19), "it gives the steps of an upgrade what they use"),
    "Http3Session": (Burden(23, 17), "what streams and their driver ask of a connection, and what QUIC tells it"),
    "QuicTransport": (Burden(21, 23), _STREAM),
    "ServedSession": (Burden(23, 1), "a protocol: what streams and their driver ask of a connection"),
    "UpstreamConnection": (Burden(15, 20), _STREAM),
    "UpstreamStream": (Burden(17, 16), "it stands between a session and an exchange, and both report to it"),
    "Worker": (Burden(20, 21), "the parts of a worker, and what the parent may ask of it"),
}
"""The classes that carry more than `MOST`, and why they stay. These figures may only shrink."""

_GATHERS: Final = "it reads files and asks processes, so that what judges stays pure"
_LATE: Final = "it is imported when it runs: it loads what the other commands do not need"
_KEEPS: Final = "it keeps a file or descriptors, so that what decides keeps none"

BORDERS: Final = {
    "certs.audit.checkpoint_signer": "it signs in a token; who only verifies a log loads no PKCS#11",
    "proxy.commands.doctor.bill_file": _LATE,
    "proxy.commands.doctor.checkups": _LATE,
    "proxy.doctor.readiness.sources": _GATHERS,
    "proxy.doctor.standards.gathering": _GATHERS,
    "proxy.downstream.listeners.takeover": "it knows each protocol, so that the listener knows none",
    "proxy.observe.lag": "it has a timer of its own, and is tested without a worker",
    "proxy.payload.key_trials": "it encrypts and decrypts messages, which the room of the parent that asks it does not know",
    "proxy.supervisor.alerts.memory": "it reads and writes a file",
    "proxy.supervisor.membership.kinds.lead": "each kind of what nodes share has a file of its own",
    "proxy.supervisor.reloads.watching": "the watcher in `config` knows no tasks of a loop, and no edition",
    "proxy.supervisor.upgrade.former": "it owns descriptors of processes",
    "proxy.supervisor.workers.columns": "it owns the memory that all workers share",
    "proxy.tls.handshake.slow_exchanges": "it owns a thread, and what waits for it",
    "proxy.upstream.http2.shared_connection": "a protocol: what a stream may ask of its connection",
}
"""Short files with one importer, and why each stays."""


def test_a_class_carries_little_or_is_listed_with_a_reason() -> None:
    heavy = {
        name: found
        for name, found in ideas.burdens(house.parsed()).items()
        if any(count > most for count, most in zip(found, MOST, strict=True))
    }
    assert heavy == {name: listed for name, (listed, _) in HEAVIER.items()}, "split it, or write down what it has shed"


def test_an_attribute_is_made_where_a_reader_looks() -> None:
    assert list(ideas.strays(house.parsed())) == [], "declare it in the class, or make it in __init__"


def test_one_statement_assigns_one_thing() -> None:
    found = [(module, line, text) for module, tree in house.parsed().items() for line, text in ideas.bundles(tree)]
    assert found == [], "a line each; `a, b = x, y` is for what is swapped or unpacked"


def test_a_short_file_with_one_importer_is_pure_or_a_border() -> None:
    lines = {
        module: len((house.ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8").splitlines())
        for module in house.parsed()
        if not module.endswith("__init__")
    }
    without_annotations = house.imports(with_annotations=False)
    pure = {module for module in lines if not house.way_out(without_annotations, module)}
    assert ideas.satellites(house.imports(), lines, SHORTEST, pure).keys() == BORDERS.keys()


class TestMeasuring:
    """The measure itself: it finds what it is for."""

    def test_methods_and_attributes_are_counted(self) -> None:
        text = (
            "class A:\n    x: int\n    def __init__(self): self.y, self._z = 1, 2\n    def m(self): other.w = 1\n"
            "    @property\n    def p(self): ...\n    @p.setter\n    def p(self, v): ...\n    def _n(self): self.y += 1\n"
        )
        assert ideas.burdens({"one": ast.parse(text)}) == {"A": Burden(2, 3)}

    @pytest.mark.parametrize("head", ["@dataclass(frozen=True)\nclass A:", "class A(Table):", "class A(TypedDict):"])
    def test_fields_of_a_value_do_not_count(self, head: str) -> None:
        few, many = ("".join(f"    def m{n}(self): ...\n" for n in range(count)) for count in (4, 5))
        assert ideas.burdens({"one": ast.parse(f"{head}\n    x: int\n{few}")})["A"].attributes == 0
        assert ideas.burdens({"one": ast.parse(f"{head}\n    x: int\n{many}")})["A"].attributes == 1

    def test_attributes_that_only_a_method_makes_are_found(self) -> None:
        text = (
            "class A(Protocol):\n    y: int\n    def __init__(self): self.x = 1; self.z()\n"
            "    def z(self): self.w = 1\n    def m(self): self.x = self.y = self.w = self.v = 2\n"
            "class B(A):\n    def m(self): self.x = self.y = self.u = 2\n"
            "class C(Foreign):\n    def m(self): self.x = 2\n"
        )
        assert list(ideas.strays({"one": ast.parse(text)})) == ["A.v", "B.u"]

    def test_bundles_are_found_and_swaps_are_none(self) -> None:
        text = "a, b = 1, 2\na, b = b, a\nself.x, y = y, self.x\nself.x, y = z, None\na, *b = 1, 2\na, b = pair\na = b = 1, 2"
        assert list(ideas.bundles(ast.parse(text))) == [(1, "a, b = (1, 2)"), (4, "self.x, y = (z, None)")]

    def test_satellites_are_found(self) -> None:
        graph = {"a.one": frozenset({"a.small", "a.pure", "a.long", "a.both", "b.far"}), "a.two": frozenset({"a.both"})}
        lines = {"a.small": 59, "a.pure": 59, "a.long": 60, "a.both": 59, "a.none": 5, "b.far": 5}
        assert ideas.satellites(graph, lines, 60, {"a.pure"}) == {"a.small": "a.one"}
