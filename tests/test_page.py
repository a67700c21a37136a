"""What the pages for people share."""

import json
import re

import pytest

from stylegan_tf.page import STYLE, definitions, embedded, fill


def test_a_template_is_filled_once_and_has_the_stylesheet(tmp_path):
    template = tmp_path / "page.html"
    template.write_text("<style>\n{{style}}\n</style>{{title}}, {{title}} {{}}")
    filled = fill(template, {"title": "{{other}} \\1"})
    assert filled == f"<style>\n{STYLE.read_text().strip()}\n</style>{{{{other}}}} \\1, {{{{other}}}} \\1 {{{{}}}}"


def test_a_name_without_a_value_is_told(tmp_path):
    template = tmp_path / "page.html"
    template.write_text("{{title}}")
    with pytest.raises(KeyError, match="title"):
        fill(template, {})


def test_definitions_are_text_and_leave_out_what_is_unknown():
    pairs = [("a & b", "<i>"), ("unknown", None), ("empty", "")]
    assert definitions(pairs) == "<div><dt>a &amp; b</dt><dd>&lt;i&gt;</dd></div>"


def test_embedded_data_cannot_end_a_script():
    data = {"name": "</script><!--", "values": [1.5, None]}
    assert "<" not in embedded(data)
    assert json.loads(embedded(data)) == data
    with pytest.raises(ValueError, match="Out of range"):
        embedded([float("nan")])


def test_the_stylesheet_has_every_colour_in_light_and_dark_and_no_address():
    light, dark = (set(re.findall(r"(--\w+):", rules)) for rules in re.findall(r":root {([^}]*)}", STYLE.read_text()))
    assert light == dark
    assert not re.search(r"url\(|@import", STYLE.read_text())
