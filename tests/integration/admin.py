"""What monitoring and operators read of a running proxy over its admin socket."""

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

_CURL_SECONDS = 30

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: str) -> Series:
    """The samples of a scrape."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {_name_and_labels(sample): float(value) for sample, _, value in lines}


@cache
def _name_and_labels(sample: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """They are the same in all scrapes, hundreds of which a test may take."""
    (family,) = text_string_to_metric_families(f"{sample} 0\n")
    (found,) = family.samples
    return found.name, tuple(sorted(found.labels.items()))


def found(several: Series, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    return sum(
        value for (one, of_it), value in several.items() if one == name and labels.items() <= dict(of_it).items()
    )


@dataclass(frozen=True, slots=True)
class Admin:
    """The socket of a running proxy."""

    socket: Path

    def ask(self, path: str, *arguments: str) -> tuple[int, str]:
        """Status and body of the answer, with curl; 0 when there is none."""
        command = ["curl", "--silent", "--unix-socket", str(self.socket), "--write-out", "\\n%{http_code}"]
        done = subprocess.run(
            [*command, *arguments, f"http://plexigate{path}"],
            capture_output=True,
            text=True,
            timeout=_CURL_SECONDS,
            check=False,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def status(self) -> dict[str, Any]:
        """The document of the status."""
        status, body = self.ask("/status")
        assert status == 200, body
        document: dict[str, Any] = json.loads(body)
        return document

    def metrics(self) -> Series:
        """What a monitoring system reads."""
        status, body = self.ask("/metrics")
        assert status == 200, body
        return series(body)

    def failures(self) -> dict[tuple[str, str], int]:
        """How often each listener had each reason to refuse or to give up."""
        return {
            (labels["listener"], labels["reason"]): int(value)
            for (name, pairs), value in self.metrics().items()
            if name == "plexigate_failures_total"
            for labels in (dict(pairs),)
        }

    def server_states(self, upstream: str) -> dict[str, dict[str, int]]:
        """Server -> state -> how many workers see it in that."""
        (one,) = [one for one in self.status()["upstreams"] if one["name"] == upstream]
        return {server["server"]: server["states"] for server in one["servers"]}
