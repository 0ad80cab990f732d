"""`plexigate doctor FILE --cbom OUT`: writes the cryptographic bill of materials."""

import json
from pathlib import Path
from typing import Final

from rich.console import Console

from config.values.problems import printable
from proxy.commands.terminal.asking import ended
from proxy.commands.terminal.output_file import AlreadyThere, write_for_person
from proxy.doctor.cbom.document import bill
from proxy.doctor.cbom.gathering import gathered
from proxy.doctor.checkup import Examined

_UNWRITABLE: Final = 2


def write_bill(examined: Examined, path: Path, program: str) -> None:
    """Write it, and say on standard error what is in it and what could not be read.

    Only a previous bill of Plexigate is replaced. Raises `typer.Exit` if the file cannot be
    written.
    """
    if examined.configured is None:
        raise ended("--cbom needs the configuration: plexigate doctor FILE --cbom OUT", _UNWRITABLE)
    inventory = gathered(examined, program)
    document = bill(inventory)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        write_for_person(path, text.encode(), replaces=False, is_former=_is_bill)
    except AlreadyThere:
        raise ended(
            f'"{path}" exists and is not a bill of materials of Plexigate; name another file', _UNWRITABLE
        ) from None
    except OSError as error:
        raise ended(f"{path}: {error.strerror}", _UNWRITABLE) from None
    console = Console(stderr=True, highlight=False)
    for one in inventory.unread:
        console.print(f"not in it: {printable(one)}", markup=False, soft_wrap=True)
    counted = f"{len(document['components'])} components"
    observed = "with what the running proxy has observed" if inventory.is_observed else examined.absence
    console.print(f"{path}: {counted}; {printable(observed)}", markup=False, soft_wrap=True)


def _is_bill(there: bytes) -> bool:
    try:
        return bool(json.loads(there)["metadata"]["component"]["name"] == "plexigate")
    except (ValueError, KeyError, TypeError):
        return False
