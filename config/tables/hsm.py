"""The shape of `[hsm]`: the PKCS#11 module, its tokens, and how a key of a credential is written.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from config.values.addresses import Refused
from config.values.kinds import (
    ONE_OR_A_LIST,
    CredentialName,
    FilePath,
    LibraryPath,
    Name,
    PathRole,
    Table,
    parse_path_of_file,
)
from config.values.pkcs11_uri import Pkcs11Uri, is_pkcs11_uri, parse

# Of CK_TOKEN_INFO (PKCS#11 2.40 section 3.2).
_LONGEST_LABEL = 32  # octets
_LONGEST_SERIAL = 16  # octets

_LOGIN_SESSIONS = 1
"""Each worker has one: OpenSSL's provider stays logged in by it, beside the sessions that sign."""
_PARENT_SESSIONS = 2
"""One that probes, one for a command of the operator."""

KeySource = str | Pkcs11Uri
"""Where a private key is: the path of a file, or a key in a token."""


def parse_key(value: object) -> KeySource:
    """Read where a private key is. Raises `Refused`."""
    if isinstance(value, Pkcs11Uri):
        return value
    if not isinstance(value, str):
        raise Refused('the path of a file, or a PKCS#11 URI such as "pkcs11:token=plexi;object=chat"')
    return parse(value) if is_pkcs11_uri(value) else parse_path_of_file(value)


OptionalOwnKey = Annotated[
    KeySource | None, PlainValidator(lambda value: None if value is None else parse_key(value)), PathRole.OWN
]
"""A key that only the parent uses, or none."""


def _are_alike(keys: tuple[KeySource, ...]) -> tuple[KeySource, ...]:
    if len(keys) > 1 and any(isinstance(key, str) for key in keys):
        raise Refused(
            "a list of PKCS#11 URIs only: the same key in several tokens, which replace each other",
            found="the path of a file in a list of keys",
        )
    return keys


Keys = Annotated[
    tuple[Annotated[KeySource, PlainValidator(parse_key), PathRole.READ], ...],
    ONE_OR_A_LIST,
    Field(min_length=1),
    AfterValidator(_are_alike),
]
"""`key` of a credential: one, or the same key in several tokens in the order of preference."""


def parse_label(value: str) -> str:
    """Read the label of a token. Raises `Refused`."""
    return _parse_field(value, _LONGEST_LABEL, "label")


def _parse_serial(value: str) -> str:
    return _parse_field(value, _LONGEST_SERIAL, "serial number")


def _parse_field(value: str, longest: int, what: str) -> str:
    if not 1 <= len(value.encode()) <= longest or not value.isprintable() or value != value.rstrip(" "):
        raise Refused(f"the {what} of a token: 1 to {longest} octets, printable, no space at the end")
    return value


class TokenConfig(Table):
    """`[hsm.token.NAME]`: a token and how to log in to it.

    It is found by each of `label`, `serial` and `slot` that is not None; if none is, by the label
    NAME (`HsmConfig.names`). The PIN stands in the file `pin_file` or in the systemd credential
    `pin_credential`. `max_sessions` are those that all processes together may have open at one
    time.
    """

    label: Annotated[str, AfterValidator(parse_label)] | None = None
    serial: Annotated[str, AfterValidator(_parse_serial)] | None = None
    slot: int | None = Field(default=None, ge=0, le=2**64 - 1, strict=True)
    pin_file: FilePath | None = None
    pin_credential: CredentialName | None = None
    max_sessions: int = Field(default=16, ge=1, le=1_000, strict=True)

    def signing_threads(self, workers: int) -> int:
        """How many signatures each of `workers` workers may have in flight; below 1 there
        are too few sessions.
        """
        return (self.max_sessions - _PARENT_SESSIONS - _LOGIN_SESSIONS * workers) // workers

    @staticmethod
    def fewest_sessions(workers: int) -> int:
        """The smallest `max_sessions` with which each of `workers` workers can sign."""
        return _PARENT_SESSIONS + (_LOGIN_SESSIONS + 1) * workers

    @model_validator(mode="after")
    def _has_one_pin(self) -> Self:
        given = [key for key in ("pin_file", "pin_credential") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither pin_file nor pin_credential"
            raise Refused("one of pin_file and pin_credential", found=found, about=("pin_file", "pin_credential"))
        return self


class TokenNames(Table):
    """What a token is found by; None where it may be anything."""

    label: str | None
    serial: str | None
    slot: int | None

    def are_named_by(self, uri: Pkcs11Uri) -> bool:
        """Whether a URI means this token: by at least one of its names, and by no other name than
        this token has.
        """
        pairs = [(self.label, uri.token), (self.serial, uri.serial), (self.slot, uri.slot_id)]
        both = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
        return bool(both) and all(ours == theirs for ours, theirs in both)


class HsmConfig(Table):
    """`[hsm]`: where private keys are that never leave it.

    `module` is the PKCS#11 library of its vendor.
    """

    module: LibraryPath
    token: Annotated[dict[Name, TokenConfig], Field(min_length=1)]

    @property
    def names(self) -> Mapping[str, TokenNames]:
        return {name: _names(name, token) for name, token in self.token.items()}

    def tokens_of(self, uri: Pkcs11Uri) -> tuple[str, ...]:
        """The NAMEs of the tokens that a URI means: exactly one in a checked configuration."""
        return tuple(name for name, names in self.names.items() if names.are_named_by(uri))

    def full_uri(self, uri: Pkcs11Uri) -> Pkcs11Uri:
        """The URI with all that its token is found by, so that no other token can be meant."""
        (name,) = self.tokens_of(uri)
        names = self.names[name]
        return Pkcs11Uri(
            token=uri.token or names.label,
            serial=uri.serial or names.serial,
            slot_id=names.slot if uri.slot_id is None else uri.slot_id,
            manufacturer=uri.manufacturer,
            model=uri.model,
            object=uri.object,
            id=uri.id,
        )


def _names(name: str, token: TokenConfig) -> TokenNames:
    is_named = any(one is not None for one in (token.label, token.serial, token.slot))
    return TokenNames(label=token.label if is_named else name, serial=token.serial, slot=token.slot)
