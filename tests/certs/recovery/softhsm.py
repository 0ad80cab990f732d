"""A real token as the place for a sealing key: SoftHSM through python-pkcs11, in a process of its own.

The process is asked over a pipe, one JSON line a question: python-pkcs11 must not live in the process of the tests.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from certs.sealing.errors import KeyUnavailable
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadSealer, SealingKey

MODULE = next(
    (
        path
        for path in (
            Path("/usr/lib/softhsm/libsofthsm2.so"),
            Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
            Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
        )
        if path.exists()
    ),
    Path("/usr/lib/softhsm/libsofthsm2.so"),
)

PROCESS = """
import json, os, sys
import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.mechanisms import GCMParams, Mechanism
session = pkcs11.lib(sys.argv[1]).get_token(token_label="plexi").open(rw=True, user_pin="1234")
NAME = {Attribute.LABEL: "sealing", Attribute.ID: bytes(range(16))}
KEPT = {Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
        Attribute.ENCRYPT: True, Attribute.DECRYPT: True, Attribute.WRAP: False, Attribute.UNWRAP: False}
def key():
    return session.get_key(object_class=ObjectClass.SECRET_KEY, label="sealing")
def gcm(nonce, associated):
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, associated or None, 128)}
def do(what, values):
    if what == "count":
        return [len(list(session.get_objects({Attribute.LABEL: "sealing"})))]
    if what == "import":
        session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
                               Attribute.VALUE: values[0], **NAME, **KEPT})
    if what == "generate":
        session.generate_key(KeyType.AES, 256, store=True, template={**NAME, **KEPT})
    if what == "attributes":
        found = key()
        names = Attribute.SENSITIVE, Attribute.EXTRACTABLE, Attribute.LOCAL, Attribute.NEVER_EXTRACTABLE
        return [bool(found[name]) for name in names]
    if what == "value":
        return [key()[Attribute.VALUE].hex()]
    if what == "encrypt":
        nonce = session.generate_random(96)
        return [nonce.hex(), key().encrypt(values[0], **gcm(nonce, values[1])).hex()]
    if what == "decrypt":
        return [key().decrypt(values[1], **gcm(values[0], values[2])).hex()]
    return []
for line in sys.stdin:
    what, *values = json.loads(line)
    try:
        answer = {"answer": do(what, [bytes.fromhex(one) for one in values])}
    except pkcs11.PKCS11Error as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), flush=True)
"""


class Refused(Exception):
    """The token's answer to what it does not do."""


@dataclass
class SoftHsm:
    """A `KeyImporter` of a token that was made for this test; it is the `AeadKey` in it as well."""

    process: subprocess.Popen[str]

    place = "token plexi"
    is_outside_again = False
    key_id = bytes(range(16))
    has_shares = None

    @classmethod
    def start(cls, directory: Path) -> Self:
        configuration = directory / "softhsm2.conf"
        (directory / "tokens").mkdir()
        configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\n")
        environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
        init = ["softhsm2-util", "--init-token", "--free", "--label", "plexi", "--pin", "1234", "--so-pin", "1234"]
        subprocess.run(init, env=environment, check=True, capture_output=True)
        command = [sys.executable, "-W", "ignore", "-c", PROCESS, str(MODULE)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return cls(subprocess.Popen(command, env=environment, **pipes))  # type: ignore[call-overload]

    def ask(self, what: str, *values: bytes) -> list[Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([what, *(one.hex() for one in values)]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return list(answer["answer"])

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def require_free(self) -> None:
        if self.ask("count") != [0]:
            raise ImportRefused("token plexi has a sealing key already")

    def envelope_id(self, _secret: bytearray) -> bytes:
        return self.key_id

    def import_key(self, secret: bytearray) -> Self:
        self.ask("import", bytes(secret))
        return self

    def require_import(self) -> None:
        pass

    def generate(self) -> SealingKey:
        self.ask("generate")
        return AeadSealer(self)

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        nonce, sealed = self.ask("encrypt", plain, associated)
        return bytes.fromhex(nonce), bytes.fromhex(sealed)

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        try:
            return bytes.fromhex(self.ask("decrypt", nonce, ciphertext, associated)[0])
        except Refused as error:
            raise KeyUnavailable(str(error)) from None
