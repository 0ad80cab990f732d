"""A browser that trusts the root of an internal CA, and nobody else's for this name, loads the page before, during and after a rotation."""

import asyncio
import base64
from pathlib import Path

import pytest
from cryptography import x509

from tests.browser.devtools import Browser, Tab, chromium, trust
from tests.integration.rotation import RotatingScene, rotating

pytestmark = pytest.mark.paced


async def newcomer(browser: Browser, url: str) -> Tab:
    """A tab of an operator who was never here: with connections of its own."""
    context = await browser.command("Target.createBrowserContext")
    target = await browser.command(
        "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
    )
    attached = await browser.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    tab = Tab(browser, attached["sessionId"])
    for domain in ("Page", "Network", "Runtime"):
        await tab.command(f"{domain}.enable")
    await tab.navigate(url)
    return tab


async def serial(tab: Tab, origin: str) -> str:
    """Of the certificate that the page came with."""
    answer = await tab.command("Network.getCertificate", origin=origin)
    leaf = x509.load_der_x509_certificate(base64.b64decode(answer["tableNames"][0]))
    return f"{leaf.serial_number:x}"


async def test_the_page_is_there_before_during_and_after_a_rotation(tmp_path: Path) -> None:
    with rotating(tmp_path, RotatingScene) as running:
        origin = f"https://localhost:{running.port}"
        trust(tmp_path / "home", running.root)
        async with chromium(tmp_path / "home") as browser:
            before = await newcomer(browser, f"{origin}/")
            first = await serial(before, origin)
            await before.evaluate(
                "window.going = true; window.bad = 0; window.good = 0; window.loop = (async () => { while (going) {"
                " try { const r = await fetch('/', {cache: 'no-store'}); r.ok ? good++ : bad++; } catch { bad++; } } })(); 0"
            )
            rotation = asyncio.create_task(asyncio.to_thread(running.rotate))  # noqa: TID251 - awaited below
            during = await newcomer(browser, f"{origin}/")
            steps = await rotation
            assert steps[-1] == {"ok": True}
            after = await newcomer(browser, f"{origin}/")
            await before.evaluate("going = false; loop.then(() => 0)")
            second = next(step["serial"] for step in steps if step.get("rotated"))
            assert await serial(after, origin) == second != first
            assert await serial(during, origin) in {first, second}
            assert await before.evaluate("bad") == 0
            assert await before.evaluate("good") > 0
