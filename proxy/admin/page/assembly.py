"""Puts the page together from its files: one document that loads nothing else.

The scripts are modules, so an editor and a type checker can read them. A browser gets all of them
as one script: a line `import ... from "./NAME.js"` names a file that comes before, and `export` is
left out. So no two files may give the same name to something at their top level.

The policy names the style and the script by their hashes. A browser runs nothing else, even if
hostile text became an element.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILES: Final = Path(__file__).with_name("files")
# Where the first answer of the server stands in the document.
SNAPSHOT: Final = "<!-- snapshot -->"
_STYLE: Final = "<!-- style -->"
_SCRIPT: Final = "<!-- script -->"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=const|function|class|async)", re.MULTILINE)
_ENTRY: Final = "page.js"


@dataclass(frozen=True, slots=True)
class AssembledPage:
    """The document without its snapshot, and the Content-Security-Policy that fits."""

    before: str
    after: str
    policy: str

    def with_snapshot(self, snapshot: str) -> str:
        """The whole document. `snapshot` is HTML."""
        return f"{self.before}{snapshot}{self.after}"


def assembled(files: Path = FILES) -> AssembledPage:
    """Read the files and put them together."""
    style = (files / "page.css").read_text(encoding="utf-8")
    script = "".join(_script(files, _ENTRY, []))
    document = (files / "page.html").read_text(encoding="utf-8")
    document = document.replace(_STYLE, f"<style>{style}</style>")
    document = document.replace(_SCRIPT, f'<script type="module">{script}</script>')
    before, _, after = document.partition(SNAPSHOT)
    return AssembledPage(before, after, _policy(style, script))


def _script(files: Path, name: str, taken: list[str]) -> list[str]:
    """The text of a script, after the texts of all that it imports."""
    if name in taken:
        return []
    taken.append(name)
    text = (files / name).read_text(encoding="utf-8")
    needed = [part for one in _IMPORT.findall(text) for part in _script(files, one, taken)]
    return [*needed, _EXPORT.sub("", _IMPORT.sub("", text))]


def _policy(style: str, script: str) -> str:
    """CSP 3: nothing but this style, this script, and questions to this server."""
    rules = (
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src '{_hash(style)}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(rules)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
