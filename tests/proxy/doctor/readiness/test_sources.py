"""Where the handshakes of the last days are read."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from proxy.doctor.readiness.sources import NoFigures, figures
from proxy.observe.adoption import Adoption
from proxy.observe.adoption_store import AdoptionStore
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.proxy.observe.test_adoption import document


@pytest.fixture
def configured(tmp_path: Path) -> LoadedConfig:
    site = Site.make(tmp_path)
    return load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST + '[rotation]\nstate = "state"\n'))


async def answered(path: Path, content: Any, status: int, ask: Callable[[], object]) -> None:
    """Ask while an admin socket answers."""

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/adoption"
        return web.json_response(content, status=status)

    application = web.Application()
    application.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        await asyncio.to_thread(ask)
    finally:
        await runner.cleanup()


async def test_running_proxy_is_asked_first(tmp_path: Path, configured: LoadedConfig) -> None:
    socket, found = tmp_path / "s", list[tuple[Adoption, str]]()
    AdoptionStore.of(configured).write(Adoption().document(0.0, "file"))
    await answered(socket, document(), 200, lambda: found.append(figures(None, socket, configured)))
    ((adoption, source),) = found
    assert (sorted(adoption.days), source) == (["2026-11-28", "2026-11-29"], "the running proxy")


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ({"version": 7}, 200, "of another version of Plexigate"),
        ({"detail": "Not Found"}, 404, "restart it with this version"),
    ],
)
async def test_proxy_of_another_version(tmp_path: Path, content: Any, status: int, says: str) -> None:
    def ask() -> None:
        with pytest.raises(NoFigures, match=says):
            figures(None, tmp_path / "s", None)

    await answered(tmp_path / "s", content, status, ask)


def test_kept_file_is_read_without_a_proxy(tmp_path: Path, configured: LoadedConfig) -> None:
    store = AdoptionStore.of(configured)
    store.write(document())
    adoption, source = figures(None, tmp_path / "gone", configured)
    assert (sorted(adoption.days), source) == (["2026-11-28", "2026-11-29"], str(store.path))


def test_what_is_missing_is_named(tmp_path: Path, configured: LoadedConfig) -> None:
    store, socket = AdoptionStore.of(configured), tmp_path / "gone"
    with pytest.raises(NoFigures, match="plexigate doctor readiness FILE"):
        figures(None, socket, None)
    with pytest.raises(NoFigures, match="has no handshake"):
        figures(None, socket, configured)
    store.path.parent.mkdir()
    store.path.write_bytes(b"damaged")
    with pytest.raises(NoFigures, match="has other content"):
        figures(None, socket, configured)
    store.path.unlink()
    store.path.mkdir()
    with pytest.raises(NoFigures, match="Is a directory"):
        figures(None, socket, configured)
