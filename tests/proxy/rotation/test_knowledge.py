"""What is known of each credential."""

import asyncio
from datetime import datetime
from pathlib import Path

from certs.issuing.issuer import RenewalWindow
from certs.keys.home import HomeFailed, KeyName
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.planning import Instant
from certs.tokens.token_use import KeyPlace
from proxy.rotation.knowledge import Knowledge
from tests.certs.authority import DAY
from tests.certs.fake_token import FakeToken
from tests.rotations import Rotations, configuration

CHAT, QUANTUM = ("chat", "ec"), ("chat", "mldsa-65")


async def known(scene: Rotations) -> Knowledge:
    knowledge = Knowledge(asyncio.get_running_loop())
    await knowledge.follow(scene.parts)
    return knowledge


async def test_what_serves_and_what_is_missing(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration("ec-p256@file", "mldsa-65@file"))
    version = scene.serve()
    knowledge = await known(scene)
    assert knowledge.missing == [QUANTUM]
    assert knowledge.serials == {CHAT: f"{leaf_of(version).serial_number:x}"}
    assert knowledge.facts[QUANTUM].current is None
    assert knowledge.keys("chat", None) == [CHAT, QUANTUM]
    assert knowledge.keys("chat", "ec") == [CHAT]
    assert knowledge.keys("other", None) == []
    listed = knowledge.listing({}, {QUANTUM: "the CA is down"}, {CHAT}, scene.time.now)
    assert [(one["credential"], one["last_error"], one["running"]) for one in listed] == [
        ("ec", None, True),
        ("mldsa-65", "the CA is down", False),
    ]


async def test_no_configuration_has_no_credentials(tmp_path: Path) -> None:
    knowledge = await known(Rotations(tmp_path))
    await knowledge.follow(None)
    assert knowledge.credentials == {}


async def test_what_is_damaged_is_unusable_and_told(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve().chain_path.write_bytes(b"rubbish")
    knowledge = await known(scene)
    assert knowledge.facts[CHAT].is_unusable
    (listed,) = knowledge.listing({}, {}, (), scene.time.now)
    assert "it is not a PEM" in str(listed["last_error"])


async def test_uses_count_for_what_serves(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration().replace("[issuer", "rotate_key_after_uses = 1_000\n[issuer", 1))
    scene.serve()
    knowledge = await known(scene)
    assert knowledge.limits_uses
    assert await knowledge.count({"chat": 700})
    assert not await knowledge.count({"chat": 700})
    current = knowledge.facts[CHAT].current
    assert current is not None
    assert current.uses == 700


async def test_windows_and_revocations_are_known(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    scene.serve(RenewalReason.COMPROMISED)
    knowledge = await known(scene)
    assert knowledge.credentials[CHAT].serving.is_unrevoked
    window = RenewalWindow(scene.time.now, scene.time.now + DAY)
    knowledge.windows.said(CHAT, knowledge.serials[CHAT], window, Instant(scene.time.now, 0.0))
    await knowledge.learn()
    current = knowledge.facts[CHAT].current
    assert current is not None
    assert current.window == window


async def test_a_key_is_lost_if_its_token_says_so(tmp_path: Path) -> None:
    token = TokenOfUris()
    scene = Rotations(tmp_path, configuration("ec-p256@plexi"), homes={"plexi": token})
    version = scene.serve()
    knowledge = await known(scene)
    name = str(scene.shelf().key_name(version.number, version.spec))
    missing = [KeyPlace("plexi", f"pkcs11:token=plexi;object={name}")]

    async def is_lost(*suspects: KeyPlace) -> bool:
        knowledge.suspect(suspects)
        await knowledge.learn()
        return knowledge.facts[CHAT].is_lost

    assert not await is_lost(*missing), "a worker saw an old state"
    token.keys.clear()
    assert not await is_lost()
    assert not await is_lost(KeyPlace("spare", missing[0].location))
    assert not await is_lost(KeyPlace("plexi", "pkcs11:token=plexi;object=another"))
    token.error = HomeFailed("plexi", "no token with label plexi")
    assert not await is_lost(*missing)
    token.error = None
    assert await is_lost(*missing)
    assert knowledge.suspect(missing) is False
    assert knowledge.suspects


async def test_what_a_public_ca_has_issued_is_counted_where_a_key_is_lost(tmp_path: Path) -> None:
    token = TokenOfUris()
    scene = Rotations(tmp_path, configuration("ec-p256@plexi"), homes={"plexi": token})
    first = scene.serve().intent.begun_at
    scene.time.passes(DAY)
    version = scene.serve(RenewalReason.LOST)
    token.keys.clear()
    missing = KeyPlace("plexi", f"pkcs11:token=plexi;object={scene.shelf().key_name(version.number, version.spec)}")

    async def counted() -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
        knowledge = await known(scene)
        knowledge.suspect([missing])
        await knowledge.learn()
        facts = knowledge.facts[CHAT]
        assert facts.is_lost
        return facts.orders, facts.losses

    assert await counted() == ((), ()), "the internal CA has no limit"
    scene.follow(scene.text.replace('type = "internal"', 'type = "acme"\ndirectory = "https://ca.test"'))
    assert await counted() == ((first + DAY, first), (first + DAY,))
    scene.follow(scene.text.replace("chat.test", "other.test"))
    assert await counted() == ((), ()), "certificates for other names"


async def test_a_configuration_that_comes_during_a_look_is_not_mixed_with_the_one_before(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()

    class Asked(TokenOfUris):
        def has(self, name: KeyName, kept: bytes) -> bool:
            asyncio.run_coroutine_threadsafe(knowledge.follow(None), loop).result()
            return super().has(name, kept)

    token = Asked()
    scene = Rotations(tmp_path, configuration("ec-p256@plexi"), homes={"plexi": token})
    version = scene.serve()
    knowledge = await known(scene)
    name = scene.shelf().key_name(version.number, version.spec)
    knowledge.suspect([KeyPlace("plexi", f"pkcs11:token=plexi;object={name}")])
    token.keys.clear()
    before = knowledge.credentials[CHAT]
    await knowledge.learn()
    assert (knowledge.credentials, before.serving.is_lost) == ({}, True)


class TokenOfUris(FakeToken):
    def for_workers(self, name: KeyName, _kept: bytes) -> bytes:
        """As a `TokenHome`."""
        return f"pkcs11:token=plexi;object={name}".encode()
