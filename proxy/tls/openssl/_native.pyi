from collections.abc import Callable

from proxy.tls.openssl.driver import TlsDriver

Driver: Callable[[], TlsDriver]
