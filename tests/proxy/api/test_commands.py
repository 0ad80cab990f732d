"""Answers to commands: what is written is what its types say, key by key and in their order.

Those of the parent are held against theirs beside the parts that make them, in
`tests/proxy/supervisor/control`.
"""

from config.diff import Change
from config.effects import EffectKind
from config.values.problems import Problem, ProblemRow
from proxy.api.commands import AlertsDocument, ChangeRow
from proxy.observe.alert import AlertState, Notice, NoticeDocument
from proxy.observe.alert_kinds import AlertKind
from tests.parts import differences
from tests.proxy.supervisor.alerts.test_open_alerts import NOON, Looks, concern


def test_changes_and_problems_are_as_their_types_say() -> None:
    change = Change("workers", EffectKind.RESTART, None, "4", "at a restart")
    assert list(differences(change.as_json(), ChangeRow)) == []
    problem = Problem("plexigate.toml", "workers", "0", "1 or more", line=3, column=None)
    assert list(differences(problem.as_json(), ProblemRow)) == []


def test_alerts_and_messages_are_as_their_types_say() -> None:
    looks = Looks()
    looks.at(0.0, concern(), concern(AlertKind.WORKER_AWAY, "1"))
    waiting = looks.table.waiting(1.0)
    document = {"alerts": [one.as_json() for one in looks.table.told], "waiting": waiting}
    assert list(differences(document, AlertsDocument)) == []
    assert document["alerts"]
    assert document["waiting"]
    (open_alert,) = looks.table.told
    assert list(differences(Notice(AlertState.FIRING, open_alert, NOON).as_json("host"), NoticeDocument)) == []
