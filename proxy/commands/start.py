"""The entry point: prepares the environment before a module that uses OpenSSL is imported.

OpenSSL reads the file in `OPENSSL_CONF` when the `ssl` module is first used. Every OpenSSL in this
process (cryptography has its own) and in every child would obey it. In Plexigate the configuration
names the providers, so the process starts again without this variable.
"""

import gc
import os
import sys

from proxy.commands.terminal.interruption import quiet_interruption
from proxy.processes.uncollected import uncollected


def main() -> None:
    if "OPENSSL_CONF" in os.environ:
        environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
        # -P: do not import modules from the current directory
        command = [sys.executable, "-P", *_ourselves(), *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606 - ourselves
    with quiet_interruption(), uncollected():
        try:
            import ssl  # noqa: F401
        except ImportError:
            sys.exit("plexigate: this Python has no ssl module; use a Python that has one, such as /usr/bin/python3")
        from proxy.commands.cli import app
        from proxy.commands.terminal.output import watched_output
        from proxy.commands.terminal.plain_values import read_values_plainly

    read_values_plainly()
    try:
        with watched_output():
            app(prog_name="plexigate")
    finally:
        gc.freeze()  # the interpreter would look through all modules at its end, for 0.1 s after a check


def _ourselves() -> list[str]:
    """The script by its path. An upgrade starts it again, perhaps by another interpreter."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    return words if len(words) == 1 and os.path.isfile(words[0]) else ["-m", "proxy.commands.start"]  # noqa: PTH113 - without an import


if __name__ == "__main__":
    main()
