"""Shares of a key by SLIP-39: words that people can write down; a threshold of shares rebuilds the
key.

SLIP-39 (https://github.com/satoshilabs/slips/blob/master/slip-0039.md) splits by Shamir over
GF(256), adds a checksum of 30 bits to each share and a digest to the secret, so a share that was
misread and shares that do not belong together are both found. One group is used, no passphrase. A
key of 256 bits makes shares of 33 words.

Messages never contain a word of a share: they name its place.
"""

import itertools
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shamir_mnemonic import EncryptedMasterSecret, generate_mnemonics
from shamir_mnemonic.shamir import ShareGroup, recover_ems
from shamir_mnemonic.share import Share as MnemonicShare
from shamir_mnemonic.utils import MnemonicError
from shamir_mnemonic.wordlist import WORDLIST

KEY_BYTES: Final = 32
WORDS: Final = 33
"""Words of a share of a key of 256 bits (SLIP-39, "Format of the share mnemonic")."""
MOST_SHARES: Final = 16  # four bits (SLIP-39)

# All subsets up to 5 of 12 or 8 of 12; more take minutes.
_SUBSETS: Final = 800
_PREFIX: Final = 4  # each word is told from all others by its first four letters (SLIP-39)
_WORDS: Final = {**{word[:_PREFIX]: word for word in WORDLIST}, **{word: word for word in WORDLIST}}


class ShareRefused(Exception):
    """The given text is not a usable share; the message says why, without a word of the share."""


class NotRebuilt(Exception):
    """The shares together do not give a sealing key."""


class SchemeUnusable(Exception):
    """An impossible threshold or number of shares."""

    def __init__(self, threshold: int, count: int) -> None:
        super().__init__(threshold, count)
        self.threshold = threshold
        self.count = count

    def __str__(self) -> str:
        return (
            f"found threshold {self.threshold} of {self.count} shares; allowed: a threshold from 2 to the number of shares, and "
            f"at most {MOST_SHARES} shares"
        )


@dataclass(frozen=True, slots=True)
class SharingScheme:
    """`threshold` of `count` shares are needed. Raises `SchemeUnusable`."""

    threshold: int
    count: int

    def __post_init__(self) -> None:
        if not 2 <= self.threshold <= self.count <= MOST_SHARES:
            raise SchemeUnusable(self.threshold, self.count)

    def __str__(self) -> str:
        return f"{self.threshold} of {self.count}"


@dataclass(frozen=True, slots=True)
class Share:
    """A share: its `number` from 1, and its words, which are never shown by accident."""

    number: int
    words: tuple[str, ...] = field(repr=False)


def split(secret: bytearray, scheme: SharingScheme) -> tuple[Share, ...]:
    """Split a key of 32 bytes, and verify that every choice of as many shares as are needed brings
    it back (`verify`).
    """
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a key of {KEY_BYTES} bytes is split")
    (mnemonics,) = generate_mnemonics(1, [(scheme.threshold, scheme.count)], bytes(secret))
    shares = tuple(Share(number, tuple(text.split())) for number, text in enumerate(mnemonics, 1))
    verify(shares, scheme.threshold, secret)
    return shares


def verify(shares: Sequence[Share], threshold: int, secret: bytearray) -> int:
    """Rebuild the key from the words of every `threshold` of the shares; where there are too many
    choices, from many at random.

    Each share is in one of them at least. Answers how many choices were tried; raises `NotRebuilt`.
    """
    parsed = [_parse(share.words) for share in shares]
    tried = 0
    known_good: EncryptedMasterSecret | None = None
    for choice in _choices(parsed, threshold):
        rebuilt = _rebuilt(choice)
        # the encryption, which takes most of the time, is judged once: what is equal before it is
        # equal after it
        if rebuilt != known_good and (known_good is not None or rebuilt.decrypt(b"") != secret):
            raise NotRebuilt("the new shares do not rebuild the key; do not use them")
        known_good = rebuilt
        tried += 1
    return tried


class ShareCollector:
    """Takes shares one after the other until there are enough."""

    def __init__(self) -> None:
        self._shares: dict[int, MnemonicShare] = {}

    @property
    def needed(self) -> int | None:
        """How many shares are needed; None before the first, which tells."""
        return next((share.member_threshold for share in self._shares.values()), None)

    @property
    def count(self) -> int:
        return len(self._shares)

    @property
    def is_complete(self) -> bool:
        return self.needed is not None and self.count >= self.needed

    def add(self, text: str) -> int:
        """Take a share, by its words or their first four letters. Raises `ShareRefused`."""
        share = _parse(text.split())
        first = next(iter(self._shares.values()), None)
        if first is not None and share.group_parameters() != first.group_parameters():
            raise ShareRefused("this share belongs to another key, or to another split of the same key")
        if share.index in self._shares:
            raise ShareRefused(f"share {share.index + 1} was already given")
        self._shares[share.index] = share
        return int(share.index) + 1

    def rebuild(self) -> bytearray:
        """The key; raises `NotRebuilt` if the shares are of different keys."""
        secret = bytearray(_rebuilt(tuple(self._shares.values())).decrypt(b""))
        if len(secret) != KEY_BYTES:
            raise NotRebuilt(f"these shares give a secret of {len(secret)} bytes; a sealing key has {KEY_BYTES} bytes")
        return secret


def _rebuilt(shares: Sequence[MnemonicShare]) -> EncryptedMasterSecret:
    group = ShareGroup()
    for share in shares:
        group.add(share)
    try:
        return recover_ems({0: group})
    except MnemonicError:
        raise NotRebuilt(
            "these shares do not belong together: their digest is wrong, so at least one is forged"
        ) from None


def _parse(words: Sequence[str]) -> MnemonicShare:
    # `from None` throughout: the library's messages contain words of the share
    full = [_word(place, word) for place, word in enumerate(words, 1)]
    if len(full) != WORDS:
        raise ShareRefused(f"a share of this key has {WORDS} words; these are {len(full)}")
    try:
        share = MnemonicShare.from_mnemonic(" ".join(full))
    except MnemonicError:
        raise ShareRefused("the checksum is wrong: a word was misread, or two words are swapped") from None
    if share.group_count != 1:
        raise ShareRefused("this share belongs to a split into groups, which Plexigate does not use")
    return share


def _word(place: int, word: str) -> str:
    try:
        return str(_WORDS[word.lower()])
    except KeyError:
        raise ShareRefused(f"word {place} is not in the list of SLIP-39") from None


def _choices(shares: Sequence[MnemonicShare], threshold: int) -> Iterator[Sequence[MnemonicShare]]:
    if math.comb(len(shares), threshold) <= _SUBSETS:
        yield from itertools.combinations(shares, threshold)
        return
    for start in range(len(shares)):  # each share once in the first place
        yield [shares[(start + offset) % len(shares)] for offset in range(threshold)]
    chance = secrets.SystemRandom()
    for _ in range(_SUBSETS - len(shares)):
        yield chance.sample(shares, threshold)
