"""`./dev fresh`: follow README.md and docs/getting-started.md in a bare Debian, as a new user does, from a clean export of a commit.

The commands are read from the documents, so a document whose command does not work as it is written makes this fail. The two commands
of README.md run as root, to whom the script gives what is missing. The rest is done by a user without rights; root only installs the
packages that the documents name. At the end a table says what each command took. It takes half an hour, most of it for the tests.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.debian_roots import RootError, bare_root
from tests.documents import read
from tests.fresh.figures import Figure, table
from tests.fresh.rooms import Room, room
from tests.fresh.visits import Visit
from tests.fresh.walks import Command, Walk, commands_of, walks
from tests.machine_settings import machine_settings

ROOT = Path(__file__).parents[2]
PORTS = (8443, 8442, 8001)
"""Of the demo and of docs/getting-started.md. The room has the network of the machine."""
DEMO = ("127.0.0.1", 8443)
QUICK = ("plexigate --version", "plexigate --help >help.txt", "plexigate check config/example.toml >found.txt || true")
"""Commands whose CPU a reader feels."""


def main() -> int:
    """Follow the documents, and answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev fresh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--commit", default="HEAD", help="what is exported (default: HEAD)")
    parser.add_argument(
        "--only", choices=sorted(PARTS), nargs="+", default=sorted(PARTS), help="do these parts (default: all)"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    figures: list[Figure] = []
    try:
        require_free(PORTS)
        with tempfile.TemporaryDirectory(prefix="plexigate-fresh-") as directory:
            export = Path(directory) / "export.tar"
            subprocess.run(
                ["git", "-C", str(ROOT), "archive", "--format=tar", f"--output={export}", arguments.commit], check=True
            )
            settings = machine_settings(Path(directory) / "settings")
            base = bare_root(ROOT / ".dev" / "roots", settings.environment, say)
            for name in arguments.only:
                with room(base, settings) as made:
                    say(f"== {name}: a bare root, process {made.pid}")
                    figures += [Figure(f"== {name}", 0), *PARTS[name](made, export)]
    except (RootError, subprocess.CalledProcessError) as error:
        say(f"./dev fresh: failed after {time.monotonic() - began:.0f} s: {error}")
        return 1
    finally:
        sys.stdout.write(f"{table(figures)}\n")
    say(f"./dev fresh: the documents work as they are written ({time.monotonic() - began:.0f} s)")
    return 0


def demo(made: Room, export: Path) -> list[Figure]:
    """The first command of README.md, and what docs/getting-started.md asks of the demo, as root: four starts.

    In a bare Debian until it answers, and until it is compiled; the same from another copy, as the packages of Debian are
    there now; then with what was compiled. Ctrl-C ends everything each time, also before the end of the compiling.
    """
    first, _, _ = commands_of_readme()
    (walk,) = [one for one in getting_started() if first.text in [step.text for step in one.steps]]
    figures = []
    for place, what, is_compiled in (
        ("plexigate", "a bare Debian", True),
        ("again", "packages of Debian there", False),
        ("plexigate", "compiled before", False),
    ):
        visit = Visit(made, "root", f"/root/{place}", say)
        with visit.terminals():
            if not (made.root / "root" / place).exists():
                unpack(made, export, "root", "/root", place)
            began = time.monotonic()
            visit.start(first, f"{first.text}, {what}: the first answer", DEMO)
            if is_compiled:
                visit.follow(Walk(walk.title, [step for step in walk.steps if step.text != first.text]))
                visit.waits_for("^Upgraded: ", f"{first.text}, {what}: runs compiled", began)
            visit.stop()
            visit.left_nothing()
        figures += visit.figures
    return figures


def tested(made: Room, export: Path) -> list[Figure]:
    """The second command of README.md."""
    _, second, _ = commands_of_readme()
    unpack(made, export, "root", "/root")
    visit = Visit(made, "root", "/root/plexigate", say)
    with visit.terminals():
        visit.follow(Walk("README.md", [second]))
    return visit.figures


def started(made: Room, export: Path) -> list[Figure]:
    """docs/getting-started.md as a user without rights; then the last command of README.md."""
    first, _, own = commands_of_readme()
    made.run("useradd --create-home --shell /bin/bash stranger")
    unpack(made, export, "stranger", "/home/stranger")
    visit = Visit(made, "stranger", "/home/stranger/plexigate", say)
    with visit.terminals():
        for walk in getting_started():
            if first.text not in [step.text for step in walk.steps]:
                visit.follow(walk)
        visit.stop()
        visit.follow(Walk("README.md", [own, *(Command(text, 0) for text in QUICK)]))
        visit.stop()
    return visit.figures


PARTS = {"demo": demo, "getting-started": started, "test": tested}
"""What can be followed, each in a bare root of its own."""


def commands_of_readme() -> tuple[Command, Command, Command]:
    """Its two commands, and that for a configuration of one's own."""
    first, second, own = commands_of(read(ROOT / "README.md"), "two-commands")
    return first, second, own


def getting_started() -> list[Walk]:
    """The sections of docs/getting-started.md."""
    return walks(ROOT / "docs" / "getting-started.md")


def unpack(made: Room, export: Path, user: str, home: str, name: str = "plexigate") -> None:
    """Put the export where a user would have unpacked it."""
    target = made.root / home.lstrip("/") / name
    target.mkdir()
    subprocess.run(["tar", "-x", "-C", str(target), "-f", str(export), "--no-same-owner"], check=True)
    made.run(f"apt-get update && chown -R {user} {home}/{name}")


def require_free(ports: Sequence[int]) -> None:
    """Raises RootError if a program of the machine has one of these ports."""
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise RootError(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}): end the program that has it"
            ) from None


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
