"""Check built pages: every link inside the site leads somewhere, and no page loads anything from elsewhere.

    python docs/site/check_pages.py build/docs

Sphinx checks the links between documents. This also checks those of the theme and of raw HTML, and that pictures,
scripts, styles and fonts lie in the site itself.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("img", "script", "source", "iframe") and "src" in values:
            self.loads.append(values["src"])
        if (
            tag == "link"
            and "href" in values
            and values.get("rel") not in ("index", "search", "next", "prev")
        ):
            self.loads.append(values["href"])


def faults(site: Path) -> Iterator[str]:
    """Yield a sentence for each link that leads nowhere, and for each file that is loaded from another place."""
    pages = {file: _Page(file.read_text()) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        name = file.relative_to(site)
        for address in page.loads:
            if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
                yield f"{name}: loads {address} from elsewhere"
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                yield f"{name}: {address} does not exist"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {address} has no such section"
    for style in sorted(site.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", style.read_text()):
            yield f"{style.relative_to(site)}: loads {address} from elsewhere"


def main() -> int:
    """Print the faults of a site; return 1 if there are any."""
    site = Path(sys.argv[1]).resolve()
    sentences = list(faults(site))
    print(*sentences, sep="\n", end="\n" if sentences else "")
    print(f"{len(list(site.rglob('*.html')))} pages, {len(sentences)} faults")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
