"""`./dev soak`: long proofs. Each prints what it saw; whatever was wrong follows, and exit status 1."""

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console

from tests.soak import (
    configurations,
    fleet,
    http3,
    operation,
    payload,
    recovery,
    replicas,
    rotations,
    state,
    tokens,
    upgrades,
)
from tests.soak.attacks import proof as attacks


class Proof(NamedTuple):
    """One of the long proofs."""

    run: Callable[[float, Console], list[str]]
    minutes: float
    what: str


PROOFS = {
    "operation": Proof(
        operation.run, 20.0, "reloads, renewals, replaced workers, drains under load: no failure, flat memory"
    ),
    "tokens": Proof(tokens.run, 4.0, "two tokens that die in turn, in every way, under load: no handshake fails"),
    "replicas": Proof(
        replicas.run,
        10.0,
        "a key and a certificate in each of two tokens that die, lose keys and rotate: no handshake fails",
    ),
    "payload": Proof(
        payload.run, 0.0, f"{payload.SIZE >> 20} MiB of encrypted body: every octet, flat memory, no lag of the loop"
    ),
    "rotations": Proof(rotations.run, 0.0, "rotations under load, renewals by pebble, weeks of simulated time"),
    "state": Proof(state.run, 0.0, "every operation on state, killed at each of its system calls: nothing is lost"),
    "upgrades": Proof(
        upgrades.run, 5.0, "upgrades to another version and back under load, and programs that fail: nobody notices"
    ),
    "configurations": Proof(configurations.run, 0.0, "the example configuration, broken in every key and in every way"),
    "recovery": Proof(
        recovery.run,
        0.0,
        f"{recovery.NAMES:,} names, all lost but a backup and shares: back within {recovery.MOST_SECONDS:.0f} s, no secret in the backup",
    ),
    "fleet": Proof(
        fleet.run,
        0.0,
        "three proxies and three etcds that die, sleep, are cut off, full and restored: no client notices",
    ),
    "http3": Proof(
        http3.run,
        0.0,
        f"HTTP/3: a reload of {http3.CONNECTIONS:,} connections, {http3.HANDSHAKES:,} handshakes while tokens die, slow signatures",
    ),
    "attacks": Proof(
        attacks.run, 3.0, "attacks that untrusted clients can make: no honest client fails; nginx beside it"
    ),
}


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        prog="./dev soak",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        epilog="\n".join(
            f"{name:<16}{proof.what} ({proof.minutes:g} minutes)" if proof.minutes else f"{name:<16}{proof.what}"
            for name, proof in PROOFS.items()
        ),
    )
    parser.add_argument("proof", nargs="*", help=f"{', '.join(PROOFS)} (all)", metavar="PROOF")
    parser.add_argument("--minutes", type=float, help="how long each of them takes (as below)")
    asked = parser.parse_args()
    if unknown := set(asked.proof) - set(PROOFS):
        parser.error(f"no such proof: {', '.join(sorted(unknown))}; there are {', '.join(PROOFS)}")
    console = Console(width=140)
    wrong: list[str] = []
    for name in asked.proof or PROOFS:
        proof = PROOFS[name]
        console.rule(f"{name}: {proof.what}")
        wrong += [f"{name}: {line}" for line in proof.run(asked.minutes or proof.minutes, console)]
    for line in wrong:
        console.print(f"wrong: {line}", highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
