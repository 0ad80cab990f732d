"""Links between the documents of the repository lead somewhere: `python -m tests.document_links` says which do not.

Nothing outside of the repository is asked. A document in docs/ links only to what lies in docs/, as the site has nothing else.
"""

import sys
from pathlib import Path
from urllib.parse import unquote

from tests.documents import Document, read

ROOT = Path(__file__).parents[1]


def documents(root: Path = ROOT) -> list[Document]:
    """The documents at the top of the repository and all in docs/."""
    return [read(path) for path in [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]]


def broken(documents: list[Document], root: Path = ROOT) -> list[str]:
    """One line for each link that leads nowhere: where it stands, and what is missing."""
    known = {document.path.resolve(): document for document in documents}
    found = list[str]()
    for document in documents:
        for line, target in document.links:
            fault = _fault(document.path, target, known, root)
            if fault is not None:
                found.append(f"{document.path.relative_to(root)}:{line}: {target}: {fault}")
    return found


def _fault(source: Path, target: str, known: dict[Path, Document], root: Path) -> str | None:
    """What is wrong with a link, or None."""
    if ":" in target.partition("/")[0]:
        return None  # another host, a mail address
    name, _, fragment = target.partition("#")
    place = (source.parent / unquote(name)).resolve() if name else source.resolve()
    docs = (root / "docs").resolve()
    if not place.exists():
        return "no such file"
    if source.resolve().is_relative_to(docs) and not place.is_relative_to(docs):
        return "the site has nothing outside of docs/: name the file without a link"
    if not fragment:
        return None
    if place not in known:
        return "an anchor in what is no document"
    return None if fragment in {one.anchor for one in known[place].sections} else "no such heading"


if __name__ == "__main__":
    problems = broken(documents())
    print("\n".join(problems))  # noqa: T201 - its answer
    sys.exit(1 if problems else 0)
