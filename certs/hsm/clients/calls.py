"""The calls to a token process: each with its deadline and the way to read its answer.

A call is a value: the same calls go through `TokenProcess` (command line) and `AsyncTokenProcess`
(parent).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.facts import KeyAddress, KeyFacts, TokenFacts
from certs.hsm.frames import Arguments
from certs.hsm.key_kinds import SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from certs.hsm.process.key_templates import RSA_BITS, Attributes
from certs.hsm.secret import Secret

Answer = TypeVar("Answer")

# Seconds. Starting the interpreter and a module that looks for its device over a network.
_LOAD: Final = 15.0
# A login may wait for another process that logs in to the same token (`pin_latch`).
_LOGIN: Final = 15.0
_QUICK: Final = 5.0
# Hundreds of keys at some ten round trips of 200 ms, at worst.
_LIST: Final = 60.0
# RSA-4096 takes a smart card a minute and more. Other keys take seconds, and nothing else of their
# issuer is renewed meanwhile.
_GENERATE: Final = 180.0
_GENERATE_OTHER: Final = 20.0
_SIGN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A call: `seconds` after it was made the process is killed.

    Neither repr nor errors show the arguments: a PIN is among them.
    """

    name: str
    operation: str
    """What it does, for errors: `the token failed to OPERATION`."""
    seconds: float
    read: Callable[[Any], Answer]
    arguments: Arguments = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What AES-256-GCM made: the nonce, and the ciphertext with its tag at the end."""

    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class PublicParts:
    """The attributes of a public key: CKA_EC_PARAMS and the like by their names.

    `certs.keys.token_public_key` makes a key of them.
    """

    attributes: Attributes


def load(module: Path) -> Call[None]:
    """Load a module; the first call of a process. Raises ModuleUnusable."""
    return Call("load", "load its module", _LOAD, _nothing, {"module": str(module)})


def tokens() -> Call[list[TokenFacts]]:
    return Call("tokens", "list the tokens", _LIST, lambda answer: [TokenFacts.from_document(one) for one in answer])


@dataclass(frozen=True, slots=True)
class FoundToken:
    token: TokenFacts
    silent_slots: frozenset[int] | None
    """All slots of the module whose token does not answer; None if not all were asked."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        silent = document["silent_slots"]
        return cls(TokenFacts.from_document(document["token"]), None if silent is None else frozenset(silent))


def find(choice: TokenChoice, likely_slot: int | None = None) -> Call[FoundToken]:
    """The one token that is chosen. `likely_slot` is where it was before.

    Raises TokenMissing, TokenAmbiguous, TokenSilent.
    """
    return Call("find", "be found", _LIST, FoundToken.from_document, {**asdict(choice), "likely_slot": likely_slot})


def log_in(access: TokenAccess, slot: int) -> Call[TokenFacts]:
    """Log in to the token that was found in a slot, at most once; answers what the token said of
    itself before, such as a PIN of which one try is left.

    Raises TokenMissing, PinLatched, PinFinalTry, PinRefused, LatchUnusable.
    """
    arguments = {
        **asdict(access.token),
        "pin": access.pin.reveal(),
        "latch_directory": str(access.latch_directory),
        "may_use_final_try": access.may_use_final_try,
        "found_in": slot,
    }
    return Call("log_in", "log in", _LOGIN, TokenFacts.from_document, arguments)


def init_token(label: str, so_pin: Secret, pin: Secret) -> Call[TokenFacts]:
    """Set up a slot that has no token yet. Raises TokenMissing when none is free."""
    arguments = {"label": label, "so_pin": so_pin.reveal(), "pin": pin.reveal()}
    return Call("init_token", "be initialised", _GENERATE, TokenFacts.from_document, arguments)


def keys() -> Call[list[KeyFacts]]:
    """The private and secret keys, by label."""
    return Call("keys", "list its keys", _LIST, lambda answer: [KeyFacts.from_document(one) for one in answer])


def public_parts(address: KeyAddress) -> Call[PublicParts]:
    """What a public key is made of. Raises KeyMissing, KeyAmbiguous."""
    return Call("public_parts", "show a public key", _QUICK, PublicParts, asdict(address))


def generate(name: TokenKeyName) -> Call[KeyFacts]:
    """Make a key. Raises CapabilityMissing, KeyExists, KeyNotAsAsked."""
    seconds = _GENERATE if name.kind in RSA_BITS else _GENERATE_OTHER
    return Call("generate", "make a key", seconds, KeyFacts.from_document, asdict(name))


def generate_opening(name: TokenKeyName) -> Call[KeyFacts]:
    """Make a key pair (`key_kinds.opening_kind`) that opens what was sealed with its public half.

    Raises KeyExists, KeyNotAsAsked.
    """
    return Call("generate_opening", "make a key", _GENERATE, KeyFacts.from_document, asdict(name))


def import_secret(name: TokenKeyName, value: bytes) -> Call[KeyFacts]:
    """Put a secret key that was made outside into the token.

    Raises CapabilityMissing, KeyExists, KeyNotAsAsked.
    """
    arguments = {**asdict(name), "value": value}
    return Call("import_secret", "take a key", _SIGN, KeyFacts.from_document, arguments)


def destroy(address: KeyAddress) -> Call[KeyFacts]:
    """Destroy a key and its public half, verified; answers what it was.

    Raises KeyMissing, KeyAmbiguous, KeyNotGone.
    """
    return Call("destroy", "destroy a key", _LIST, KeyFacts.from_document, asdict(address))


def sign(address: KeyAddress, mechanism: SignatureMechanism, data: bytes, hash_name: str | None = None) -> Call[bytes]:
    """Sign a digest or a message (see `SignatureMechanism`); `hash_name` is that of RSA, such as
    `sha256`.

    A signature of ECDSA is r and s, each of the curve's length. Raises KeyMissing, KeyAmbiguous.
    """
    arguments = {**asdict(address), "mechanism": mechanism.value, "data": data, "hash_name": hash_name}
    return Call("sign", "sign", _SIGN, bytes, arguments)


def encrypt(address: KeyAddress, plaintext: bytes, associated: bytes = b"") -> Call[Sealed]:
    """Seal with AES-256-GCM, under a fresh nonce of the token's generator; `associated` is
    authenticated and not encrypted.
    """
    arguments = {**asdict(address), "plaintext": plaintext, "associated": associated}
    return Call("encrypt", "encrypt", _SIGN, lambda answer: Sealed(answer["nonce"], answer["ciphertext"]), arguments)


def decrypt(address: KeyAddress, sealed: Sealed, associated: bytes = b"") -> Call[bytes]:
    """Open what `encrypt` sealed.

    Raises CallFailed for what was tampered with, with a return value that differs between tokens.
    """
    arguments = {
        **asdict(address),
        "nonce": sealed.nonce,
        "ciphertext": sealed.ciphertext,
        "associated": associated,
    }
    return Call("decrypt", "decrypt", _SIGN, bytes, arguments)


def agree(address: KeyAddress, point: bytes) -> Call[bytes]:
    """ECDH with an uncompressed point: the x coordinate. Raises KeyMissing, KeyAmbiguous."""
    return Call("agree", "agree on a key", _SIGN, bytes, {**asdict(address), "point": point})


def unwrap(address: KeyAddress, wrapped: bytes) -> Call[bytes]:
    """Decrypt with RSAES-OAEP (`sealing.unwrapping.OAEP`). Raises KeyMissing, KeyAmbiguous."""
    return Call("unwrap", "unwrap a key", _SIGN, bytes, {**asdict(address), "wrapped": wrapped})


def random(count: int) -> Call[bytes]:
    return Call("random", "give random bytes", _QUICK, bytes, {"count": count})


def measure(what: str, address: KeyAddress | None, count: int, seconds: float) -> Call[list[float]]:
    """How long an operation takes in the token, in seconds each: `count` times, or until `seconds`
    are over.

    `what` is a name of `certs.hsm.process.measuring.MEASURED`.
    """
    arguments = {"what": what, "count": count, "seconds": seconds, **(asdict(address) if address else {})}
    return Call(
        "measure", f"measure {what}", seconds + _GENERATE, lambda answer: [float(one) for one in answer], arguments
    )


def bye() -> Call[None]:
    """Log out, give the module back and end."""
    return Call("bye", "end", _QUICK, _nothing)


def _nothing(_answer: Any) -> None:
    return None
