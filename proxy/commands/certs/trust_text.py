"""Instructions for each kind of client how to trust an internal root."""

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

_TEXT: Final = """\
{file}: the root of issuer {issuer}
  {subject}
  valid until {until:%Y-%m-%d}, SHA-256 fingerprint
  {fingerprint}
Compare the fingerprint over another way before you trust it: the owner of its key can be any server to you{limits}.

Debian, Ubuntu   cp {file} /usr/local/share/ca-certificates/plexigate-{issuer}.crt && update-ca-certificates
                 (curl, wget, Python's ssl with the system's store and most programs follow; undo: remove it, update-ca-certificates --fresh)
Chromium         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n plexigate-{issuer} -i {file}      (Debian: libnss3-tools)
Firefox          Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import; or for all users the policy
                 Certificates.Install in /etc/firefox/policies/policies.json
curl             curl --cacert {file} https://{name}/
Python           ssl.create_default_context(cafile="{file}"); requests: verify="{file}", or REQUESTS_CA_BUNDLE={file}
Java             keytool -importcert -cacerts -alias plexigate-{issuer} -file {file}
"""


def trust_text(
    issuer: str, root: x509.Certificate, file: Path, names: tuple[str, ...], permitted: tuple[str, ...]
) -> str:
    """What to do with the file of a root. `names` are examples of names in its certificates."""
    digest = root.fingerprint(hashes.SHA256()).hex().upper()
    return _TEXT.format(
        file=file,
        issuer=issuer,
        subject=root.subject.rfc4514_string(),
        until=root.not_valid_after_utc,
        fingerprint=":".join(digest[place : place + 2] for place in range(0, len(digest), 2)),
        limits=f", for the names {', '.join(permitted)}, to which its intermediates are limited" if permitted else "",
        name=next((one for one in names if not one.startswith("*.")), "NAME"),
    )
