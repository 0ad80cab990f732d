"""Asks the admin socket of a running proxy."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from config.values.problems import ConfigError
from proxy.admin.settings import AdminSettings, sockets_to_try


class AdminUnreachable(Exception):
    """The admin socket did not answer as it should. `remedy` is for what was `found`."""

    def __init__(self, socket: str, found: str, remedy: str) -> None:
        super().__init__(socket, found, remedy)
        self.socket = socket
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.socket}: {self.found}; {self.remedy}"


class AdminSilent(AdminUnreachable):
    """A proxy listens on the socket and did not answer in time."""


class AdminAbsent(AdminUnreachable):
    """There is no such socket, or no process listens on it."""


class AdminRefused(Exception):
    """The proxy refuses a request. `detail` is the sentence of its answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


_REMEDY: Final = "is Plexigate running, and are you its user or root? (--socket PATH asks another)"
# For questions that change nothing: longer than the proxy waits for its own workers.
_ANSWER_SECONDS: Final = 30.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        super().__init__("plexigate")
        self._path: Final = path
        self._seconds: Final = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(str(self._path))


class UnixAdminClient:
    """Asks the admin socket at a path.

    An answer is a JSON object. The caller names its type of `proxy.api`, which is not checked here.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def get(self, path: str, seconds: float = _ANSWER_SECONDS) -> tuple[int, Any]:
        """Answer status and JSON body.

        Raises `AdminSilent` when the time is over, `AdminAbsent` if no proxy listens, and
        `AdminUnreachable` for other faults.
        """
        return self._ask("GET", path, seconds)

    def post(
        self, path: str, query: Mapping[str, str], seconds: float | None = None, body: bytes = b""
    ) -> tuple[int, Any]:
        """Answer status and JSON body. Raises as `get`. There is no limit without `seconds`."""
        return self._ask("POST", f"{path}?{urlencode(query)}" if query else path, seconds, body)

    def agreed(self, answer: tuple[int, Any]) -> Any:
        """The body of an answer. Raises `AdminRefused` with the sentence of a refusal."""
        status, document = answer
        if status != 200:
            raise AdminRefused(status, str(document.get("detail") or f"{self.path}: {document}"))
        return document

    def steps(self, path: str, query: Mapping[str, str]) -> Iterator[Any]:
        """Post, and yield the lines of the answer. Raises `AdminUnreachable` and `AdminRefused`."""
        connection = _Connection(self.path, None)
        try:
            connection.request("POST", f"{path}?{urlencode(query)}" if query else path, body=b"")
            response = connection.getresponse()
            if response.status != 200:
                raise AdminRefused(response.status, _detail(response.read()))
            for line in response:
                yield json.loads(line)
        except OSError as error:
            raise AdminUnreachable(str(self.path), error.strerror or str(error), _REMEDY) from None
        except (http.client.HTTPException, ValueError):
            remedy = "plexigate status shows which version serves, and the log has the outcome of the command"
            raise AdminUnreachable(str(self.path), "a truncated answer", remedy) from None
        finally:
            connection.close()

    def _ask(self, method: str, target: str, seconds: float | None, body: bytes = b"") -> tuple[int, Any]:
        connection = _Connection(self.path, seconds)
        try:
            connection.request(method, target, body=body if method == "POST" else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except TimeoutError:
            found = f"no answer within {seconds:g} s"
            remedy = "is Plexigate stopped, or the machine overloaded?"
            raise AdminSilent(str(self.path), found, remedy) from None
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AdminAbsent(str(self.path), error.strerror or str(error), _REMEDY) from None
        except OSError as error:
            raise AdminUnreachable(str(self.path), error.strerror or str(error), _REMEDY) from None
        except (http.client.HTTPException, ValueError):
            raise AdminUnreachable(
                str(self.path), "an answer that is not JSON", "does Plexigate listen there?"
            ) from None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise AdminUnreachable(str(self.path), "an answer that is not a report", "does Plexigate listen there?")
        return response.status, answer


def _detail(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["detail"])
    except (KeyError, TypeError, ValueError):
        return "an answer that is not JSON: does Plexigate listen there?"


def connect(config: Path | None, path: Path | None) -> UnixAdminClient:
    """A client of the socket at `path`, else of the socket in `config`.

    Without both it takes the first default socket that exists.

    Raises `ConfigError` for a file that cannot be read or is not TOML.
    """
    if path is not None:
        return UnixAdminClient(path)
    if config is not None:
        from config.loading.loader import survey  # imported here: few commands name a configuration

        # reads what it can: the running proxy reports errors in the file
        found = survey(config)
        if found.loaded is None:
            raise ConfigError(found.problems)
        loaded = found.loaded
        if loaded.config.admin.socket is not None:
            return UnixAdminClient(AdminSettings.of(loaded.file, loaded.config.admin).socket)
    tried = sockets_to_try(os.environ, os.geteuid())
    return UnixAdminClient(next((one for one in tried if _may_be_there(one)), tried[0]))


def _may_be_there(path: Path) -> bool:
    """Whether a socket exists, or its directory does not let us look: connecting then tells."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
