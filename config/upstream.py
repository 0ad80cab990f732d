"""The shape of `[upstream.NAME]`. Pure."""

from typing import Annotated, Self

from pydantic import Field, PlainValidator, model_validator

from config.addresses import Refused, ServerAddress, parse_exact_name, parse_server
from config.values import FilePath, Table


class UpstreamConfig(Table):
    """`[upstream.NAME]`: servers that answer the same requests, and how connections to each are kept.

    For https servers: `ca` is a file of the certificates to trust (None: those of the system), `server_name` the name asked for
    and verified (None: the host of the address), `certificate` and `key` what the proxy proves itself with. `connections` and
    `waiting` count per server.
    """

    servers: Annotated[tuple[Annotated[ServerAddress, PlainValidator(parse_server)], ...], Field(min_length=1)]
    ca: FilePath | None = None
    server_name: Annotated[str, PlainValidator(parse_exact_name)] | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    connections: int = Field(default=256, ge=1, le=1_000_000, strict=True)
    waiting: int = Field(default=256, ge=0, le=1_000_000, strict=True)
    connect_seconds: float = Field(default=5.0, ge=0.1, le=600.0, strict=True, allow_inf_nan=False)
    first_byte_seconds: float = Field(default=60.0, ge=0.1, le=86_400.0, strict=True, allow_inf_nan=False)
    stall_seconds: float = Field(default=300.0, ge=0.1, le=86_400.0, strict=True, allow_inf_nan=False)
    idle_seconds: float = Field(default=30.0, ge=0.1, le=86_400.0, strict=True, allow_inf_nan=False)
    wait_seconds: float = Field(default=5.0, ge=0.1, le=600.0, strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _tls_settings_fit(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            found = "key alone" if self.certificate is None else "certificate alone"
            raise Refused('both "certificate" and "key", or none of them', found=found, about=("certificate", "key"))
        for_tls = ("ca", "server_name", "certificate", "key")
        unused = [key for key in for_tls if getattr(self, key) is not None]
        if unused and not any(server.scheme == "https" for server in self.servers):
            allowed = "these keys only with an https:// server"
            raise Refused(allowed, found=" and ".join(unused), about=("servers", *for_tls))
        return self
