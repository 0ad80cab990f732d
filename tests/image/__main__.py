"""`./dev image`: build the image without a registry, run it as docs/deploy.md says, and ask it by curl.

It takes Docker if its daemon answers, else podman. The base is made by debootstrap, unless --pull asks the engine for that of docker/Dockerfile. The
bill of materials of the image is written to .dev/image/sbom.cdx.json. The image stays in the store of the engine, under the name
plexigate.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.debian_roots import RootError, bare_root
from tests.image import composition, trial
from tests.image.engines import BASE, Engine, EngineError, engine
from tests.machine_settings import MachineSettings, machine_settings

ROOT = Path(__file__).parents[2]
DEV = ROOT / ".dev"
PLACE = DEV / "image"
PULLED = "docker.io/library/" + (ROOT / "docker/Dockerfile").read_text().partition("\nARG BASE=")[2].partition("\n")[0]


def main() -> int:
    """Build, run, ask, and answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev image", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pull", action="store_true", help="take the base from the registry of the engine")
    parser.add_argument(
        "--compose", action="store_true", help="then run docker/compose.yaml, and rotate its certificate"
    )
    arguments = parser.parse_args()
    os.chdir(ROOT)
    try:
        chosen = engine(say)
        say(f"by {chosen.said('--version')}")
        settings = machine_settings(PLACE / "settings")
        base = based(chosen, settings, pull=arguments.pull)
        build(chosen, "plexigate", "plexigate", {"BASE": base}, settings)
        build(chosen, "demo", "plexigate-demo-chat", {"BASE": base}, settings)
        wrong = tried(chosen)
        if arguments.compose:
            build(chosen, "plexigate", "plexigate-demo-proxy", {"BASE": base, "PACKAGES": "libsofthsm2"}, settings)
            build(chosen, "pebble", "plexigate-demo-pebble", {"BASE": base}, settings)
            wrong += composition.tried(chosen, say)
    except (EngineError, RootError) as error:
        say(f"./dev image: {error}")
        return 2
    for one in wrong:
        say(f"./dev image: wrong: {one}")
    return 1 if wrong else 0


def based(chosen: Engine, settings: MachineSettings, *, pull: bool) -> str:
    """The name of the base, which is there. Raises EngineError, RootError."""
    if pull:
        return PULLED
    if not chosen.has_image(BASE):
        chosen.import_root(bare_root(DEV / "roots", settings.environment, say), BASE)
    return BASE


def build(chosen: Engine, target: str, name: str, arguments: dict[str, str], settings: MachineSettings) -> None:
    """Build a target, and tell how long it took. Raises EngineError."""
    say(f"building {name} (some minutes for the hot path, unless the sources are the same)")
    began = time.monotonic()
    revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    chosen.build(target, name, {**arguments, "REVISION": revision or "unknown"}, settings)
    say(f"  {name}: {time.monotonic() - began:.0f} s")


def tried(chosen: Engine) -> list[str]:
    """Run the image and ask it. Returns what is wrong. Raises EngineError."""
    size = int(chosen.said("image", "inspect", "--format", "{{.Size}}", "plexigate"))
    say(f"size: {size / 1e6:.0f} MB")
    with trial.running(chosen, "plexigate", "plexigate-demo-chat", PLACE / "gate") as made:
        wrong = trial.judged(made, say)
        bill = PLACE / "sbom.cdx.json"
        chosen.said("cp", f"{made.name}:{trial.BILL}", str(bill))
        invalid = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read_text(encoding="utf-8"))
        wrong += [] if invalid is None else [f"the bill of materials is not valid: {invalid}"]
        say(f"bill of materials: {bill.relative_to(ROOT)}")
        return [*wrong, *trial.stopped(made)]


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
