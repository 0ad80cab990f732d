"""The command's entry: makes the environment fit before anything that uses OpenSSL is imported.

`OPENSSL_CONF` would be obeyed by every OpenSSL in the process (cryptography has its own) and by every child, and OpenSSL reads
it when the `ssl` module is first used. Providers come from the configuration file instead, so the process starts once more
without it.
"""

import os
import sys


def main() -> None:
    """Run the command line."""
    if "OPENSSL_CONF" in os.environ:
        environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
        os.execve(sys.executable, [sys.executable, "-m", "proxy.start", *sys.argv[1:]], environment)  # noqa: S606 - ourselves
    from proxy.cli import app

    app(prog_name="plexigate")


if __name__ == "__main__":
    main()
