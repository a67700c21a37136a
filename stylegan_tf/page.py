"""Pages for people, each one HTML file that asks no server for anything: what the different kinds share.

A page is a template, a file with {{names}}, filled in; {{style}} is the common stylesheet, `page.css` beside this file.
"""

import base64
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")


def fill(template: Path, values: dict[str, str]) -> str:
    """The template with a value for each of its names; a KeyError names one that has none."""
    filled = {"style": STYLE.read_text(encoding="utf-8").rstrip("\n"), **values}
    return re.sub(r"{{(\w+)}}", lambda match: filled[match[1]], template.read_text(encoding="utf-8"))


def definitions(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Names and what they stand for, as the content of a <dl>; what is None or empty is left out."""
    return "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in pairs if text
    )


def embedded(data) -> str:
    """JSON that no browser takes for the end of a script."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def picture_source(kind: str, content: bytes) -> str:
    """A picture inside the page: what its `src` is, for the content of a file of that kind, "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
