"""Writes the rules for Prometheus: `.venv/3.13/bin/python -m tests.monitoring_rules`.

Each kind of alert has a rule of its own, with the meaning and the remedy of the catalogue. What only
Prometheus can judge, thresholds and the absence of the whole proxy, stands in `thresholds.yml`.
"""

import json
from pathlib import Path
from typing import Final

from proxy.observe.alert_kinds import KINDS, AlertKind

PLACE: Final = Path(__file__).parents[1] / "docker" / "monitoring" / "alerts.yml"
RUNBOOK: Final = "docs/alerts.md#all-kinds"
_HEAD: Final = """\
# One rule for each alert that Plexigate itself knows, for those who want them from Alertmanager.
# tests/monitoring_rules.py makes this file of the catalogue. plexigate_alerts has the urgency as a
# label, because some alerts become more urgent with time.

groups:
  - name: plexigate-alerts
    rules:
"""


def alert_name(kind: AlertKind) -> str:
    """The name of the rule: `PlexigatePinRefused`."""
    return "Plexigate" + "".join(word.capitalize() for word in kind.value.split("_"))


def rules() -> str:
    """The whole file."""
    return _HEAD + "\n".join(_rule(kind) for kind in AlertKind if kind is not AlertKind.TEST)


def _rule(kind: AlertKind) -> str:
    facts = KINDS[kind]
    # the proxy waits before it opens an alert, and so does not flap
    return f"""\
      - alert: {alert_name(kind)}
        expr: sum by (instance, kind, urgency) (plexigate_alerts{{job="plexigate", kind="{kind}"}}) > 0
        labels:
          severity: "{{{{ $labels.urgency }}}}"
        annotations:
          summary: {json.dumps(facts.meaning)}
          description: {json.dumps(f"{{{{ $labels.instance }}}}, {{{{ $value }}}} open. {facts.remedy}")}
          runbook_url: {RUNBOOK}
"""


if __name__ == "__main__":
    PLACE.write_text(rules())
