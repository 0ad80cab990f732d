"""The entry point: prepares the environment before a module that uses OpenSSL is imported.

OpenSSL reads the file in `OPENSSL_CONF` when the `ssl` module is first used. Every OpenSSL in this
process (cryptography has its own) and in every child would obey it. In Plexigate the configuration
names the providers, so the process starts again without this variable.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run the command line."""
    if "OPENSSL_CONF" in os.environ:
        environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
        # -P: do not import modules from the current directory
        command = [sys.executable, "-P", *_ourselves(), *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606 - ourselves
    with _quiet_interruption():
        try:
            import ssl  # noqa: F401
        except ImportError:
            sys.exit("plexigate: this Python has no ssl module; use a Python that has one, such as /usr/bin/python3")
        from proxy.commands.cli import app
        from proxy.commands.terminal.output import watched_output

    with watched_output():
        app(prog_name="plexigate")


def _ourselves() -> list[str]:
    """The script by its path. An upgrade starts it again, perhaps by another interpreter."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    return words if len(words) == 1 and os.path.isfile(words[0]) else ["-m", "proxy.commands.start"]  # noqa: PTH113 - without an import


@contextmanager
def _quiet_interruption() -> Iterator[None]:
    """Let Ctrl-C end the process with status 130 during the imports, without a traceback.

    The process exits at once: an exception would pass through half-imported modules. If the signal
    is ignored (`nohup`), it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()
