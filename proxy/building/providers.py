"""Problems of the providers that a configuration asks for, in the OpenSSL of this process."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

from config.loading.loaded import ConfigFile
from config.schema import OpensslConfig
from config.tables.hsm import HsmConfig
from config.values.problems import Problem, shown
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.configuration import FIPS, PKCS11
from proxy.tls.openssl.libssl import modules_directory
from proxy.tls.tokens.openssl_setup import configured_directory, fips_file


def provider_problems(
    file: ConfigFile, hsm: HsmConfig | None, openssl: OpensslConfig, capabilities: Capabilities
) -> Iterator[Problem]:
    """Errors for missing providers, and a warning for groups that no client can use."""
    if hsm is not None and PKCS11 in capabilities.missing_providers:
        yield file.error(
            ("hsm", "module"),
            f"{shown(hsm.module)}, which OpenSSL's pkcs11-provider cannot start, or there is no such provider",
            "pkcs11-provider (apt-get install pkcs11-provider), and a PKCS#11 module that these processes may load and use",
        )
    for index, name in enumerate(openssl.providers):
        if name in capabilities.missing_providers:
            yield _missing(file, openssl, index, name)
    if FIPS in capabilities.providers:
        index = openssl.providers.index(FIPS)
        yield file.warning(
            ("openssl", "providers", index),
            '"fips", which has no X25519 of its own, no X448 and no ChaCha20-Poly1305; it does the cryptography of'
            " TLS, not that of [payload] and of the internal CA",
            "it anyway: clients of TLS get AES, and hybrid groups or NIST curves",
        )
    if capabilities.unusable_groups:
        listed = ", ".join(capabilities.unusable_groups)
        yield file.warning(
            ("openssl", "providers"),
            f"groups with which OpenSSL makes no TLS 1.3 hello, although a provider lists them: {listed}",
            "a provider without them, such as liboqs built with OQS_ENABLE_KEM_BIKE=OFF; they are left out, all others can be used",
        )


def _missing(file: ConfigFile, openssl: OpensslConfig, index: int, name: str) -> Problem:
    """The problem of a provider that OpenSSL did not load.

    OpenSSL does not tell the reason, so the system's loader is asked.
    """
    directory = configured_directory(file, openssl) or modules_directory()
    module = directory / f"{name}.so"
    location = ("openssl", "providers", index)
    if not module.exists():
        found = f'"{name}", which OpenSSL cannot load: there is no {module}'
        package = "the package openssl-provider-fips, " if name == FIPS else ""
        allowed = f"{package}a module in {directory}, or set openssl.module_path to the directory that has it"
        return file.error(location, found, allowed)
    fault = _loading_fault(module)
    if fault is None and name == FIPS:
        settings = fips_file(file, openssl)
        why = "is of another build of it" if settings.exists() else "is missing"
        found = f'"fips", whose self-test fails: {settings} {why}'
        return file.error(
            location, found, f"the file that is made by: openssl fipsinstall -module {module} -out {settings}"
        )
    if fault is None:
        found = f'"{name}", whose module {module} OpenSSL does not take'
        return file.error(location, found, "a provider that was built for this version of OpenSSL")
    found = f'"{name}", whose module cannot be loaded: {fault}'
    allowed = (
        "a module whose libraries the system finds: build it with their directory in its run path"
        " (CMAKE_INSTALL_RPATH), or name that directory to ldconfig"
    )
    return file.error(location, found, allowed)


def _loading_fault(module: Path) -> str | None:
    """The system loader's error for a module. None if it loads."""
    try:
        ctypes.CDLL(str(module))
    except OSError as error:
        return str(error)
    return None
