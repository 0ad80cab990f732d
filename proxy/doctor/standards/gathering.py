"""Gathers what standards are judged by."""

import hashlib

from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.doctor.checkup import Examined
from proxy.doctor.openssl_facts import OpensslSilent, facts_of
from proxy.doctor.standards.facts import OpensslView, ProviderView, StandardFacts


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
        loaded = tuple(ProviderView(one.name, one.version, one.groups) for one in found.modules_loaded)
        openssl = OpensslView(found.version, found.providers, found.missing_providers, loaded)
    except OpensslSilent:
        openssl = None
    return StandardFacts(
        config=None if examined.configured is None else examined.configured.config,
        status=None if examined.running is None else examined.running.status,
        payload=payload,
        openssl=openssl,
        digest=None if examined.file is None else hashlib.sha256(examined.file.read_bytes()).hexdigest(),
        now=examined.now().timestamp(),
    )
