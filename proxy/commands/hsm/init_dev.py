"""`plexigate hsm init-dev`: a SoftHSM token for development, as in `./dev run`. It protects
nothing.
"""

import os
import secrets
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer

from certs.hsm.access import TokenAccess, TokenChoice, read_pin
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import next_version
from certs.hsm.secret import Secret
from config.tables.hsm import parse_label
from config.values.addresses import Refused
from config.values.problems import shown
from proxy.commands.hsm.sources import AsJson, NotChosen, said_errors
from proxy.commands.terminal.answers import answer

PLACES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
"""Where distributions put the library of SoftHSM."""
_PIN_BYTES: Final = 12


def init_dev(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Directory of the token; created if missing.")],
    label: Annotated[str, typer.Option(help="Label of the token.")] = "plexi",
    identity: Annotated[str, typer.Option(help="Identity that the key is for.")] = "chat",
    module: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Library of SoftHSM. Default: the usual places.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a SoftHSM token with an ECDSA key for development.

    Writes softhsm2.conf, LABEL.pin and LABEL.so-pin (mode 0600) and tokens/ in
    DIRECTORY. If the token is there already, it is kept and shown again; so the
    command can run before every start.
    """
    with said_errors():
        made = make_dev_token(directory, label, identity, module or softhsm())
    answer(made, lambda: "\n".join(f"{name:14}{value}" for name, value in made.items()), as_json=as_json)


def softhsm() -> Path:
    """The library of SoftHSM. Raises NotChosen."""
    found = [Path(place) for place in PLACES if Path(place).is_file()]
    if not found:
        raise NotChosen(
            "SoftHSM was not found in the usual places; install it (apt-get install libsofthsm2), or give --module PATH"
        )
    return found[0]


def make_dev_token(directory: Path, label: str, identity: str, module: Path) -> dict[str, str]:
    """Make the token, or find it. Raises an HsmError, NotChosen or OSError."""
    _require_label(label)
    directory = directory.resolve()
    tokens = directory / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = directory / "softhsm2.conf"
    pin_file = directory / f"{label}.pin"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", encoding="utf-8"
    )
    pin = _kept(pin_file)
    so_pin = _kept(directory / f"{label}.so-pin")
    # for this command only: the token process inherits it
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    with TokenProcess() as process:
        process.perform(calls.load(module))
        if label not in [one.label for one in process.perform(calls.tokens())]:
            process.perform(calls.init_token(label, so_pin, pin))
    # in a new process: some modules do not see a token that was made after they were initialized
    access = TokenAccess(module, TokenChoice(label=label), pin, directory / "pin-latch")
    with TokenProcess.logged_in(access) as process:
        labels = [key.label for key in process.perform(calls.keys())]
        first = next_version(identity, KeyKind.ECDSA_P256, [])
        if first.label not in labels:
            process.perform(calls.generate(first))
    return {
        "SOFTHSM2_CONF": str(configuration),
        "module": str(module),
        "token": label,
        "pin_file": str(pin_file),
        "key": f"pkcs11:token={quote(label, safe='')};object={first.label}",
    }


def _require_label(label: str) -> None:
    try:
        parse_label(label)
    except Refused as error:
        raise NotChosen(f"--label: found {shown(label)}; allowed: {error.allowed}") from None
    if "/" in label:
        raise NotChosen(
            f"--label: found {shown(label)}; allowed: a label without a slash, because files are named after it"
        )


def _kept(path: Path) -> Secret:
    """The secret in a file; a missing file is made with a new secret."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return read_pin(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        secret = secrets.token_urlsafe(_PIN_BYTES)
        file.write(f"{secret}\n")
    return Secret(secret)
