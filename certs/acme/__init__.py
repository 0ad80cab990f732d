"""Certificates by ACME (RFC 8555), through certbot's `acme` library where it is right and by our own words where it is not.

`acme` 5.9 knows no tls-alpn-01 and no `replaces`, sends a challenge's response without fields as an empty body (which is a
question, not an answer), hides the window of ARI behind the clock of the machine, and tries a rejected nonce once more only.
"""
