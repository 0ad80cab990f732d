"""`plexigate doctor readiness`, of a proxy that real clients have used, over a restart and without a proxy."""

import json
import stat
from pathlib import Path
from typing import Any

from tests import prepared
from tests.configurations import listener
from tests.integration.gateway import Gateway, Trust, events, gateway
from tests.integration.upstreams import ScriptedServer
from tests.programs import PLEXIGATE

OLD, OLDER = "OldChat/1.0", "OldChat/0.9"


def readiness(directory: Path, number: int) -> tuple[int, dict[str, Any]]:
    """Exit status and document of the command."""
    command = [PLEXIGATE, "doctor", "readiness", str(directory / f"gateway-{number}.toml"), "--json"]
    done = prepared.run(command)
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


def visit(running: Gateway) -> None:
    """Five clients: two with quantum-safe groups, three without."""
    assert running.curl("--curves", "X25519MLKEM768", "--user-agent", "New/2.0").status == 0
    assert running.s_client("-groups", "X25519MLKEM768").is_established
    for agent in (OLD, OLD, OLDER):
        assert running.curl("--curves", "X25519", "--user-agent", agent).status == 0


def test_clients_that_require_would_refuse_are_known_over_a_restart(
    trust: Trust, echo_server: ScriptedServer, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    text = listener("standard") + listener("pure", pq="require") + f'[rotation]\nstate = "{state}"\n'
    with gateway(tmp_path, trust, echo_server, text) as running:
        visit(running)
        assert running.s_client("-groups", "X25519", on="pure").alert == 40
        exit_status, asked = readiness(tmp_path, 0)
    assert (exit_status, asked["source"], asked["days_observed"]) == (1, "the running proxy", 1)
    kept = state / "adoption.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "127.0.0.1" not in kept.read_text()
    with gateway(tmp_path, trust, echo_server, text) as running:
        visit(running)
        _, asked = readiness(tmp_path, 1)
    assert not events(running.program.output, "adoption_set_aside")
    pure, standard = asked["listeners"]
    assert (pure["phase"], pure["next"], pure["handshakes"]["refused"]) == ("classical retired", None, 1)
    assert (standard["phase"], standard["next"]["setting"]) == ("hybrid preferred", 'pq = "require"')
    assert (standard["handshakes"]["hybrid"], standard["handshakes"]["classical_client_cannot"]) == (4, 6)
    assert standard["next"]["verdict"] == "unknown"
    assert "60.00% of the handshakes of the last 7 days would be refused (6 of 10)" in standard["next"]["reason"]
    blocking = standard["blocking"]
    assert [(one["key"], one["connections"]) for one in blocking["agents"]] == [(OLD, 4), (OLDER, 2)]
    assert [(one["key"], one["share"]) for one in blocking["networks"]] == [("127.0.0.0/24", 1.0)]
    assert [(one["key"], one["connections"]) for one in blocking["names"]] == [("chat.test", 6)]
    exit_status, read = readiness(tmp_path, 1)  # no proxy runs
    assert (exit_status, read["source"]) == (1, str(kept))
    assert read["listeners"] == asked["listeners"]


def test_damaged_file_is_no_obstacle_to_a_start(trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "adoption.json").write_bytes(b"\x00" * 100)
    text = listener("standard") + f'[rotation]\nstate = "{state}"\n'
    with gateway(tmp_path, trust, echo_server, text) as running:
        assert running.s_client("-groups", "X25519MLKEM768").is_established
        (told,) = events(running.program.output, "adoption_set_aside")
    assert told["kept_as"] == str(state / "adoption.json.damaged")
    assert json.loads((state / "adoption.json").read_bytes())["version"] == 1
