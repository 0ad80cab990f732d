"""Prints the packages of PyPI that are in this virtual environment: name, version, license."""

import sys
from importlib.metadata import distributions

for found in sorted(distributions(), key=lambda one: one.metadata["Name"].lower()):
    known = found.metadata
    license_text = known.get("License-Expression") or (known.get("License") or "").partition("\n")[0]
    if not license_text:
        named = [one for one in known.get_all("Classifier") or [] if one.startswith("License ::")]
        license_text = ", ".join(one.rpartition(" :: ")[2] for one in named)
    sys.stdout.write(f"{known['Name']} {known['Version']}: {license_text}\n")
