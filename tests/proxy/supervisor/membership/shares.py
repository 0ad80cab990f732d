"""Nodes whose sealing keys have recovery shares."""

from pathlib import Path

from certs.audit.entries import unheard
from certs.backup.recoverable import RecoverySeal
from certs.hierarchy.vault import Vault
from certs.recovery.shares import Share, ShareCollector, SharingScheme, split
from certs.sealing.key_file import KeyFileImporter, create_key
from certs.sealing.master import Master
from tests.backups import NOW
from tests.proxy.supervisor.membership.nodes import KEM, World


def sealing(world: World, node: str, key: Path) -> RecoverySeal:
    """Let a node have a sealing key in a file, and the keys below it in a directory of its own."""
    directory = world.directory / f"{node}.sealing"
    vault = Vault(Master(key), directory, lambda: NOW, unheard, tuple)
    _ = vault.ring("backup")
    world.recovery[node] = RecoverySeal(directory, lambda: vault, lambda: key, KEM)
    return world.recovery[node]


def with_shares(world: World, node: str) -> tuple[Share, ...]:
    """Let a node have a sealing key with shares."""
    key = create_key(world.directory / f"{node}.key", has_shares=True)
    sealing(world, node, world.directory / f"{node}.key")
    return split(bytearray(key.secret), SharingScheme(2, 3))


def recovered(world: World, shares: tuple[Share, ...], node: str) -> None:
    """Bring the sealing key of these shares back, on the machine of a node."""
    collector = ShareCollector()
    for share in shares:
        collector.add(" ".join(share.words))
    KeyFileImporter(world.directory / "again.key").import_key(collector.rebuild())
    sealing(world, node, world.directory / "again.key")
