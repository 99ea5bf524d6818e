"""What a page says and what it fetches, read as a browser's parser would."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; raises where an element is not closed in its place."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found), "no script in attributes"
        self.sources += [found[name] or "" for name in ("src", "srcset", "data", "action") if name in found]
        if "href" in found:
            (self.sources if tag == "link" else self.links).append(found["href"] or "")
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.text += " " if tag in ("td", "th", "dd", "dt", "p", "span") else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def assert_self_contained(self) -> None:
        """No script, and nothing that is not inside the file."""
        assert "script" not in self.tags
        assert "iframe" not in self.tags
        assert all(source.startswith("data:") for source in self.sources)
        assert "url(" not in self.source
        assert "@import" not in self.source
        assert all(link.startswith("#") or "://" not in link for link in self.links)
        assert {link[1:] for link in self.links if link.startswith("#")} <= set(self.ids)
        assert len(set(self.ids)) == len(self.ids)
