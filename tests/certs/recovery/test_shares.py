"""Shares of a key: which bring it back, and what is said of those that do not."""

import itertools
import traceback

import pytest
from shamir_mnemonic import generate_mnemonics
from shamir_mnemonic.share import Share as MnemonicShare

from certs.recovery.shares import (
    NotRebuilt,
    SchemeUnusable,
    Share,
    ShareCollector,
    ShareRefused,
    SharingScheme,
    split,
    verify,
)
from tests.certs.recovery.places import leaks

SECRET = bytearray(range(32))
SHARES = split(SECRET, SharingScheme(3, 5))
# SLIP-39, vectors.json, 19: "Valid mnemonics which can detect some errors in modular arithmetic" and 256 bits; passphrase TREZOR
OFFICIAL = (
    "humidity disease academic always aluminum jewelry energy woman receiver strategy amuse duckling lying evidence network walnut "
    "tactics forget hairy rebound impulse brother survive clothes stadium mailman rival ocean reward venture always armed unwrap",
    "humidity disease academic agency actress jacket gross physics cylinder solution fake mortgage benefit public busy prepare sharp "
    "friar change work slow purchase ruler again tricycle involve viral wireless mixture anatomy desert cargo upgrade",
)


def text(share: Share) -> str:
    return " ".join(share.words)


def refused(collector: ShareCollector, words: str) -> str:
    with pytest.raises(ShareRefused) as caught:
        collector.add(words)
    shown = "".join(traceback.format_exception(caught.value))
    assert not leaks(words.split(), shown)
    return str(caught.value)


@pytest.mark.parametrize("chosen", list(itertools.permutations(range(5), 3)))
def test_any_three_of_five_in_any_order(chosen: tuple[int, ...]) -> None:
    collector = ShareCollector()
    assert ShareCollector().needed is None
    for index in chosen:
        assert not collector.is_complete
        assert collector.add(text(SHARES[index])) == index + 1
    assert (collector.is_complete, collector.needed, collector.count) == (True, 3, 3)
    assert collector.rebuild() == SECRET


def test_shares_are_33_words_and_are_not_shown() -> None:
    assert {len(share.words) for share in SHARES} == {33}
    assert [share.number for share in SHARES] == [1, 2, 3, 4, 5]
    assert repr(SHARES[0]) == "Share(number=1)"


def test_words_may_be_shortened_and_in_capitals() -> None:
    collector = ShareCollector()
    for share in SHARES[:3]:
        collector.add("  ".join(word[:4].upper() for word in share.words) + "\n")
    assert collector.rebuild() == SECRET


def test_shares_that_other_programs_made_are_read() -> None:
    assert {MnemonicShare.from_mnemonic(one).member_threshold for one in OFFICIAL} == {2}
    collector = ShareCollector()
    for one in OFFICIAL:
        collector.add(one)
    assert len(collector.rebuild()) == 32


class TestRefused:
    def test_a_word_that_is_none(self) -> None:
        words = list(SHARES[0].words)
        words[6] = "plexigate"
        assert refused(ShareCollector(), " ".join(words)) == "word 7 is not in the list of SLIP-39"

    def test_a_misread_word_and_two_that_changed_places(self) -> None:
        words = list(SHARES[0].words)
        words[6] = "academic" if words[6] != "academic" else "acid"
        assert "checksum is wrong" in refused(ShareCollector(), " ".join(words))
        swapped = list(SHARES[0].words)
        place = next(place for place in range(4, 32) if swapped[place] != swapped[place + 1])
        swapped[place : place + 2] = reversed(swapped[place : place + 2])
        assert "checksum is wrong" in refused(ShareCollector(), " ".join(swapped))

    def test_too_few_words(self) -> None:
        assert refused(ShareCollector(), "academic acid") == "a share of this key has 33 words; these are 2"

    def test_the_same_again(self) -> None:
        collector = ShareCollector()
        collector.add(text(SHARES[1]))
        assert refused(collector, text(SHARES[1])) == "share 2 was already given"
        assert collector.count == 1

    def test_of_another_splitting_of_the_same_key(self) -> None:
        collector = ShareCollector()
        collector.add(text(SHARES[0]))
        assert "another split" in refused(collector, text(split(SECRET, SharingScheme(3, 5))[1]))

    def test_of_groups(self) -> None:
        groups = generate_mnemonics(2, [(2, 3), (2, 3)], bytes(SECRET))
        assert "into groups" in refused(ShareCollector(), groups[0][0])

    def test_a_forged_share_with_a_right_checksum(self) -> None:
        real = MnemonicShare.from_mnemonic(text(SHARES[2]))
        forged = MnemonicShare(
            real.identifier, real.extendable, real.iteration_exponent, 0, 1, 1, real.index, 3, bytes(32)
        )
        collector = ShareCollector()
        for words in (text(SHARES[0]), text(SHARES[1]), forged.mnemonic()):
            collector.add(words)
        with pytest.raises(NotRebuilt, match="their digest is wrong"):
            collector.rebuild()


class TestVerify:
    def test_every_choice_when_they_are_few(self) -> None:
        assert verify(SHARES, 3, SECRET) == 10
        assert verify(split(SECRET, SharingScheme(2, 2)), 2, SECRET) == 1

    def test_many_choices_with_each_share_among_them(self) -> None:
        assert verify(split(SECRET, SharingScheme(8, 16)), 8, SECRET) == 800

    def test_shares_of_another_key(self) -> None:
        with pytest.raises(NotRebuilt, match="do not use them"):
            verify(SHARES, 3, bytearray(32))

    def test_one_share_of_another_splitting(self) -> None:
        other = MnemonicShare.from_mnemonic(text(SHARES[4]))
        wrong = MnemonicShare(other.identifier, other.extendable, 1, 0, 1, 1, 4, 3, bytes(32))
        with pytest.raises(NotRebuilt, match="digest"):
            verify([*SHARES[:4], Share(5, tuple(wrong.words()))], 3, SECRET)

    def test_a_splitting_that_went_wrong_is_not_handed_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = generate_mnemonics(1, [(2, 3)], bytes(32))
        monkeypatch.setattr("certs.recovery.shares.generate_mnemonics", lambda *_: wrong)
        with pytest.raises(NotRebuilt, match="do not use them"):
            split(SECRET, SharingScheme(2, 3))


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (1, 5), (6, 5), (2, 17), (0, 0)])
def test_what_no_scheme_is(threshold: int, count: int) -> None:
    with pytest.raises(
        SchemeUnusable, match=f"found threshold {threshold} of {count} shares; allowed: a threshold from 2"
    ):
        SharingScheme(threshold, count)


def test_only_whole_keys_are_split() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        split(bytearray(16), SharingScheme(2, 3))
    assert str(SharingScheme(2, 3)) == "2 of 3"
