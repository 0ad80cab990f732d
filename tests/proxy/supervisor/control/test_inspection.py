"""What each worker shows is known, whatever the kernel would choose."""

from pathlib import Path

from proxy.supervisor.control.inspection import connected_pair
from proxy.supervisor.editions.issued import as_material
from tests.serving_rotations import serving


async def test_each_kind_of_credential_is_looked_at(tmp_path: Path) -> None:
    async with serving(tmp_path, "ec-p256@file", "mldsa-65@file") as one:
        rows = await one.inspection.of("chat")
        assert rows is not None
        assert [(row["worker"], row["listener"], row["algorithm"]) for row in rows] == [
            (worker, "public", "ecdsa-p256") for worker in (0, 1)
        ], "the other one was not issued yet"
        assert await one.inspection.of("nobody") is None


async def test_a_worker_that_shows_something_else_is_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as one:
        second = one.scene.stored()
        number, material = one.served.next_number(), one.files(second)
        one.served.edition = one.served.edition.with_issued(
            number, as_material(material)
        )  # which no worker has heard of
        rows = await one.inspection.of("chat")
        assert rows is not None
        assert len(rows) == 2
        assert all(row["fault"] for row in rows)


def test_both_ends_belong_together() -> None:
    ours, theirs = connected_pair()
    with ours, theirs:
        assert ours.getpeername() == theirs.getsockname()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"
