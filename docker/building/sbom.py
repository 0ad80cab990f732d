"""sbom.py: a software bill of materials of the image, as CycloneDX 1.6 in JSON.

It runs in a stage of docker/Dockerfile. Its input is what the installers say themselves: dpkg's
database, and the report of pip, which has the hash of each wheel.
"""

import argparse
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docker.building.packages import Package, installed

NAMESPACE = uuid.UUID("6e6f2d1c-3d0b-5d0c-9d8b-1c2a7a1f5c11")
"""Makes the serial number from the contents: the same image has the same one."""

Component = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--status", type=Path, required=True, help="dpkg's status file of the image")
    parser.add_argument("--os-release", type=Path, required=True, help="etc/os-release of the image")
    parser.add_argument("--report", type=Path, required=True, help="what `pip install --report` wrote")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    document = bill_of_materials(
        arguments.status.read_text(encoding="utf-8"),
        arguments.os_release.read_text(encoding="utf-8"),
        json.loads(arguments.report.read_text(encoding="utf-8")),
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def bill_of_materials(status: str, os_release: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """The document for these Debian packages and wheels.

    Raises KeyError when the report has no plexigate.
    """
    system = dict(re.findall(r'^(\w+)="?(.*?)"?$', os_release, re.MULTILINE))
    wheels = {one.pop("bom-name"): one for one in map(_wheel, report["install"])}
    program = wheels.pop("plexigate")
    packages = [_debian(one, system) for _, one in sorted(installed(status).items())]
    components = [_system(system), *packages, *(wheels[name] for name in sorted(wheels))]
    image = {"type": "container", "bom-ref": "image", "name": program["name"], "version": program["version"]}
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**image, "components": [program]}},
        "components": components,
        "dependencies": [
            {"ref": "image", "dependsOn": [program["bom-ref"], *(one["bom-ref"] for one in components)]},
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(content, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "serialNumber": f"urn:uuid:{serial}",
        **content,
    }


def _system(system: Mapping[str, str]) -> Component:
    reference = f"os:{system['ID']}-{system['VERSION_ID']}"
    return {"type": "operating-system", "bom-ref": reference, "name": system["ID"], "version": system["VERSION_ID"]}


def _debian(package: Package, system: Mapping[str, str]) -> Component:
    """A Debian package; `upstream` of its address is the source, which security notices name."""
    address = f"pkg:deb/{system['ID']}/{quote(package.name, safe='')}@{quote(package.version, safe='')}"
    address += f"?arch={package.architecture}&distro={system['ID']}-{system['VERSION_ID']}"
    address += f"&upstream={quote(package.source, safe='')}"
    return {
        "type": "library",
        "bom-ref": address,
        "name": package.name,
        "version": package.version,
        "purl": address,
    }


def _wheel(entry: Mapping[str, Any]) -> Component:
    """A wheel of pip's report. `bom-name` is its normalized name, the key for sorting."""
    metadata = entry["metadata"]
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    address = f"pkg:pypi/{name}@{quote(metadata['version'], safe='')}"
    component: Component = {
        "bom-name": name,
        "type": "library",
        "bom-ref": address,
        "name": metadata["name"],
        "version": metadata["version"],
        "purl": address,
        "hashes": _hashes(entry["download_info"].get("archive_info", {}).get("hashes", {})),
    }
    if expression := metadata.get("license_expression"):
        component["licenses"] = [{"expression": expression}]
    return component


def _hashes(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": found["sha256"]}] if "sha256" in found else []


if __name__ == "__main__":
    main()
