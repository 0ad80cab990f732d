"""`plexigate hsm request`: a certificate request (RFC 2986) for a key that stays in its token,
signed there.
"""

from typing import Annotated

import typer

from certs.hsm.clients import calls
from config.values.addresses import Refused, parse_server_name
from config.values.problems import shown
from proxy.commands.hsm.recording import recorded
from proxy.commands.hsm.sources import (
    KeyId,
    Label,
    Module,
    NotChosen,
    PinFile,
    ServedConfig,
    SourceOptions,
    Token,
    key_address,
    logged_in,
    said_errors,
)


def request(  # noqa: PLR0913 - the options of a command
    label: Label,
    names: Annotated[
        list[str],
        typer.Option(
            "--name",
            metavar="NAME",
            help='DNS name (may begin with "*.", for any one label) or IP address. Repeat the option for more names.',
        ),
    ],
    key_id: KeyId = None,
    config: ServedConfig = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
) -> None:
    """Write a certificate signing request (PEM) to standard output: for these
    names, signed by a key in a token.

    A certificate authority issues the certificate from it. Name the certificate
    in the configuration, beside the URI of the key.
    """
    # imported here: the other commands do not need it
    from cryptography.hazmat.primitives import hashes

    from certs.issuing.signing_request import request_without_subject
    from certs.keys.token_private_key import token_private_key
    from certs.keys.token_public_key import public_key_of

    with said_errors():
        subjects = subjects_of(names)
        address = key_address(label, key_id)
        source = SourceOptions.found(config, module, token, pin_file)
        with (
            recorded(source.config) as record,
            record.operation("sign", label),
            logged_in(source.access()) as (process, _),
        ):
            key = token_private_key(
                public_key_of(process.perform(calls.public_parts(address))), address, process.perform
            )
            made = request_without_subject(subjects, key, hashes.SHA256())
    typer.echo(made, nl=False)


def subjects_of(names: list[str]) -> list[str]:
    """The names of a certificate request, checked as names of an identity. Raises NotChosen, also
    for an empty list.
    """
    if not names:
        raise NotChosen("--name: found none; allowed: one or more names, which the certificate is for")
    return [_checked(name) for name in names]


def _checked(name: str) -> str:
    try:
        return parse_server_name(name)
    except Refused as error:
        allowed = f"DNS names (A-labels) and IP addresses: {error.allowed}"
        raise NotChosen(f"--name: found {shown(name)}; allowed: {allowed}") from None
