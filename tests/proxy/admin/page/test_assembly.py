"""The document of the page: one file, and a policy that fits it."""

import base64
import hashlib
import re
from itertools import combinations
from math import dist
from pathlib import Path

import pytest

from proxy.admin.page.assembly import FILES, assembled

HTML = "<title>x</title><!-- style --><noscript><!-- snapshot --></noscript><!-- script -->"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A page of a few lines."""
    (tmp_path / "page.html").write_text(HTML)
    (tmp_path / "page.css").write_text("body { color: red }\n")
    (tmp_path / "page.js").write_text('import { two } from "./two.js";\nimport { one } from "./one.js";\none(two);\n')
    (tmp_path / "two.js").write_text('import { one } from "./one.js";\nexport const two = 2;\n')
    (tmp_path / "one.js").write_text("export function one() {}\n// export nothing\n")
    return tmp_path


def hashes(policy: str, kind: str) -> list[str]:
    return re.findall(rf"{kind} '(sha256-[^']+)'", policy)


def hash_of(document: str, tag: str) -> str:
    (text,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", document, re.DOTALL)
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_scripts_stand_once_in_the_order_that_they_need(files: Path) -> None:
    document = assembled(files).with_snapshot("now")
    assert document == (
        "<title>x</title><style>body { color: red }\n</style><noscript>now</noscript>"
        '<script type="module">function one() {}\n// export nothing\nconst two = 2;\none(two);\n</script>'
    )


def test_policy_allows_this_style_and_this_script_alone(files: Path) -> None:
    page = assembled(files)
    document = page.with_snapshot("")
    assert hashes(page.policy, "script-src") == [hash_of(document, "script")]
    assert hashes(page.policy, "style-src") == [hash_of(document, "style")]
    assert "unsafe" not in page.policy
    for rule in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in page.policy.split("; ")


class TestOurs:
    """The files of the program."""

    document = assembled().with_snapshot("")

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        markup = (FILES / "page.html").read_text() + (FILES / "page.css").read_text()
        assert not re.search(r"https?:|//|@import|url\((?!#)", markup.replace("xmlns='http://www.w3.org/2000/svg'", ""))
        assert "<!-- " not in self.document, "every place is filled"

    def test_no_text_becomes_markup_and_nothing_is_inline(self) -> None:
        scripts = "".join(path.read_text() for path in FILES.glob("*.js"))
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", scripts)
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", (FILES / "page.html").read_text())

    def test_no_two_scripts_give_a_name_to_two_things(self) -> None:
        names = [
            name
            for path in FILES.glob("*.js")
            for name in re.findall(
                r"^(?:export )?(?:async )?(?:const|let|function|class) ([A-Za-z_$]\w*)", path.read_text(), re.MULTILINE
            )
        ]
        assert len(names) > 20
        assert sorted(names) == sorted(set(names))

    def test_every_script_is_in_it_and_none_is_long(self) -> None:
        for path in FILES.glob("*.js"):
            lines = path.read_text().splitlines()
            assert len(lines) <= 350, path.name
            assert lines[-1] in self.document
        assert "import {" not in self.document
        assert "export " not in self.document.replace("// export", "")

    def test_it_stays_small(self) -> None:
        assert len(self.document) < 120_000


# How eyes without one kind of cones see linear RGB (Machado, Oliveira and Fernandes 2009).
SIGHT = {
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deuteranopia": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "tritanopia": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9309, 0.1476), (0.0047, 0.6914, 0.3039)),
}
# Of CIE Lab (1976); 2 is just noticeable side by side.
APART = 12.0


def seen(colour: str, sight: str) -> tuple[float, float, float]:
    """The colour in CIE Lab, as these eyes see it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    red, green, blue = (
        min(1.0, max(0.0, sum(one * other for one, other in zip(row, linear, strict=True)))) for row in SIGHT[sight]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0888
    a, b, c = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * b - 16, 500 * (a - b), 200 * (b - c)


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_of_the_plots_are_told_apart_by_all_eyes(sight: str) -> None:
    palettes = re.findall(r"(--c0: .*)", (FILES / "page.css").read_text())
    assert len(palettes) == 2, "light and dark"
    for palette in palettes:
        colours = re.findall(r"#[0-9a-f]{6}", palette)
        assert len(colours) == 8
        for one, other in combinations(colours, 2):
            assert dist(seen(one, sight), seen(other, sight)) >= APART, (one, other)


def test_wheel_has_the_files() -> None:
    """Hatch takes all files of a package that git does not ignore."""
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).parents[4]
    builder = WheelBuilder(str(root))
    included = {one.distribution_path for one in builder.recurse_included_files()}
    place = Path("proxy/admin/page/files")
    for path in FILES.iterdir():
        assert str(place / path.name) in included
