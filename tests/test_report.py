"""The page of a run: complete in itself, well formed, and a true account of the files beside it."""

import base64
import html.parser
import io
import json
import os
import re
import time

import numpy as np
import PIL.Image
import pytest

from stylegan_tf.images import save_png
from training import report
from training.report import kimg_of, write_report

CONFIG = {
    "total_kimg": 4.0,
    "schedule": {"lod_training_kimg": 1.0, "lod_transition_kimg": 1.0, "minibatch_dict": {"8": 32}},
    "seed": 7,
}


@pytest.fixture
def run_dir(tmp_path):
    """A run of 16x16 pictures after three ticks."""
    path = tmp_path / "00003-a <b> & c"
    path.mkdir()
    dataset = {"images": 1234, "resolution": 16, "channels": 3, "label_size": 0}
    (path / "run.json").write_text(json.dumps({"dataset": dataset, "config": CONFIG, "request": {}}))
    facts = {"resolution": 16, "minibatch": 4, "images_per_second": 12.34}
    rows = [{**facts, "kimg": kimg, "minutes": kimg, "loss_g": kimg / 3} for kimg in (0.5, 1.0, 1.5)]
    rows[1] |= {"loss_g": float("nan"), "metric_fid50k": 7.0}
    (path / "stats.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for number, name in enumerate(["reals", "fakes000000.000", "fakes000000.500", "fakes000001.500"]):
        save_png(path / f"{name}.png", np.full([8, 12, 3], 50 * number, np.uint8))
    return path


class Page(html.parser.HTMLParser):
    """Elements of a page; refuses one that is not closed where it should be."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.text = [], [], {}
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append((tag, len(self.elements) - 1))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            index = self.open[-1][1]
            self.text[index] = self.text.get(index, "") + data

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def data(self, name):
        (index,) = [i for i, (_, attributes) in enumerate(self.elements) if attributes.get("id") == name]
        return json.loads(self.text[index], parse_constant=pytest.fail)

    def texts(self, tag):
        return [self.text.get(i, "") for i, (name, _) in enumerate(self.elements) if name == tag]


def test_the_page_needs_nothing_from_outside(run_dir):
    page = Page(write_report(run_dir))
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "action", "data"} & attributes.keys()
    addresses = re.findall(r"\w+://[^\s\"]*|[\"'(]//[^\s\"]*", page.source)
    assert addresses == ["http://www.w3.org/2000/svg"]  # a name, which nobody asks for
    assert not re.search(r"url\(|@import|fetch\(|import\(|XMLHttpRequest|WebSocket|sendBeacon", page.source)
    policy = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert policy[0].startswith("default-src 'none'; img-src data:;")


def test_every_id_is_there_once_and_is_found(run_dir):
    page = Page(write_report(run_dir))
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    used = re.findall(r'byId\("([^"]+)"\)', page.source)
    used += [value for _, attributes in page.elements for key, value in attributes.items() if key == "aria-labelledby"]
    assert set(used) <= set(ids)
    assert "{{" not in page.source


def test_everything_that_can_be_operated_has_a_name(run_dir):
    page = Page(write_report(run_dir))
    for index, (tag, attributes) in enumerate(page.elements):
        if tag in ("button", "input", "progress", "svg"):
            assert attributes.get("aria-label") or page.text.get(index, "").strip()
        if tag == "img":
            assert "alt" in attributes
    assert dict(page.elements[0][1]) == {"lang": "en"}


def test_names_are_text_and_not_markup(run_dir):
    page = Page(write_report(run_dir))
    assert page.texts("h1") == ["00003-a <b> & c"]
    evil = run_dir / "stats.jsonl"
    evil.write_text('{"kimg": 1, "metric_</script><script>alert(1)": 2}\n')
    page = Page(write_report(run_dir))
    assert page.data("run")["rows"]["metric_</script><script>alert(1)"] == [2]
    assert page.texts("script")[-1].startswith('\n"use strict"')


def test_numbers_are_those_of_the_files(run_dir):
    page = Page(write_report(run_dir, running=True, seconds_left=3700))
    run = page.data("run")
    assert (run["status"], run["kimg"], run["total"]) == ("running", 1.5, 4.0)
    assert run["rows"]["kimg"] == [0.5, 1.0, 1.5]
    assert run["rows"]["loss_g"] == [0.16667, None, 0.5]
    assert run["rows"]["metric_fid50k"] == [None, 7.0, None]
    assert [(part["start"], part["end"], part["size"], part["fades"]) for part in run["parts"]] == [
        (0, 1, 8, False),
        (1, 2, 16, True),
        (2, 4, 16, False),
    ]
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert facts["images shown"] == "1.5 of 4.0 kimg (38\u00a0%)"
    assert (facts["time left"], facts["trained for"], facts["trains at"]) == ("1h 01m", "1m 30s", "16×16 of 16×16")
    cells = page.texts("td")
    assert cells[:6] == ["0 – 1", "8×8 trains", "32", "0.001", "0.001", "140"]
    assert cells[6:9] == ["1 – 2", "16×16 fades in", "4"]
    current = [index for index, (_, attributes) in enumerate(page.elements) if attributes.get("aria-current")]
    assert page.text.get(current[0] + 2) == "16×16 fades in"


def test_settings_that_differ_from_the_default_are_marked(run_dir):
    page = Page(write_report(run_dir))
    cells = page.texts("td")
    index = cells.index("seed")
    assert cells[index : index + 3] == ["seed", "7", "0"]
    assert cells[cells.index("schedule.lod_training_kimg") + 1] == "1.0"


@pytest.mark.parametrize(
    ("kimg", "running", "status"), [(4.0, True, "complete"), (1.0, True, "running"), (1.0, False, "stopped")]
)
def test_state_of_the_run(run_dir, kimg, running, status):
    (run_dir / "stats.jsonl").write_text(json.dumps({"kimg": kimg}) + "\n")
    page = Page(write_report(run_dir, running, seconds_left=60))
    assert page.data("run")["status"] == status
    assert ("time left" in page.texts("dt")) == (status == "running")


def test_a_run_before_its_first_tick_has_a_page(run_dir):
    for path in [run_dir / "stats.jsonl", *run_dir.glob("*.png")]:
        path.unlink()
    page = Page(write_report(run_dir, running=True))
    assert page.data("run")["rows"] == {}
    assert page.data("pictures") == {}


def test_pictures_are_copies_of_the_grids(run_dir):
    pictures = Page(write_report(run_dir)).data("pictures")
    assert {name: entry["kimg"] for name, entry in pictures.items()} == {
        "reals.png": None,
        "fakes000000.000.png": 0,
        "fakes000000.500.png": 0.5,
        "fakes000001.500.png": 1.5,
    }
    for number, name in enumerate(["reals.png", "fakes000000.000.png", "fakes000000.500.png", "fakes000001.500.png"]):
        kind, _, encoded = pictures[name]["source"].partition(";base64,")
        assert kind == "data:image/jpeg"
        with PIL.Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert image.size == (12, 8)
            assert np.abs(np.asarray(image).astype(int) - 50 * number).max() < 4


def test_a_picture_is_encoded_again_only_if_its_file_has_changed(run_dir, monkeypatch):
    encoded = []

    def remembered(path, *arguments):
        encoded.append(path.name)
        return b"picture", (1, 1)

    monkeypatch.setattr(report, "preview", remembered)
    write_report(run_dir)
    assert len(encoded) == 4
    write_report(run_dir)
    assert len(encoded) == 4
    save_png(run_dir / "fakes000000.500.png", np.zeros([4, 4, 3], np.uint8))
    write_report(run_dir)
    assert encoded[4:] == ["fakes000000.500.png"]
    (run_dir / "report.html").write_text("not our page")
    write_report(run_dir)
    assert len(encoded) == 9


def test_a_preview_that_is_there_is_not_made_again(run_dir):
    pictures = Page(write_report(run_dir, previews={"fakes000000.500.png": b"abc"})).data("pictures")
    assert pictures["fakes000000.500.png"]["source"] == "data:image/jpeg;base64,YWJj"


def test_few_pictures_are_encoded_when_time_is_short_and_the_rest_the_next_time(run_dir):
    assert set(Page(write_report(run_dir, encoding_seconds=0)).data("pictures")) == {"reals.png", "fakes000001.500.png"}
    assert len(Page(write_report(run_dir)).data("pictures")) == 4


def test_a_long_run_shows_some_of_its_grids_evenly_and_the_newest(run_dir, monkeypatch):
    monkeypatch.setattr(report, "preview", lambda *_: (b"x" * 3000, (1, 1)))
    for number in range(2, 300):
        (run_dir / f"fakes{number:06d}.png").touch()
    pictures = Page(write_report(run_dir)).data("pictures")
    kimg = [entry["kimg"] for name, entry in pictures.items() if name != "reals.png"]
    assert 32 <= len(kimg) <= 65
    assert (min(kimg), max(kimg)) == (0, 299)
    assert max(np.diff(sorted(kimg))) <= 8
    monkeypatch.setattr(report, "MAX_BYTES", 50_000)
    assert write_report(run_dir).stat().st_size < 100_000


def test_many_ticks_are_thinned_out_but_for_the_newest(run_dir):
    (run_dir / "stats.jsonl").write_text("".join(f'{{"kimg": {number}}}\n' for number in range(4500)))
    kimg = Page(write_report(run_dir)).data("run")["rows"]["kimg"]
    assert (len(kimg), kimg[0], kimg[-1]) == (1500, 2, 4499)


def test_order_of_grids_is_that_of_kimg(run_dir):
    assert kimg_of(run_dir / "fakes000012.345.png") == 12.345
    assert kimg_of(run_dir / "fakes001200.png") == 1200


def test_a_page_with_many_pictures_is_written_within_half_a_second(run_dir, monkeypatch):
    monkeypatch.setattr(report, "preview", lambda *_: (os.urandom(150_000), (1280, 720)))
    for number in range(2, 63):
        (run_dir / f"fakes{number:06d}.png").touch()
    write_report(run_dir)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        path = write_report(run_dir)
        seconds.append(time.perf_counter() - started)
    assert 10e6 < path.stat().st_size < 15e6
    assert min(seconds) < 0.5


def test_a_page_that_cannot_be_written_leaves_the_one_before(run_dir, monkeypatch):
    before = write_report(run_dir).read_text()
    monkeypatch.setattr(report, "embedded", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(run_dir)
    assert (run_dir / "report.html").read_text() == before
