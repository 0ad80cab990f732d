"""The report of `doctor readiness` for an operator."""

import io
from datetime import date, timedelta

from rich.console import Console

from proxy.commands.doctor.readiness_table import print_readiness
from proxy.doctor.readiness.judgement import readiness_report
from proxy.observe.adoption import Adoption, ListenerDay, Offer
from proxy.observe.counts.breaking import BreakingClients

TODAY = date(2026, 11, 28)


def shown(adoption: Adoption) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_readiness(readiness_report(adoption, TODAY, 30, "a test"), console)
    return str(console.file.getvalue())  # type: ignore[attr-defined] # a StringIO


def adoption(agents: int, identities: int = 1, groups: str = "X25519MLKEM768 / X25519") -> Adoption:
    days = {}
    for back in range(14):
        day = (TODAY - timedelta(days=back)).isoformat()
        clients = BreakingClients(lambda day=day: day)  # type: ignore[misc] # mypy does not see the default
        for number in range(agents):
            clients.add("public", "chat.test", "192.0.2.1", [(b"User-Agent", f"old/{number} [bold]\x1b".encode())])
        outcomes = {"hybrid": 1_000, "hybrid_after_retry": 10, "client_cannot": agents + back, "refused": 2}
        names = {f"chat{number}": outcomes for number in range(identities)}
        days[day] = {"public": ListenerDay(names, clients.snapshot()[day]["public"] if agents else None)}
    return Adoption(days, {"public": Offer("prefer", groups)})


def test_listener_with_old_clients() -> None:
    text = shown(adoption(20))
    assert 'listener public  hybrid preferred  (pq = "prefer")' in text
    assert 'next    pq = "require": about 20' in text
    assert "old/0 [bold]?" in text
    assert "and 10 more, see --json" in text
    assert "192.0.2.0/24" in text
    assert "chat0" in text
    assert "14140 (97.4%)" in text


def test_many_identities_are_counted_and_an_error_is_told() -> None:
    text = shown(adoption(70, 21))
    assert "and 1 more, see --json" in text
    assert "All with more than 15 of 980 connections are listed." in text
    assert "all " in text


def test_last_phase_and_doubts() -> None:
    assert "Done: classical key exchange is refused, 28 handshakes so far." in shown(adoption(0, groups="MLKEM768"))
    few = Adoption(
        {TODAY.isoformat(): {"public": ListenerDay({"chat": {"client_cannot": 1}})}},
        {"public": Offer("off", "X25519:a / MLKEM768")},
    )
    assert "now" in shown(few)
    few.offers = {"public": Offer("prefer", "MLKEM768 / X25519")}
    assert "doubtful: only 1 day of observation" in shown(few)


def test_nothing_seen() -> None:
    assert "No handshake was seen on any listener." in shown(Adoption())
    assert "groups  none" in shown(Adoption({TODAY.isoformat(): {"public": ListenerDay()}}))
