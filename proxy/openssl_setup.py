"""Load the configured providers into this process's OpenSSL, before its first context."""

import os
from pathlib import Path

from config.loaded import LoadedConfig
from proxy.tls import libssl
from proxy.tls.capabilities import Capabilities, openssl_configuration, survey


def prepare_openssl(loaded: LoadedConfig) -> Capabilities:
    """Load the providers and see what is there. Raises `libssl.InterpreterUnsuitable`."""
    providers, module_path = loaded.config.openssl.providers, loaded.config.openssl.module_path
    # in memory: a locked-down service may have no place to write to
    descriptor = os.memfd_create("openssl.cnf")
    try:
        path = None if module_path is None else loaded.resolve(module_path)
        os.write(descriptor, openssl_configuration(providers, path).encode())
        libssl.load_configuration(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)
    return survey(providers)
