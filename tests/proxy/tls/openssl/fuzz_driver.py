"""A program that gives a driver of TLS what no client sends: whatever comes, it answers, raises what it says, or refuses.

    python -m tests.proxy.tls.openssl.fuzz_driver SECONDS [SEED]

Clients shake hands and talk, their bytes cut anywhere, spoiled, repeated, left out, or swapped; drivers change in between. What
a driver delivers before an error is what the client has written. Under AddressSanitizer, which then sees each access of `_native.c`:

    gcc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fPIC -shared $(python3-config --includes) -o proxy/tls/openssl/_native$(python3-config --extension-suffix) proxy/tls/openssl/_native.c
    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so) python -m tests.proxy.tls.openssl.fuzz_driver 60
"""

import random
import ssl
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from proxy.tls.openssl.driver import TlsDriver, driver_name, new_driver
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import TlsClient

if TYPE_CHECKING:
    from proxy.tls.openssl.tls_object import TlsObject

_GROUPS: Final = ("X25519", "X25519MLKEM768:X25519", "X25519MLKEM768:*X25519")
_SERVERS: Final = tuple(hellos.server_context(groups) for groups in ("X25519MLKEM768 / X25519", "X25519"))
_CLIENTS: Final = tuple(hellos.client_context(groups) for groups in _GROUPS)
_SIZES: Final = (0, 1, 5, 21, 300, 16_383, 16_384, 16_385, 50_000)
_SPOILED: Final = 0.15
_MOST_CALLS: Final = 30


class Fuzzed:
    """One connection, and the driver that has its object."""

    def __init__(self, chance: random.Random, drivers: list[TlsDriver], seen: Counter[str]) -> None:
        self.chance = chance
        self.drivers = drivers
        self.seen = seen
        self.driver = chance.choice(drivers)
        self.client = TlsClient(None, chance.choice(_CLIENTS))  # type: ignore[arg-type]
        self.tls: TlsObject = self.driver.server_side(chance.choice(_SERVERS))
        self.is_good = True
        """Whether the server has got all bytes as they were sent, and the other way round."""

    def run(self) -> None:
        """Shake hands, then talk."""
        while not self.shaken():
            if not self.is_good and self.chance.random() < 0.5:
                break
        for _ in range(self.chance.randrange(_MOST_CALLS)):
            self.chance.choice((self.ask, self.ask, self.answer, self.change, self.end))()

    def shaken(self) -> bool:
        """Make a step of the handshake; whether it is over, in one way or another."""
        try:
            said = self.client.handshake_step()
        except ssl.SSLError:
            return True
        for piece in self.cut(said or b"?"):
            is_finished, flight, rest, tickets, error = self.driver.handshake(
                self.tls, piece, self.chance.randrange(3), self.chance.choice((0, 38))
            )
            assert piece.endswith(rest)
            self.client.incoming.write(flight + tickets)
            self.seen["handshakes" if is_finished else "steps"] += 1
            if error is not None:
                assert not self.is_good, error
                self.seen[str(error.reason)] += 1
            if is_finished or error is not None:
                return True
        return False

    def ask(self) -> None:
        """Have the client send something."""
        data = self.chance.randbytes(self.chance.choice(_SIZES))
        try:
            wire = self.client.sealed(data)
            if self.chance.random() < 0.1:
                wire += self.client.key_updates(self.chance.randrange(4), self.chance.randrange(2))
        except (ssl.SSLError, AssertionError):
            wire = self.chance.randbytes(50)
            self.is_good = False
        was_good, received = self.is_good, b""
        for piece in self.cut(wire):
            got, records, has_ended, output, error = self.driver.decrypt(
                self.tls, piece if self.chance.random() < 0.5 else memoryview(piece), self.chance.randrange(5)
            )
            assert records <= len(piece) // 23 + 1
            received += got
            self.client.incoming.write(output)
            if error is not None:
                assert not self.is_good, error
                self.seen[str(error.reason)] += 1
            self.seen["ends"] += has_ended
        self.seen["octets"] += len(received)
        if was_good:
            assert data.startswith(received) if not self.is_good else data == received

    def answer(self) -> None:
        """Have the server send something, which its client reads."""
        data = self.chance.randbytes(self.chance.choice(_SIZES))
        try:
            self.client.incoming.write(self.driver.encrypt(self.tls, data, self.chance.randrange(3)))
        except ssl.SSLError as error:
            self.seen[str(error.reason)] += 1
            return
        received = b""
        try:
            while piece := self.client.tls.read(65_536):
                received += piece
        except ssl.SSLWantReadError:
            if self.is_good:
                assert received == data
        except ssl.SSLError:
            assert not self.is_good
        if self.client.outgoing.pending:
            self.driver.decrypt(self.tls, self.client.outgoing.read(), 1)

    def change(self) -> None:
        """Hand the object over to another driver."""
        other = self.chance.choice(self.drivers)
        self.driver.release(self.tls)
        other.adopt(self.tls)
        self.driver = other

    def end(self) -> None:
        """Seldom: forget the key, or end our direction."""
        if self.chance.random() < 0.3:
            self.driver.forget_key_share(self.tls)
        elif self.chance.random() < 0.1:
            self.client.incoming.write(self.driver.close_notify(self.tls))
            self.is_good = False

    def cut(self, wire: bytes) -> list[bytes]:
        """The bytes in pieces, perhaps not as they were."""
        chance = self.chance
        if wire and chance.random() < _SPOILED:
            self.is_good = False
            spoiled = bytearray(wire)
            start = chance.randrange(len(spoiled))
            match chance.randrange(5):
                case 0:
                    spoiled[start] ^= 1 << chance.randrange(8)
                case 1:
                    del spoiled[start : start + chance.randrange(1, 100)]
                case 2:
                    spoiled[start:start] = chance.randbytes(chance.randrange(1, 100))
                case 3:
                    spoiled += spoiled[start:]
                case _:
                    spoiled = bytearray(chance.randbytes(chance.randrange(1, 40_000)))
            wire = bytes(spoiled)
        borders = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.choice((0, 0, 1, 3, 10))))
        return [wire[start:stop] for start, stop in zip([0, *borders], [*borders, len(wire)], strict=True)]


def main(seconds: float, seed: int) -> None:
    """Fuzz until the time is over, and print what was seen."""
    chance, seen, end = random.Random(seed), Counter[str](), time.monotonic() + seconds  # noqa: S311 - repeatable on purpose
    drivers, kept = [new_driver() for _ in range(3)], list[Fuzzed]()
    while time.monotonic() < end:
        one = Fuzzed(chance, drivers, seen)
        one.run()
        kept.append(one)  # objects are freed in another order than they were made
        if len(kept) > 50:
            del kept[chance.randrange(len(kept))]
        if chance.random() < 0.01:
            drivers[chance.randrange(len(drivers))] = new_driver()
        seen["connections"] += 1
    print(driver_name(), seed, dict(seen))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
