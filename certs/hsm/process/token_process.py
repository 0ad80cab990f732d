"""The process that talks to a PKCS#11 module: `python -P -m` this, with a socket
as its standard input.

python-pkcs11 initialises a module without locking, so threads would crash it; it cannot live beside
pkcs11-provider; and a module that hangs cannot be interrupted. So it has a process of its own, in
which one thread makes all calls, one after the other, and whose leader kills it when a call takes
too long. Requests, PINs among them, come over the socket and nowhere else. It ends with its leader,
also while a call hangs: a second thread, which never touches the module, watches the other end of
the socket.

A token that hangs while tokens are looked for must not hide the others. A call to it ends only with
the process, so the process begins again (execve) without its slot and looks once more; the leader
notices nothing but the time. This is done for calls that look for tokens, which have no secrets.

Standard output is not ours: modules print there.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

import pkcs11

from certs.hsm import frames
from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.errors import CallFailed, ErrorDocument, HsmError, TokenProcessLost, as_document
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from certs.hsm.process import measuring
from certs.hsm.process.key_store import TokenKeyStore
from certs.hsm.process.key_use import KeyUse
from certs.hsm.process.module import Module, failed
from certs.hsm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_PR_SET_DUMPABLE: Final = 4
_LOOKING: Final = frozenset({"find", "tokens"})


class _Answer(TypedDict, total=False):
    answer: Any
    error: ErrorDocument


def main() -> None:
    """Answer calls until the leader is gone."""
    _keep_memory_private()
    _let_searches_end_in_silence()
    # a terminal's Ctrl-C is the leader's to act on
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=os.dup(0))
    threading.Thread(target=_end_with, args=(sock,), daemon=True).start()
    service = _Service()
    # an error of the socket: the leader has closed its end, and does not want the answer in
    # progress
    with contextlib.suppress(ConnectionError):
        request = service.begin_again(json.loads(sys.argv[1])) if sys.argv[1:] else _receive(sock)
        while request is not None:
            sock.sendall(frames.pack({"id": request["id"], **service.answer(request)}))
            if request["call"] == "bye":
                break
            request = _receive(sock)
    # not by the interpreter's end: modules crash there, and everything has been given back
    os._exit(0)


class _Service:
    """The calls, by name, on the one module and the one login of this process."""

    def __init__(self) -> None:
        self._path = ""
        self._silent: list[int] = []
        """Slots that do not answer."""
        self._request: frames.Frame = {}
        self._module: Module | None = None
        self._keys: TokenKeyStore | None = None
        self._use: KeyUse | None = None
        self._session: pkcs11.Session | None = None
        self._calls: dict[str, Callable[[frames.Arguments], Any]] = {
            "load": self._load,
            "tokens": lambda _: [asdict(one) for one in self._loaded().tokens()],
            "find": self._find,
            "log_in": self._log_in,
            "init_token": self._init_token,
            "keys": lambda _: [asdict(one) for one in self._opened()[0].listed()],
            "public_parts": lambda body: self._opened()[0].public_parts(_address(body)),
            "generate": lambda body: asdict(self._opened()[0].generate(_name(body))),
            "generate_opening": lambda body: asdict(self._opened()[0].generate_opening(_name(body))),
            "import_secret": lambda body: asdict(self._opened()[0].import_secret(_name(body), body["value"])),
            "destroy": lambda body: asdict(self._opened()[0].destroy(_address(body))),
            "sign": self._sign,
            "encrypt": self._encrypt,
            "decrypt": self._decrypt,
            "agree": lambda body: self._opened()[1].agree(_address(body), body["point"]),
            "unwrap": lambda body: self._opened()[1].unwrap(_address(body), body["wrapped"]),
            "random": lambda body: self._opened()[1].random(body["count"]),
            "measure": self._measure,
            "bye": self._bye,
        }

    def begin_again(self, left: frames.Frame) -> frames.Frame:
        """Go on where the process before this one hung; the request that it could not answer."""
        self._path = left["module"]
        self._silent = left["silent"]
        self._module = self._load_module()
        return dict(left["request"])

    def _hangs(self, slot: int) -> None:
        """Begin this process again, in a thread, if it looks for tokens, else end it."""
        if self._request["call"] not in _LOOKING:
            os._exit(1)
        left = {"module": self._path, "silent": [*self._silent, slot], "request": self._request}
        os.execv(sys.executable, [*sys.orig_argv[: sys.orig_argv.index("-m") + 2], json.dumps(left)])  # noqa: S606 - ourselves

    def answer(self, request: frames.Frame) -> _Answer:
        self._request = request
        try:
            return {"answer": self._calls[request["call"]](request["arguments"])}
        except HsmError as error:
            return {"error": as_document(error)}
        except pkcs11.exceptions.PKCS11Error as error:
            return {"error": as_document(failed(request["operation"], error))}
        except Exception as error:  # noqa: BLE001 - answered, as everything is
            # the leader must not wait for its deadline. Without the text: it could hold an argument
            return {"error": as_document(CallFailed(request["operation"], f"{type(error).__name__} in our own code"))}

    def _load(self, body: frames.Arguments) -> None:
        self._path = body["module"]
        self._module = self._load_module()

    def _load_module(self) -> Module:
        return Module(Path(self._path), self._silent, self._hangs)

    def _find(self, body: frames.Arguments) -> "Mapping[str, object]":
        choice = TokenChoice(body["label"], body["serial"], body["slot"])
        token, silent = self._loaded().find(choice, body["likely_slot"])
        return {"token": asdict(token), "silent_slots": silent}

    def _log_in(self, body: frames.Arguments) -> "Mapping[str, object]":
        choice = TokenChoice(body["label"], body["serial"], body["slot"])
        access = TokenAccess(
            Path(), choice, Secret(body["pin"]), Path(body["latch_directory"]), body["may_use_final_try"]
        )
        facts, self._session = self._loaded().log_in(access, body["found_in"])
        self._keys = TokenKeyStore(facts, self._session)
        self._use = KeyUse(self._session, self._keys)
        return asdict(facts)

    def _init_token(self, body: frames.Arguments) -> "Mapping[str, object]":
        return asdict(self._loaded().init_token(body["label"], Secret(body["so_pin"]), Secret(body["pin"])))

    def _sign(self, body: frames.Arguments) -> bytes:
        mechanism = SignatureMechanism(body["mechanism"])
        return self._opened()[1].sign(_address(body), mechanism, body["data"], body["hash_name"])

    def _encrypt(self, body: frames.Arguments) -> "Mapping[str, object]":
        nonce, ciphertext = self._opened()[1].encrypt(_address(body), body["plaintext"], body["associated"])
        return {"nonce": nonce, "ciphertext": ciphertext}

    def _decrypt(self, body: frames.Arguments) -> bytes:
        return self._opened()[1].decrypt(_address(body), body["nonce"], body["ciphertext"], body["associated"])

    def _measure(self, body: frames.Arguments) -> list[float]:
        keys, use = self._opened()
        address = _address(body) if "label" in body else None
        return measuring.MEASURED[body["what"]](measuring.Bench(keys, use, address, body["count"], body["seconds"]))

    def _bye(self, _body: frames.Arguments) -> None:
        if self._session is not None:
            self._session.close()
        if self._module is not None:
            self._module.finalize()

    def _loaded(self) -> Module:
        if self._module is None:
            raise TokenProcessLost("use a module", "no module was loaded")
        return self._module

    def _opened(self) -> tuple[TokenKeyStore, KeyUse]:
        if self._keys is None or self._use is None:
            raise CallFailed("be used before a login", "CKR_USER_NOT_LOGGED_IN")
        return self._keys, self._use


def _address(body: frames.Arguments) -> KeyAddress:
    return KeyAddress(body["label"], body["id"])


def _name(body: frames.Arguments) -> TokenKeyName:
    return TokenKeyName(body["identity"], KeyKind(body["kind"]), body["version"])


def _receive(sock: socket.socket) -> frames.Frame | None:
    header = _exactly(sock, frames.HEADER.size)
    payload = _exactly(sock, frames.length_of(header)) if header else b""
    return frames.unpack(payload) if payload else None


def _exactly(sock: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = sock.recv(count - len(received))
        if not part:
            return b""
        received += part
    return bytes(received)


def _end_with(sock: socket.socket) -> None:
    """Wait until the other end is closed, also while the first thread hangs."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll()
    os._exit(0)


def _let_searches_end_in_silence() -> None:
    """Suppress errors of searches whose session was lost: python-pkcs11 ends them again when it
    collects them.

    These exceptions cannot be caught; Cython prints them through one of two hooks.
    """
    usual = sys.excepthook
    usual_unraisable = sys.unraisablehook

    def uncaught(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
        if not issubclass(kind, pkcs11.exceptions.PKCS11Error):
            usual(kind, error, trace)

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not issubclass(what.exc_type, pkcs11.exceptions.PKCS11Error):
            usual_unraisable(what)

    sys.excepthook = uncaught
    sys.unraisablehook = unraisable


def _keep_memory_private() -> None:
    """Forbid core dumps and access by other processes of this user: this memory holds a PIN."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


if __name__ == "__main__":
    # a traceback has no values of ours, but stays out of a terminal's way of working
    sys.tracebacklimit = 8
    main()
