"""Making a sealing key and bringing it back: the order of the steps, and what is left when one fails."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from shamir_mnemonic.share import Share as MnemonicShare

from certs.hierarchy.store import LABEL
from certs.recovery import buffers as buffers_module
from certs.recovery import ceremony as module
from certs.recovery.ceremony import Aborted, Ceremony
from certs.recovery.hardening import NotHardened
from certs.recovery.sealed_before import SealedBefore
from certs.recovery.shares import NotRebuilt, Share, SharingScheme
from certs.sealing.errors import KeyUnavailable
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadKey, AeadSealer, SealingKey
from tests.certs.recovery.places import People, Records, Token, leaks
from tests.certs.recovery.softhsm import Refused, SoftHsm

SCHEME = SharingScheme(2, 3)


def soft() -> None:
    return None


@dataclass
class Scene:
    people: People = field(default_factory=People)
    token: Token = field(default_factory=Token)
    records: Records = field(default_factory=Records)
    harden: Callable[[], None] = soft
    before: SealedBefore | None = None

    @property
    def ceremony(self) -> Ceremony:
        return Ceremony(self.token, self.people, self.harden, self.records, self.before)


def text(share: Share) -> str:
    return " ".join(share.words)


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """The buffers of the secrets that were made."""
    made: list[bytearray] = []
    real = buffers_module.random_buffer

    def kept(length: int) -> bytearray:
        made.append(real(length))
        return made[-1]

    monkeypatch.setattr(module, "random_buffer", kept)
    return made


def test_made_split_shown_once_imported_and_said(buffers: list[bytearray]) -> None:
    scene = Scene()
    key = scene.ceremony.init(SCHEME)
    assert [share.number for share in scene.people.seen] == [1, 2, 3]
    assert scene.people.shown is None
    assert scene.token.key is key
    (said,) = scene.people.said
    assert "this key was made in the memory of this process" in said
    assert "token plexi, sensitive and not extractable" in said
    assert key_id_of(scene.token.given).hex()[:16] in said
    assert scene.records.steps == [("split", "done"), ("import", "done")]
    assert buffers == [bytearray(32)]


def test_brought_back_from_any_two(buffers: list[bytearray]) -> None:
    first = Scene()
    old = AeadSealer(first.ceremony.init(SCHEME))
    sealed = old.seal(b"ticket keys", "ticket keys: main")
    for chosen in ((0, 1), (2, 0), (1, 2)):
        people = People(answers=[text(first.people.seen[index]) for index in chosen])
        scene = Scene(people)
        check = key_id_of(first.token.given).hex()[:16]
        key = scene.ceremony.recover(check.upper())
        assert AeadSealer(key).open(sealed, "ticket keys: main") == b"ticket keys"
        assert scene.records.steps == [("import", "done"), ("recover", "done")]
        assert people.said[0] == "Share 1"
        assert people.said[2] == "Share 2 of 2"
        assert f"check value {check}" in people.said[-1]
    assert buffers


def test_people_may_make_mistakes() -> None:
    first = Scene()
    first.ceremony.init(SCHEME)
    one, two, _ = map(text, first.people.seen)
    other = Scene()
    other.ceremony.init(SCHEME)
    people = People(answers=["acid", one, one, text(other.people.seen[1]), two.replace(two.split()[9], "plexi"), two])
    scene = Scene(people)
    scene.ceremony.recover()
    assert scene.token.given == first.token.given
    refusals = [said for said in people.said if said.startswith("Refused")]
    assert len(refusals) == 4
    assert refusals[1] == "Refused: share 1 was already given."
    for share in first.people.seen:
        assert not leaks(share.words, "\n".join(people.said))


def test_nothing_is_made_in_an_unprotected_process(buffers: list[bytearray]) -> None:
    def refuse() -> None:
        raise NotHardened("mlockall", "root")

    scene = Scene(harden=refuse)
    with pytest.raises(NotHardened):
        scene.ceremony.init(SCHEME)
    with pytest.raises(NotHardened):
        scene.ceremony.recover()
    assert (buffers, scene.people.said) == ([], [])


def test_a_sealing_key_that_is_there_stays(buffers: list[bytearray]) -> None:
    key = HeldKey(bytes(32))
    scene = Scene(token=Token(key=key))
    with pytest.raises(ImportRefused, match="already"):
        scene.ceremony.init(SCHEME)
    with pytest.raises(ImportRefused, match="already"):
        scene.ceremony.generate()
    with pytest.raises(ImportRefused, match="already"):
        scene.ceremony.recover()
    assert scene.token.key is key
    assert (buffers, scene.people.seen, scene.people.said) == ([], [], [])


def test_a_holder_who_has_not_written_it_down_ends_it(buffers: list[bytearray]) -> None:
    scene = Scene(People(refuse_at=2))
    with pytest.raises(Aborted, match="the key was not stored; destroy the shares"):
        scene.ceremony.init(SCHEME)
    assert scene.token.key is None
    assert scene.people.shown is None
    assert buffers == [bytearray(32)]
    assert scene.records.steps[-1] == ("split", "refused")


def test_a_token_that_does_not_take_it(buffers: list[bytearray]) -> None:
    scene = Scene(token=Token(refuses=True))
    with pytest.raises(ImportRefused, match="CKR_DEVICE_MEMORY"):
        scene.ceremony.init(SCHEME)
    assert scene.records.steps == [("split", "done"), ("import", "failed")]
    assert buffers == [bytearray(32)]
    with pytest.raises(ImportRefused):
        scene.ceremony.generate()
    assert scene.records.steps[-1] == ("generate", "failed")


class Unusable:
    key_id = bytes(16)
    has_shares = None

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        raise KeyUnavailable(f"CKR_KEY_FUNCTION_NOT_PERMITTED {len(plain)} {len(associated)}")

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        raise KeyUnavailable(f"{len(nonce)} {len(ciphertext)} {len(associated)}")


class Forgetful(Unusable):
    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        return bytes(12), plain + associated

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        return nonce + ciphertext + associated


@pytest.mark.parametrize("other", [HeldKey(bytes(32)), Unusable(), Forgetful()])
def test_a_token_with_another_key_than_it_was_given_is_found(other: AeadKey) -> None:
    with pytest.raises(ImportRefused, match="does not open what it has sealed"):
        Scene(token=Token(swaps=other)).ceremony.init(SCHEME)


def test_without_recovery_nothing_is_shown() -> None:
    scene = Scene()
    scene.ceremony.generate()
    assert scene.people.seen == []
    assert "It has no recovery shares" in scene.people.said[0]
    assert scene.records.steps == [("generate", "done")]


def test_shares_of_another_key_are_found_by_the_check_value() -> None:
    first = Scene()
    first.ceremony.init(SCHEME)
    scene = Scene(People(answers=[text(share) for share in first.people.seen[:2]]))
    with pytest.raises(ImportRefused, match=r"give the key with the check value [0-9a-f]{16}, not 00"):
        scene.ceremony.recover("00")
    assert scene.token.key is None
    assert scene.records.steps == [("recover", "refused")]


def test_a_key_that_does_not_open_what_was_sealed_before_is_not_brought_back(tmp_path: Path) -> None:
    first, other = Scene(), Scene()
    sealed = AeadSealer(first.ceremony.init(SCHEME)).seal(b"keys", LABEL)
    other.ceremony.init(SCHEME)
    before = SealedBefore(tmp_path / "keys.sealed")
    before.path.write_bytes(sealed)
    wrong = Scene(People(answers=[text(share) for share in other.people.seen]), before=before)
    with pytest.raises(ImportRefused, match=r"keys\.sealed"):
        wrong.ceremony.recover()
    assert wrong.token.key is None
    assert wrong.records.steps == [("recover", "refused")]
    right = Scene(People(answers=[text(share) for share in first.people.seen]), before=before)
    right.ceremony.recover()
    assert right.token.given == first.token.given


def test_no_key_is_made_beside_what_was_sealed_before(tmp_path: Path, buffers: list[bytearray]) -> None:
    before = SealedBefore(tmp_path / "keys.sealed")
    before.path.touch()
    scene = Scene(before=before)
    with pytest.raises(ImportRefused, match=r"keys\.sealed.*plexigate hsm recover"):
        scene.ceremony.init(SCHEME)
    with pytest.raises(ImportRefused, match=r"keys\.sealed.*plexigate hsm recover"):
        scene.ceremony.generate()
    assert (scene.token.key, scene.people.seen, buffers) == (None, [], [])
    before.path.unlink()
    made = scene.ceremony.generate()
    assert scene.token.key is not None
    assert made.key_id == scene.token.key.key_id


def test_ended_by_an_empty_answer() -> None:
    scene = Scene()
    with pytest.raises(Aborted, match="ended with 0 shares"):
        scene.ceremony.recover()
    assert scene.records.steps == [("recover", "given up")]


class Interrupted(Token):
    """Somebody presses Ctrl-C while the token works."""

    def import_key(self, secret: bytearray) -> AeadKey:
        self.given = bytes(secret)
        raise KeyboardInterrupt

    def generate(self) -> SealingKey:
        raise KeyboardInterrupt


def test_interrupted_while_the_token_works(buffers: list[bytearray]) -> None:
    scene = Scene(token=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        scene.ceremony.init(SCHEME)
    assert scene.records.steps == [("split", "done"), ("import", "given up")]
    with pytest.raises(KeyboardInterrupt):
        scene.ceremony.generate()
    assert scene.records.steps[2:] == [("generate", "given up")]
    assert buffers == [bytearray(32)]


def test_no_error_shows_the_key_or_a_share(buffers: list[bytearray]) -> None:
    scene = Scene(token=Token(refuses=True))
    with pytest.raises(ImportRefused) as caught:
        scene.ceremony.init(SCHEME)
    shown = "".join(traceback.format_exception(caught.value))
    for share in scene.people.seen:
        assert not leaks(share.words, shown)
        assert not leaks(share.words, repr(scene.records))
        assert leaks(share.words, repr(share.words))
    assert buffers


def test_forged_shares_end_it() -> None:
    first = Scene()
    first.ceremony.init(SCHEME)
    real = MnemonicShare.from_mnemonic(text(first.people.seen[1]))
    forged = replace(real, value=bytes(32)).mnemonic()
    scene = Scene(People(answers=[text(first.people.seen[0]), forged]))
    with pytest.raises(NotRebuilt):
        scene.ceremony.recover()
    assert scene.records.steps == [("recover", "failed")]
    assert scene.token.key is None


class TestInSoftHsm:
    """A real token: the key goes in, works there, and never comes out again."""

    @pytest.fixture
    def token(self, tmp_path: Path) -> Iterator[SoftHsm]:
        token = SoftHsm.start(tmp_path)
        yield token
        token.stop()

    def test_lost_and_brought_back_in_another_token(self, token: SoftHsm, tmp_path: Path) -> None:
        people = People()
        sealer = AeadSealer(Ceremony(token, people, soft, Records()).init(SCHEME))
        sealed = sealer.seal(b"ticket keys", "ticket keys: main")
        assert sealer.open(sealed, "ticket keys: main") == b"ticket keys"
        sensitive, extractable, local, never_extractable = token.ask("attributes")
        assert (sensitive, extractable) == (True, False)
        assert (local, never_extractable) == (False, False), "it was outside once, and the token says so"
        with pytest.raises(Refused):
            token.ask("value")
        with pytest.raises(ImportRefused, match="already"):
            Ceremony(token, People(), soft, Records()).init(SCHEME)

        (tmp_path / "other").mkdir()
        other = SoftHsm.start(tmp_path / "other")
        try:
            answers = [text(people.seen[2]), text(people.seen[0])]
            again = AeadSealer(Ceremony(other, People(answers=answers), soft, Records()).recover())
            assert again.open(sealed, "ticket keys: main") == b"ticket keys"
        finally:
            other.stop()

    def test_without_recovery_it_was_never_outside(self, token: SoftHsm) -> None:
        Ceremony(token, People(), soft, Records()).generate()
        assert token.ask("attributes") == [True, False, True, True]
