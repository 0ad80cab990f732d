"""What identities demand of their clients, built from a configuration."""

import pytest

from config.schema import IdentityConfig
from proxy.building.clients import reserved_names
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.openssl.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.client_authorities import ClientAuthority
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems

ROOT = ClientAuthority("Root")


def text(site: Site, **settings: str) -> str:
    (site.directory / "clients.pem").write_bytes(ROOT.pem)
    (site.directory / "clients.crl").write_bytes(ROOT.revocations())
    lines = [f'{key} = "{value}"' for key, value in {"ca": "clients.pem", **settings}.items()]
    table = "\n".join(["[identity.chat.client_certificates]", *lines, ""])
    return MINIMAL_LISTENER + site.identity + table + MINIMAL_REST


def chat(generation: Generation) -> ServerIdentity:
    identity = generation.listeners["public"].policy.identities.resolve("chat.test")
    assert identity is not None
    return identity


def test_identity_asks_as_its_file_says(site: Site, capabilities: Capabilities) -> None:
    for mode, is_required in (("require", True), ("optional", False)):
        one = chat(built(site, capabilities, text(site, mode=mode, crl="clients.crl")))
        assert one.clients is not None
        assert one.clients.is_required is is_required
        assert one.context.current.verify_mode.name == ("CERT_REQUIRED" if is_required else "CERT_OPTIONAL")
    assert chat(built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST)).clients is None


def test_what_did_not_change_is_used_again(site: Site, capabilities: Capabilities) -> None:
    unchanged = text(site)
    first = built(site, capabilities, unchanged)
    second = built(site, capabilities, unchanged, first.carried)
    assert chat(first).clients is chat(second).clients
    assert chat(first).context is chat(second).context
    third = built(site, capabilities, text(site, mode="optional"), second.carried)
    assert chat(third).clients != chat(second).clients
    assert chat(third).context is not chat(second).context


def test_files_are_judged_where_the_identity_is_built(site: Site, capabilities: Capabilities) -> None:
    (problem,) = problems(site, capabilities, text(site, crl="missing.crl")).values()
    assert problem.key == "identity.chat.client_certificates.crl"


@pytest.mark.parametrize(
    ("name", "reserved"), [("wide", {"admin.test"}), ("asking", set()), ("other", set()), ("narrow", set())]
)
def test_a_wildcard_leaves_names_to_those_that_ask(name: str, reserved: set[str]) -> None:
    def identity(*names: str, asks: bool = False) -> IdentityConfig:
        table = {"client_certificates": {"ca": "a"}} if asks else {}
        return IdentityConfig.model_validate({"names": names, "certificate": "c", "key": "k", **table})

    identities = {
        "wide": identity("*.test", "test"),
        "asking": identity("admin.test", "*.admin.test", asks=True),
        "other": identity("files.test"),
        "narrow": identity("*.files.test"),
    }
    assert reserved_names(identities, name) == reserved
