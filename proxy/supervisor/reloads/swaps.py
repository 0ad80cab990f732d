"""Changes of issued credentials, by the same two phases as a reload. No file is read again."""

from collections.abc import Callable, Mapping
from pathlib import Path

from certs.storage.served import ServedFile
from proxy.supervisor.editions.issued import as_material
from proxy.supervisor.reloads.renewal import Renewal


async def swap_issued(renew: Renewal, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
    """Serve by another version of an issued credential, see `rotation.running.Swap`."""
    material = as_material(files)
    # `decide` runs between the phases. A process that ends before it starts again with the old
    # version. A process that ends after it starts again with the new one.
    await renew(lambda edition, number: edition.with_issued(number, material), lambda _: decide())
