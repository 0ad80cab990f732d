"""dns-01 by a hook: a command of the operator that adds TXT records to the DNS and removes them.

It is called as `HOOK... present NAME VALUE` and `HOOK... cleanup NAME VALUE`, with NAME fully
qualified. Hooks for lego's "exec" provider have the same arguments and work here. Several values of
one name may exist at a time: a name and its wildcard use the same record name. The hook exits with
status 0 when the record is visible from everywhere.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Final

from certs.acme.challenges.proofs import PresentingFailed, Proof
from certs.acme.problems import printable

# The hook does not get our environment: it may hold credentials that are meant for us.
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_LAST_BYTES: Final = 4_096


class DnsHook:
    """A `Solver` of dns-01."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        """`command` runs without a shell; after `seconds` it is ended with all that it started."""
        self._command = tuple(command)
        self._seconds = seconds

    def present(self, proof: Proof) -> None:
        """Let the record be published. Raises `PresentingFailed`."""
        try:
            self._run("present", proof)
        except PresentingFailed:
            with suppress(PresentingFailed):  # it may have come half way
                self._run("cleanup", proof)
            raise

    def withdraw(self, proof: Proof) -> None:
        """Let the record be removed. Raises `PresentingFailed`."""
        self._run("cleanup", proof)

    def _run(self, action: str, proof: Proof) -> None:
        name, value = proof.record
        hook = f"the hook {self._command[0]} {action} {name}"
        with TemporaryFile() as output:  # not a pipe: what a hook leaves running would keep that open
            try:
                process = subprocess.Popen(  # noqa: S603 - the operator's own command, as a list
                    [*self._command, action, name, value],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,  # so that it can be ended with its children
                )
            except OSError as error:
                raise PresentingFailed(f"{hook} cannot be run ({error.strerror})") from None
            try:
                status = process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise PresentingFailed(f"{hook} took longer than {self._seconds:g} s") from None
            if status != 0:
                output.seek(max(0, output.seek(0, os.SEEK_END) - _LAST_BYTES))
                raise PresentingFailed(f"{hook} ended with status {status}{_last_line(output.read())}")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return f" ({printable(lines[-1])})" if lines else ""
