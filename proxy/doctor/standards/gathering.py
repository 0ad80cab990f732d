"""Gathers what standards are judged by."""

import hashlib

from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.doctor.checkup import Examined
from proxy.doctor.machine.openssl_facts import OpensslSilent, facts_of
from proxy.doctor.standards.facts import OpensslView, StandardFacts


def gathered(examined: Examined) -> StandardFacts:
    """Ask the running proxy and the OpenSSL of the configuration. What is not there is None."""
    payload = None
    if examined.running is not None:
        try:
            payload = examined.running.ask("/payload")
        except (AdminRefused, AdminUnreachable):
            payload = None
    try:
        found = facts_of(examined.file)
        openssl = OpensslView(found.providers, found.missing_providers)
    except OpensslSilent:
        openssl = None
    return StandardFacts(
        config=None if examined.configured is None else examined.configured.config,
        status=examined.status,
        payload=payload,
        openssl=openssl,
        digest=None if examined.file is None else hashlib.sha256(examined.file.read_bytes()).hexdigest(),
        now=examined.now().timestamp(),
    )
