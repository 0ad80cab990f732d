"""PKCS#11 URIs (RFC 7512): the name of one key in one token.

Pure: text in, a value or `Refused` out.

The RFC lets a URI match any number of tokens and objects; here it must name one token and one key.
A login to all tokens that match would tell the PIN of one token to the others, and among several
keys chance would pick. A URI never holds a PIN, because URIs are logged. The PIN comes from the
place that `[hsm.token.NAME]` names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from config.values.addresses import Refused

_SCHEME: Final = "pkcs11:"

# Of a value in the path: pk11-pchar of RFC 7512 2.3.
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*")
# What stands for itself when we write; all else is encoded, which every reader must understand (RFC
# 7512 2.3).
_UNRESERVED: Final = re.compile(rb"[A-Za-z0-9._~-]")
_PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9._~/-]")
_SLOT: Final = re.compile(r"[0-9]{1,20}")

# The longest value of each attribute in octets: the sizes of CK_TOKEN_INFO (PKCS#11 2.40 section
# 3.2). Labels and ids of objects have no limit of their own; ours is beyond any real one.
_LONGEST: Final = {
    "token": 32,
    "manufacturer": 32,
    "model": 16,
    "serial": 16,
    "slot-id": 20,
    "object": 255,
    "id": 255,
    "type": 7,
}

_EXAMPLE: Final = '"pkcs11:token=plexi;object=chat"'
_WHICH_TOKEN: Final = "the token by its token=, serial= or slot-id="  # noqa: S105 - a device
_WHICH_KEY: Final = "the key by its object= (label) or id="


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """One private key in one token, see `parse`.

    Each field is an attribute of RFC 7512 2.3, decoded; None where the URI does not say it.
    `object` is the label of the key (CKA_LABEL), `id` its CKA_ID; `token` is the label of the
    token.
    """

    token: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None

    def __str__(self) -> str:
        return _SCHEME + ";".join(f"{name}={_encoded(value)}" for name, value in self._attributes())

    def with_pin_source(self, path: str) -> str:
        """Write it for OpenSSL: exactly the private key, and the PIN in the file at `path`."""
        return f"{self};type=private?pin-source=file:{_encoded(path.encode(), _PLAIN_PATH)}"

    def _attributes(self) -> Iterator[tuple[str, bytes]]:
        texts = {
            "token": self.token,
            "serial": self.serial,
            "slot-id": None if self.slot_id is None else str(self.slot_id),
            "manufacturer": self.manufacturer,
            "model": self.model,
            "object": self.object,
        }
        for name, text in texts.items():
            if text is not None:
                yield name, text.encode()
        if self.id is not None:
            yield "id", self.id


def is_pkcs11_uri(text: str | bytes) -> bool:
    """Whether a text, or the content of a file, wants to be one, so that what is wrong with it can
    be said.

    Schemes know no case (RFC 3986 3.1), so nothing else is to look for one.
    """
    start = text[: len(_SCHEME)]
    return (start if isinstance(start, str) else start.decode("ascii", "replace")).lower() == _SCHEME


def parse(text: str) -> Pkcs11Uri:
    """Read a URI that names one token and one private key. Raises `Refused`."""
    if not is_pkcs11_uri(text):
        raise Refused(f"a PKCS#11 URI such as {_EXAMPLE}")
    path, question, query = text[len(_SCHEME) :].partition("?")
    if question:
        raise _query_refused(query)
    attributes = dict(_split(path))
    if attributes.pop("type", b"private") != b"private":
        raise Refused("type=private, or none: it is the private key that signs")
    if not attributes.keys() & {"token", "serial", "slot-id"}:
        raise Refused(
            f"{_WHICH_TOKEN}, as in {_EXAMPLE}: without it the PIN would go to every token", found="no token in the URI"
        )
    if not attributes.keys() & {"object", "id"}:
        raise Refused(
            f"{_WHICH_KEY}, as in {_EXAMPLE}: without it some key of the token would be taken",
            found="no key in the URI",
        )
    identifier = attributes.pop("id", None)
    slot = attributes.pop("slot-id", None)
    texts = {name: _text(name, value) for name, value in attributes.items()}
    return Pkcs11Uri(**texts, id=identifier, slot_id=None if slot is None else _slot(slot))


def _query_refused(query: str) -> Refused:
    names = {part.partition("=")[0] for part in query.split("&")}
    if names & {"pin-value", "pin-source"}:
        allowed = "no PIN in a URI, which is logged: pin_file or pin_credential of its [hsm.token.NAME]"
        return Refused(allowed, found="a PIN in the URI (not shown)")
    if names & {"module-name", "module-path"}:
        return Refused("no module in a URI: [hsm] names the one module for all keys", found="a module in the URI")
    return Refused(f'nothing behind a "?", as in {_EXAMPLE}', found='something behind a "?" in the URI')


def _split(path: str) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for part in path.split(";"):
        name, equals, value = part.partition("=")
        if name not in _LONGEST or not equals:
            known = ", ".join(f"{one}=" for one in _LONGEST)
            found = (
                f'"{name[:32]}" in the URI'
                if name.isascii() and name.isprintable() and name
                else "an empty attribute in the URI"
            )
            raise Refused(f"of the attributes of RFC 7512 these: {known}", found=found)
        if name in seen:
            raise Refused("each attribute once (RFC 7512 2.3)", found=f"{name}= twice in the URI")
        if not _VALUE.fullmatch(value):
            allowed = 'letters, digits and "-._~:[]@!$\'()*+,=&", all else as %XX, a space as %20 (RFC 7512 2.3)'
            raise Refused(allowed, found=f"a character in {name}= that must be encoded")
        decoded = unquote_to_bytes(value)
        if not 1 <= len(decoded) <= _LONGEST[name]:
            raise Refused(f"a {name}= of 1 to {_LONGEST[name]} octets", found=f"a {name}= of {len(decoded)} octets")
        seen.add(name)
        yield name, decoded


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Refused("UTF-8 (RFC 7512 2.3)", found=f"a {name}= that is not UTF-8") from None
    if not text.isprintable() or text != text.rstrip(" "):
        # tokens pad their fields with blanks, which are not compared
        raise Refused(
            "printable characters, and no space at the end", found=f"a {name}= with white space or control characters"
        )
    return text


def _slot(value: bytes) -> int:
    text = value.decode("ascii", "replace")
    if not _SLOT.fullmatch(text):
        raise Refused("the number of a slot in decimal digits", found="a slot-id= that is not a number")
    return int(text)


def _encoded(value: bytes, plain: "re.Pattern[bytes]" = _UNRESERVED) -> str:
    octets = (value[index : index + 1] for index in range(len(value)))
    return "".join(one.decode() if plain.fullmatch(one) else f"%{one[0]:02X}" for one in octets)
