"""Findings that say the same become one."""

from proxy.doctor.finding import Finding, Judge
from proxy.doctor.handshakes.condensing import condensed
from proxy.doctor.handshakes.judgement import Subject

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
