"""The shape of everything that rotates automatically: `[rotation]`, issued credentials, and
issuers of type "internal". Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from config.values.addresses import Refused
from config.values.durations import Duration, OptionalDuration, Seconds, time_field
from config.values.kinds import ONE_OR_A_LIST, ServerName, Table, WebAddress, WrittenPath

FILE: Final = "file"
"""`KeySpec.place`: the key is a file in the state directory."""
SEALED: Final = "sealed"
"""`KeySpec.place`: a file as well, but one that opens only with the sealing key."""

KEY_ALGORITHMS: Final = ("ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "mldsa-65", "mldsa-87")
"""What keys can be made for."""

_KEY_SPEC: Final = re.compile(r"([a-z0-9-]+)@([A-Za-z0-9][A-Za-z0-9_.-]{0,31})")


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A kind of key and where it lives: `str()` gives `ec-p256@file`; `place` is `FILE`, `SEALED`,
    or the name of a token.
    """

    algorithm: str
    place: str

    def __str__(self) -> str:
        return f"{self.algorithm}@{self.place}"

    @property
    def kind(self) -> str:
        return kind_of_algorithm(self.algorithm)

    @property
    def is_in_token(self) -> bool:
        return self.place not in {FILE, SEALED}


def kind_of_algorithm(algorithm: str) -> str:
    """What a client chooses by: `ec`, `rsa`, `mldsa-65` or `mldsa-87`. Keys of one kind are
    replicas of each other.
    """
    return algorithm if algorithm.startswith("mldsa") else algorithm.partition("-")[0]


def parse_key_spec(value: object) -> KeySpec:
    """Read `ALGORITHM@PLACE`."""
    if isinstance(value, KeySpec):
        return value
    found = _KEY_SPEC.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[1] not in KEY_ALGORITHMS:
        raise Refused(
            f'ALGORITHM@PLACE, such as "ec-p256@file", with one of {", ".join(KEY_ALGORITHMS)} and "{FILE}", "{SEALED}" or the name of a token'
        )
    return KeySpec(found[1], found[2])


KeySpecText = Annotated[KeySpec, PlainValidator(parse_key_spec)]


KeySpecs = Annotated[tuple[KeySpecText, ...], ONE_OR_A_LIST, Field(min_length=1)]


class IssuedCredentialConfig(Table):
    """`[[identity.NAME.credential]]` with `issuer`: keys that are made here, and a certificate that
    is fetched for each.

    Several keys of one kind are replicas: in the order of preference, or to be used in turn if
    `spread`. `profile` is one of the issuer's. `rotate_key_after`: the greatest age of a key;
    `rotate_key_after_uses`: how many handshakes it may sign; each rotation makes a new key, so both
    are reasons to rotate before the certificate asks for it.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("key",)

    key: KeySpecs
    spread: bool = Field(default=False, strict=True)
    issuer: str
    profile: str | None = None
    rotate_key_after: OptionalDuration = None
    rotate_key_after_uses: int | None = Field(default=None, ge=1_000, le=1_000_000_000_000, strict=True)


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """One key of an `IssuedCredentialConfig`, with the certificate that is fetched for it.

    `index` is that of the table among those of the identity, `number` that of the key in it (None
    if it is the only one). `slot` names it among the credentials of the identity: its kind
    (`ec`), and where there are replicas, the place of this one too (`ec@spare`).
    """

    index: int
    number: int | None
    slot: str
    key: KeySpec
    settings: IssuedCredentialConfig

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    @property
    def spread(self) -> bool:
        return self.settings.spread

    @property
    def place(self) -> tuple[str | int, ...]:
        """Where its key is written, below the table of the identity."""
        return ("credential", self.index, "key", *(() if self.number is None else (self.number,)))


def issued_credentials(tables: Sequence[object]) -> Iterator[IssuedCredential]:
    """All that an identity asks for by its `credential` tables, in the order of the file."""
    issued = [(index, one) for index, one in enumerate(tables) if isinstance(one, IssuedCredentialConfig)]
    kinds = Counter(key.kind for _, one in issued for key in one.key)
    for index, one in issued:
        for number, key in enumerate(one.key):
            slot = key.kind if kinds[key.kind] == 1 else f"{key.kind}@{key.place}"
            yield IssuedCredential(index, number if len(one.key) > 1 else None, slot, key, one)


def rotate_command(identity: str, slot: str) -> str:
    """What an operator types to replace one credential of an identity."""
    return f"plexigate certs rotate {identity}" + (f" --credential {slot}" if "@" in slot else "")


def kind_of(slot: str) -> str:
    """The kind of the credential in a slot (`KeySpec.kind`)."""
    return slot.partition("@")[0]


class RotationConfig(Table):
    """`[rotation]`: `state` is the directory of keys and certificates that are made here (None:
    none are).

    `renew_when_left`: share of the lifetime that is left when a certificate is renewed. `grace`:
    how long a previous key is kept, for a rollback. `former`: how many previous certificates are
    remembered. `issue_timeout`: how long an issuer may take for one certificate.
    """

    state: WrittenPath | None = None
    renew_when_left: float = Field(default=0.34, ge=0.05, le=0.9, strict=True, allow_inf_nan=False)
    grace: Duration = timedelta(days=1)
    former: int = Field(default=10, ge=1, le=1_000, strict=True)
    issue_seconds: Seconds = time_field("issue_timeout", 600.0, least=1.0, most=86_400.0)


def _parse_type(value: object) -> object:
    if value != "internal":  # an issuer of type "acme" is another table
        raise Refused('"internal" or "acme"')
    return value


class InternalIssuerConfig(Table):
    """`[issuer.NAME]` with `type = "internal"`: a certificate authority of our own, in the state
    directory.

    `key` is that of the intermediate, `root` that of the root, which is only needed to make an
    intermediate: `root_key` is a file that it was moved to meanwhile (None: it is where it was
    made). `names` are the only ones that it may certify (None in the file: any; a DNS name stands
    for everything below it too). `lifetime` is that of a certificate. `crl_url` is written into
    certificates, for those who look for revocations.
    """

    type: Annotated[Literal["internal"], BeforeValidator(_parse_type)] = "internal"
    key: KeySpecText = KeySpec("ec-p384", FILE)
    root: KeySpecText = KeySpec("ec-p384", FILE)
    root_key: WrittenPath | None = None
    lifetime: Duration = timedelta(days=7)
    intermediate_lifetime: Duration = timedelta(days=365)
    names: tuple[ServerName, ...] = ()
    crl_url: WebAddress | None = None
