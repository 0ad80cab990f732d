"""Docker or podman, whichever is there, and what each one needs to be told."""

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.machine_settings import MachineSettings

BASE = "plexigate-base:trixie"
"""The name of a base that comes from debootstrap."""
_STEP = re.compile(r"^(?:\[\d+/\d+\] STEP|STEP|#\d+ \[)")
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


class EngineError(Exception):
    """A command of an engine has failed; the text has its output."""


@dataclass(frozen=True)
class Engine:
    """A command line for containers."""

    command: tuple[str, ...]
    is_podman: bool

    def said(self, *arguments: str) -> str:
        """What a command prints, without the newline. Raises EngineError."""
        command = [*self.command, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        if done.returncode != 0:
            raise EngineError(f"{' '.join(command)} exits with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def shown(self, *arguments: str) -> None:
        """Run a command whose steps are progress. Raises EngineError with the end of its output."""
        lines: list[str] = []
        with subprocess.Popen(
            [*self.command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(),
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(line.rstrip())
                if _STEP.search(line):
                    sys.stderr.write(f"  {line.strip()[:110]}\n")
        if running.returncode != 0:
            raise EngineError("\n".join([f"the build exits with {running.returncode}:", *lines[-30:]]))

    def has_image(self, name: str) -> bool:
        """Whether it is in the store of the engine."""
        return self.said("image", "ls", "--quiet", name) != ""

    def import_root(self, root: Path, name: str) -> None:
        """Make an image of one layer from a root. Raises EngineError."""
        with subprocess.Popen(["tar", "-c", "-C", str(root), "."], stdout=subprocess.PIPE) as tar:
            done = subprocess.run(
                [*self.command, "import", "-", name], stdin=tar.stdout, capture_output=True, text=True, check=False
            )
        if done.returncode != 0 or tar.returncode != 0:
            raise EngineError(f"the import of {root} failed: {done.stderr.strip()}")

    def build(self, target: str, name: str, arguments: Mapping[str, str], settings: MachineSettings) -> None:
        """Build a target of docker/Dockerfile; the current directory is the top of the repository.

        podman mounts the settings of the machine in each stage. Docker can mount nothing, and gets its proxies only. Raises EngineError.
        """
        options = ["--network", "host", "--target", target, "--tag", name, "--file", "docker/Dockerfile"]
        for key, value in {**arguments, **settings.environment}.items():
            options += ["--build-arg", f"{key}={value}"]
        if self.is_podman:
            # In the format of Docker, which has HEALTHCHECK. The limits are those of this process: without
            # CAP_SYS_RESOURCE there are no others.
            options += ["--format", "docker", *self._limits()]
            options += [f"--volume={source}:{place}:ro" for place, source in settings.mounts.items()]
        self.shown("build", *options, ".")

    def _limits(self) -> Iterator[str]:
        for name, number in _LIMITS.items():
            soft, hard = ("-1" if one == resource.RLIM_INFINITY else str(one) for one in resource.getrlimit(number))
            yield f"--ulimit={name}={soft}:{hard}"


def engine(say: Callable[[str], None]) -> Engine:
    """Docker if its daemon answers, else podman. Raises EngineError."""
    if shutil.which("docker"):
        if _works(["docker", "info"]):
            return Engine(("docker",), is_podman=False)
        say("docker is here, but its daemon does not answer")
    if shutil.which("podman"):
        return Engine(("podman", *_runtime()), is_podman=True)
    raise EngineError("neither a daemon of Docker that answers nor podman is here")


def compose(chosen: Engine) -> list[str]:
    """The command line for compositions, up to their file. Raises EngineError."""
    if not chosen.is_podman:
        return ["docker", "compose"]
    if shutil.which("podman-compose") is None:
        raise EngineError("podman-compose is not here")
    return ["podman-compose", *(f"--podman-args={option}" for option in chosen.command[1:])]


def _runtime() -> list[str]:
    """crun does not run where control groups of both versions are mounted (`hybrid`); runc does."""
    hybrid = Path("/sys/fs/cgroup/unified").exists()
    return ["--runtime=runc"] if hybrid and shutil.which("runc") else []


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def environment() -> dict[str, str]:
    """podman warns of old control groups with each command."""
    return {**os.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
