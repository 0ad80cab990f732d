"""What is said about the store of a fleet: one sentence for each subject, with its remedy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.loading.loader import load
from proxy.api.fleet import FleetTrialDocument
from proxy.doctor.fleet import fleet_checkups, fleet_findings
from tests.configurations import Site
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, states

ROW: Any = {"endpoint": "https://a:1", "fault": None, "version": "3.5.16", "has_leader": True, "alarms": []}
ROWS = [ROW, {**ROW, "endpoint": "https://b:1"}, {**ROW, "endpoint": "https://c:1"}]
GOOD: Any = {
    "endpoints": ROWS,
    "members": 3,
    "read_fault": None,
    "write_fault": None,
    "own_fault": None,
    "is_confined": True,
    "skew": 0.2,
}


def found(**change: Any) -> dict[str, tuple[str, str]]:
    trial: FleetTrialDocument = part({**GOOD, **change})
    findings = list(fleet_findings(trial))
    assert all(bool(one.remedy) == (one.state != "ok") for one in findings)
    return {one.subject: (str(one.state), one.found) for one in findings}


def test_all_is_well() -> None:
    assert found() == {
        "https://a:1": ("ok", "etcd 3.5.16 answers"),
        "https://b:1": ("ok", "etcd 3.5.16 answers"),
        "https://c:1": ("ok", "etcd 3.5.16 answers"),
        "quorum": ("ok", "all 3 members of etcd answer, with a leader"),
        "writes": ("ok", "a test value was written below fleet.prefix, and removed"),
        "roles": ("ok", "this node cannot write below the name of another one"),
        "clock": ("ok", "the clock of this node is 0 s ahead of that of etcd"),
    }


@pytest.mark.parametrize(
    ("change", "subject", "state", "words"),
    [
        ({"endpoints": [{**ROW, "fault": "no answer"}, *ROWS[1:]]}, "https://a:1", "failure", "no answer"),
        ({"endpoints": [{**ROW, "fault": "no answer"}, *ROWS[1:]]}, "quorum", "warning", "2 of 3 members"),
        ({"endpoints": [{**ROW, "alarms": ["NOSPACE"]}]}, "https://a:1", "failure", "has alarms: NOSPACE"),
        ({"endpoints": [{**ROW, "has_leader": False}, *ROWS[1:]]}, "quorum", "warning", "knows no leader"),
        ({"members": 5}, "quorum", "warning", "etcd has 5 members, and fleet.etcd names 3"),
        ({"endpoints": [ROW], "members": 1}, "quorum", "warning", "one member of etcd answers"),
        ({"endpoints": ROWS, "members": None}, "quorum", "ok", "all 3"),
        ({"read_fault": "no quorum", "skew": None}, "quorum", "failure", "etcd cannot be read: no quorum"),
        ({"write_fault": "permission denied"}, "writes", "failure", "cannot write there: permission denied"),
        ({"own_fault": "permission denied"}, "its own name", "failure", "cannot write there: permission denied"),
        ({"is_confined": False}, "roles", "warning", "may write below the name of another one"),
        ({"is_confined": None}, "roles", "ok", "without fleet.user"),
        ({"skew": -61.0}, "clock", "failure", "61 s behind that of etcd: it takes nothing new"),
        ({"skew": 6.0}, "clock", "warning", "6 s ahead of that of etcd"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], subject: str, state: str, words: str) -> None:
    stands, said = found(**change)[subject]
    assert stands == state
    assert words in said


def test_nothing_is_said_about_rights_in_a_store_that_cannot_be_read() -> None:
    assert found(read_fault="no quorum").keys() == {"https://a:1", "https://b:1", "https://c:1", "quorum"}


def test_a_fleet_is_looked_at_where_there_is_one(tmp_path: Path) -> None:
    site = Site.make(tmp_path)

    def refuse(_: object) -> FleetTrialDocument:
        raise FileNotFoundError(2, "No such file or directory", "ca.pem")

    (checkup,) = fleet_checkups(refuse)
    examined = replace(NOTHING, configured=load(site.write(site.minimal)))
    assert states(checkup.look(examined)) == [("fleet", "skipped")]
    with_fleet = load(
        site.write(f'{site.minimal}[sealing]\nkey = "k"\n[fleet]\netcd = "http://127.0.0.1:1"\nname = "a"\n')
    )
    examined = replace(NOTHING, configured=with_fleet)
    assert states(checkup.look(examined)) == [("fleet", "failure")]
    (checkup,) = fleet_checkups(lambda _: part(GOOD))
    assert {state for _, state in states(checkup.look(examined))} == {"ok"}
