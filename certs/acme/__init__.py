"""Certificates by ACME (RFC 8555), with certbot's `acme` library and own code for what it lacks.

`acme` 5.9 does not know tls-alpn-01 and `replaces`. It sends a challenge response without fields as
an empty body, which is POST-as-GET and not a response. It hides the ARI window behind the clock of
the machine. It retries a rejected nonce only once.
"""
