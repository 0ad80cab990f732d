"""No private key in the clear: not in a file, not in an environment or command line, not in the memory of which a core is made.

It is searched for by its numbers in every order in which programs keep them, not by the header of a file format. That the search
finds what is there is shown each time: by the PIN, which a worker must have, and by a key that is in a file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.bench.usage import processes
from tests.certs.authority import private_key
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import USER_PIN
from tests.integration.hsm_scene import Scene, scene
from tests.integration.stage import workers_of
from tests.prepared_children import refused

HANDSHAKES = 20
Needles = Mapping[str, bytes]


def needles(key: EllipticCurvePrivateKey | RSAPrivateKey) -> Needles:
    """What gives a private key away: its scalar, or its exponent and primes, as octets of either order."""
    size = (key.key_size + 7) // 8
    if isinstance(key, RSAPrivateKey):
        of_rsa = key.private_numbers()
        secrets = {"d": (of_rsa.d, size), "p": (of_rsa.p, size // 2), "q": (of_rsa.q, size // 2)}
    else:
        secrets = {"scalar": (key.private_numbers().private_value, size)}
    return {
        f"{name} {order}": number.to_bytes(length, order)
        for name, (number, length) in secrets.items()
        for order in ("big", "little")
    }


def memory(pid: int) -> Iterator[bytes]:
    """All that a process may read, mapping by mapping: what its core would hold, and more."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            mapped = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)", line)
            if mapped is None or mapped[3].startswith("[v"):  # of the kernel
                continue
            begin, end = int(mapped[1], 16), int(mapped[2], 16)
            file.seek(begin)
            yield file.read(end - begin)


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    with refused():
        yield


def found(where: Iterator[bytes], secrets: Needles) -> set[str]:
    return {name for data in where for name, secret in secrets.items() if secret in data}


def given(pid: int) -> Iterator[bytes]:
    """What a process was started with."""
    return (Path(f"/proc/{pid}/{file}").read_bytes() for file in ("environ", "cmdline"))


def files(directory: Path, but: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in directory.rglob("*") if path.is_file() and path != but)


def shake_hands(one: Scene, name: str = "localhost") -> None:
    context = one.client()
    for _ in range(HANDSHAKES):
        one.handshake(context, name)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
def test_key_of_a_token_is_nowhere(hsm_site: HsmSite, kind: str) -> None:
    key = private_key(kind, 77)
    assert isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey)
    in_file = hsm_site.authority.issue("files", ("files.test",))
    further = (
        f'[identity.files]\nnames = ["files.test"]\ncertificate = "{in_file.certificate}"\nkey = "{in_file.key}"\n'
    )
    further += '[[route]]\nhost = "files.test"\nupstream = "chat"\n'
    with scene(hsm_site, kind, further=further, key=key) as one:
        shake_hands(one)
        shake_hands(one, "files.test")
        assert one.plexi.calls("C_SignInit") >= HANDSHAKES, "the token was used"

        secrets, pin = needles(key), {"PIN": USER_PIN.encode()}
        other = load_pem_private_key(in_file.key.read_bytes(), None)
        assert isinstance(other, EllipticCurvePrivateKey)
        (worker,) = workers_of(one.running.pid)
        assert found(memory(worker), {**needles(other), **pin}) >= {"scalar little", "PIN"}, "it finds what is there"

        for pid in processes(one.running.pid):
            assert found(memory(pid), secrets) == set()
            assert found(given(pid), {**secrets, **pin}) == set()
        pin_file = hsm_site.hsm.directory / "plexi.pin"
        assert found(iter([pin_file.read_bytes()]), pin)
        assert found(files(hsm_site.directory, pin_file), {**secrets, **pin}) == set()
        assert found(iter(["\n".join(one.running.output).encode()]), {**secrets, **pin}) == set()


def test_no_process_of_it_leaves_a_core(hsm_site: HsmSite) -> None:
    with scene(hsm_site) as one:
        one.handshake(one.client())
        for pid in processes(one.running.pid):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), pid
