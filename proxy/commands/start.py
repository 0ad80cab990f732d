"""The command's entry: makes the environment fit before anything that uses OpenSSL is imported.

`OPENSSL_CONF` would be obeyed by every OpenSSL in the process (cryptography has its own) and by every child, and OpenSSL reads
it when the `ssl` module is first used. Providers come from the configuration file instead, so the process starts once more
without it.
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
        # -P: whatever lies in the current directory is none of our modules
        command = [sys.executable, "-P", "-m", "proxy.commands.start", *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606 - ourselves
    with _quiet_interruption():
        try:
            import ssl  # noqa: F401
        except ImportError:
            sys.exit(
                "plexigate: this Python has no ssl module; run Plexigate with one that has, such as /usr/bin/python3"
            )
        from proxy.commands.cli import app
        from proxy.commands.terminal.output import watched_output

    with watched_output():
        app(prog_name="plexigate")


@contextmanager
def _quiet_interruption() -> Iterator[None]:
    """Have Ctrl-C end the process with 130 while there is nothing yet that could be undone, not with a traceback.

    At once: an exception would pass through whatever is half imported. Where it is ignored (`nohup`), it goes on to be.
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
