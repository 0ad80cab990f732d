"""Load the configured providers into this process's OpenSSL, before its first context."""

import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from certs.hsm.errors import HsmError
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import HsmConfig, OpensslConfig
from proxy.tls.openssl import libssl
from proxy.tls.openssl.capabilities import Capabilities, survey
from proxy.tls.openssl.configuration import (
    APPROVED_ALONE,
    FIPS,
    FIPS_FILE,
    ProviderModule,
    fips_provider,
    openssl_configuration,
    pkcs11_provider,
)
from proxy.tls.tokens.module_instances import ModuleInstances, hide_slots, module_instances


def prepare_openssl(loaded: LoadedConfig, *, with_tokens: bool = True) -> Capabilities:
    """Load the providers and see what is there. Raises `libssl.InterpreterUnsuitable`.

    Where keys are in tokens, the PKCS#11 module is initialised here: never in a process that also
    uses it in another way. A module that hangs is left out (not `with_tokens`): this process then
    has none for good. Slots that are silent now (`ModuleInstances`) are left out too.
    """
    libssl.never_prompt()
    if with_tokens and loaded.config.hsm is not None:
        with suppress(HsmError):  # a module that cannot be used is reported by OpenSSL
            hide_slots(_module(loaded.file, loaded.config.hsm), instances_of(loaded).silent_slots)
    providers = tuple(_providers(loaded.file, loaded.config.openssl, loaded.config.hsm, with_tokens=with_tokens))
    _load(openssl_configuration(providers))
    if FIPS in loaded.config.openssl.providers and libssl.provider_is_available(FIPS):
        _load(APPROVED_ALONE)
    return survey(tuple(provider.name for provider in providers))


def _load(configuration: str) -> None:
    # in memory: a locked-down service may have no place to write to
    descriptor = os.memfd_create("openssl.cnf")
    try:
        os.write(descriptor, configuration.encode())
        libssl.load_configuration(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


def configured_directory(file: ConfigFile, openssl: OpensslConfig) -> Path | None:
    """Where the modules of the configured providers are, None for OpenSSL's own directory."""
    path = openssl.module_path
    # absolute: OpenSSL looks for a relative one below its own directory
    return None if path is None else file.resolve(path).absolute()


def fips_file(file: ConfigFile, openssl: OpensslConfig) -> Path:
    """Where the FIPS provider's own settings are: in `module_path`, or in OpenSSL's directory."""
    own = Path(ssl.get_default_verify_paths().openssl_cafile).parent
    return (configured_directory(file, openssl) or own) / FIPS_FILE


def instances_of(loaded: LoadedConfig) -> ModuleInstances:
    """This process's instances of the PKCS#11 module of a configuration with keys in tokens."""
    assert loaded.config.hsm is not None  # else there are no such keys
    return module_instances(_module(loaded.file, loaded.config.hsm), _own_provider(loaded.file, loaded.config.openssl))


def _module(file: ConfigFile, hsm: HsmConfig) -> Path:
    return file.resolve(hsm.module).absolute()


def _own_provider(file: ConfigFile, openssl: OpensslConfig) -> str | None:
    """The pkcs11-provider in the directory of providers that were built by hand.

    None: that directory has no pkcs11-provider, and the one of the system is used.
    """
    directory = configured_directory(file, openssl)
    own = None if directory is None else directory / "pkcs11.so"
    return str(own) if own is not None and own.exists() else None


def _providers(
    file: ConfigFile, openssl: OpensslConfig, hsm: HsmConfig | None, *, with_tokens: bool
) -> Iterator[ProviderModule]:
    directory = configured_directory(file, openssl)
    if hsm is not None and with_tokens:
        yield pkcs11_provider(_own_provider(file, openssl), str(_module(file, hsm)))
    for name in openssl.providers:
        module = None if directory is None else str(directory / f"{name}.so")
        yield fips_provider(module, _installed(file, openssl)) if name == FIPS else ProviderModule(name, module)


def _installed(file: ConfigFile, openssl: OpensslConfig) -> str:
    """What `openssl fipsinstall` wrote. Empty without a file: the provider then does not start."""
    try:
        return fips_file(file, openssl).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
