"""The document of the page: one file, and a policy that fits it."""

import base64
import hashlib
import re
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


def test_wheel_has_the_files() -> None:
    """Hatch takes all files of a package that git does not ignore."""
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).parents[4]
    builder = WheelBuilder(str(root))
    included = {one.distribution_path for one in builder.recurse_included_files()}
    for path in FILES.iterdir():
        assert str(path.relative_to(root)) in included
