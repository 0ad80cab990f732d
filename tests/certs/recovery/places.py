"""People and places for the ceremonies."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from certs.audit.entries import Action, Outcome
from certs.recovery.shares import Share, SharingScheme
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadKey, AeadSealer, SealingKey


@dataclass
class People:
    """Holders who write down what they are shown, and bring it back when they are asked."""

    refuse_at: int = 0
    answers: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seen: list[Share] = field(default_factory=list)
    shown: Share | None = None

    def say(self, text: str) -> None:
        assert self.shown is None, "said while a share is on the screen"
        self.said.append(text)

    def show(self, share: Share, scheme: SharingScheme) -> None:
        assert share.number <= scheme.count
        self.shown = share
        self.seen.append(share)

    def is_written_down(self, share: Share) -> bool:
        assert share is self.shown
        return share.number != self.refuse_at

    def hide(self) -> None:
        self.shown = None

    def ask_share(self, question: str) -> str:
        self.said.append(question)
        return self.answers.pop(0) if self.answers else ""


@dataclass
class Token:
    """A token that shows nothing: it keeps what it is given."""

    key: AeadKey | None = None
    refuses: bool = False
    swaps: AeadKey | None = None
    """Another key that it uses in place of the one that it was given."""
    given: bytes = b""

    place = "token plexi"
    is_outside_again = False

    def require_free(self) -> None:
        if self.key is not None:
            raise ImportRefused("token plexi has a sealing key already")

    def envelope_id(self, secret: bytearray) -> bytes:
        return key_id_of(secret)

    def import_key(self, secret: bytearray) -> AeadKey:
        if self.refuses:
            raise ImportRefused("token plexi: CKR_DEVICE_MEMORY")
        self.given = bytes(secret)
        self.key = self.swaps or HeldKey(self.given)
        return self.key

    def require_import(self) -> None:
        pass

    def generate(self) -> SealingKey:
        return AeadSealer(self.import_key(bytearray(range(32))))


@dataclass
class Records:
    """What was written to the audit log."""

    entries: list[tuple[Action, Outcome, str]] = field(default_factory=list)

    def __call__(self, action: Action, outcome: Outcome, detail: str) -> None:
        self.entries.append((action, outcome, detail))

    @property
    def steps(self) -> list[tuple[str, str]]:
        return [(action.value, outcome.value) for action, outcome, _ in self.entries]


def leaks(words: Sequence[str], text: str) -> bool:
    """Whether two words that follow each other in a share do so in a text: one alone may be there by chance."""
    written = re.findall(r"[a-z]+", text.lower())
    return not set(itertools.pairwise(words)).isdisjoint(itertools.pairwise(written))
