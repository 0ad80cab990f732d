"""The drivers of TLS, for what depends on OpenSSL."""

from tests.proxy.tls.drivers import driver, of_thread

__all__ = ["driver", "of_thread"]
