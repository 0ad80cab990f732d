"""The level `quantum-safe`: every signature is by ML-DSA-87."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.identities.identities import load_credentials
from certs.storage.disk import Disk
from certs.storage.intent import Intent
from certs.storage.ledger import Retirement
from certs.storage.shelf import Shelf
from certs.storage.store import paths_of, root_directory
from config.loading.loader import load
from config.values.problems import Problem
from tests.certs.authority import DAY, NOW, Issued, issue, private_key, write
from tests.client_authorities import ClientAuthority

BASE = """
[listener.public]
bind = "127.0.0.1:8443"
level = "quantum-safe"
[upstream.chat]
servers = ["https://127.0.0.1:8000"]
[[route]]
host = "chat.example.org"
upstream = "chat"
[identity.chat]
names = ["chat.example.org"]
"""
SINGLE = BASE + 'certificate = "chat.pem"\nkey = "chat.key"\n'
ISSUED = BASE + '[[identity.chat.credential]]\nkey = "mldsa-87@file"\nissuer = "ours"\n[rotation]\nstate = "state"\n'
INTERNAL = '[issuer.ours]\ntype = "internal"\nkey = "mldsa-87@file"\nroot = "mldsa-87@file"\n'


def said(directory: Path, text: str, files: dict[Path, Path] | None = None) -> list[Problem]:
    path = directory / "plexigate.toml"
    path.write_text(text)
    loaded = load(path)
    if files is not None:
        loaded = replace(loaded, file=replace(loaded.file, files=files))
    return [one for one in load_credentials(loaded, NOW).problems if one.key.startswith("listener")]


def weaker(directory: Path, text: str, files: dict[Path, Path] | None = None) -> str | None:
    """What the level refuses; the exception by name says the same as a warning."""
    found = said(directory, text, files)
    allowed = said(directory, text.replace('"quantum-safe"', '"quantum-safe"\nweaker_signatures = true'), files)
    assert [one.severity for one in (*found, *allowed)] in ([], ["error", "warning"])
    if not found:
        return None
    assert (found[0].key, allowed[0].key) == ("listener.public.level", "listener.public.weaker_signatures")
    (first, second) = (one.found.partition(": ")[2] for one in (*found, *allowed))
    assert first == second
    return first


def leaf(kind: str = "mldsa-87", issuer: Issued | None = None) -> Issued:
    return issue("chat", private_key(kind), issuer=issuer, names=["chat.example.org"])


@pytest.mark.parametrize("kind", ["mldsa-87", "mldsa-65", "ecdsa-p256"])
def test_leaf_is_judged(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "chat", leaf(kind))
    assert weaker(tmp_path, SINGLE) == (None if kind == "mldsa-87" else f"chat ({kind})")


@pytest.mark.parametrize(
    ("kind", "how"), [("ecdsa-p384", "ecdsa-sha256"), ("mldsa-44", "mldsa-44"), ("rsa-3072", "rsa-sha256")]
)
@pytest.mark.parametrize("is_sent", [True, False])
def test_issuer_is_judged_whether_it_is_sent_or_not(
    tmp_path: Path,
    kind: str,
    how: str,
    is_sent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    root = issue("Old root", private_key(kind, 5))
    write(tmp_path, "chat", leaf(issuer=root), *([root] if is_sent else []))
    assert weaker(tmp_path, SINGLE) == f'chat (mldsa-87, signed with {how} by "CN=Old root")'


def test_root_above_a_good_intermediate_is_judged(tmp_path: Path) -> None:
    old, good = issue("Old root", private_key("ecdsa-p384", 5)), issue("Good root", private_key("mldsa-87", 5))
    for root, weakness in ((good, None), (old, 'chat (mldsa-87, signed with ecdsa-sha256 by "CN=Old root")')):
        between = issue("Between", private_key("mldsa-87", 6), issuer=root)
        write(tmp_path, "chat", leaf(issuer=between), between)
        assert weaker(tmp_path, SINGLE) == weakness


def test_other_levels_are_not_concerned(tmp_path: Path) -> None:
    write(tmp_path, "chat", leaf("ecdsa-p256"))
    assert weaker(tmp_path, SINGLE.replace("quantum-safe", "critical")) is None


def test_internal_issuer_is_judged_before_it_has_issued_anything(tmp_path: Path) -> None:
    assert weaker(tmp_path, ISSUED + INTERNAL) is None
    by_default = '[issuer.ours]\ntype = "internal"\n'
    assert weaker(tmp_path, ISSUED + by_default) == "chat (mldsa-87, by issuer ours with key ecdsa-p384)"
    half = INTERNAL.replace('root = "mldsa-87', 'root = "ec-p384')
    assert weaker(tmp_path, ISSUED + half) == "chat (mldsa-87, by issuer ours with root ecdsa-p384)"
    other = ISSUED.replace("mldsa-87@", "ec-p256@")
    assert weaker(tmp_path, other + INTERNAL) == "chat (ecdsa-p256)"


def test_root_that_is_in_the_state_directory_counts_more_than_the_configured_one(tmp_path: Path) -> None:
    shelf = Shelf(root_directory(tmp_path / "state", "ours"), "ours", "root", Disk())
    number = shelf.begin(Intent("ec-p384@file", "ours", (), "made", NOW))
    shelf.keep_key(number, b"moved away")
    shelf.keep_chain(number, issue("root", private_key("ecdsa-p384", 5)).pem)
    shelf.complete(number)
    shelf.serve(number, Retirement(NOW, NOW + DAY, "made"))
    assert weaker(tmp_path, ISSUED + INTERNAL) == "chat (mldsa-87, by issuer ours with root ecdsa-p384)"
    (root_directory(tmp_path / "state", "ours") / "ledger.json").write_text("damaged")
    assert weaker(tmp_path, ISSUED + INTERNAL) is None, "workers may not read it, and the parent has said it"


def test_issued_chain_is_judged_by_its_issuer_as_it_may_stand_in_for_what_follows(tmp_path: Path) -> None:
    files = dict(
        zip(paths_of("chat", "mldsa-87", tmp_path / "state"), (tmp_path / "i.pem", tmp_path / "i.key"), strict=True)
    )
    write(tmp_path, "i", leaf(issuer=issue("Old root", private_key("ecdsa-p384", 5))))
    (warning,) = said(tmp_path, ISSUED + INTERNAL, files)
    assert (warning.key, warning.severity) == ("listener.public.level", "warning")
    assert warning.found.endswith(': chat (mldsa-87, signed with ecdsa-sha256 by "CN=Old root")')
    assert warning.allowed.endswith(": plexigate certs rotate chat")


def test_authorities_of_clients_are_judged(tmp_path: Path) -> None:
    write(tmp_path, "chat", leaf())
    asking = SINGLE + 'client_certificates = { mode = "optional", ca = "clients.pem" }\n'
    for kind, weakness in (
        ("mldsa-87", None),
        ("ecdsa-p384", "ecdsa-p384"),
        ("mldsa-44", "mldsa-44"),
        ("ed448", "another kind of key"),
    ):
        (tmp_path / "clients.pem").write_bytes(ClientAuthority("Bots", kind).pem)
        expected = None if weakness is None else f'clients of chat (authority "CN=Bots", {weakness})'
        assert weaker(tmp_path, asking) == expected
