"""The words and numbers of a run's reports, and that none of them can stop a run."""

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from stylegan_tf.progress_line import clock
from training import reporting
from training.config import CHOICES, TrainingConfig, with_values
from training.grids import cell_images, cell_labels, check_layout, grid_cells, grid_size
from training.logfile import output_mirrored
from training.meter import Averages, peak_gpu_mem_gb
from training.progress import Stretch, seconds_between, stretches
from training.reporting import RunReporter, append_whole
from training.schedule import schedule_at
from training.state import TrainState

LOGS = {"loss_g": 1.0, "loss_d": 0.5, "score_real": 1.0, "score_fake": -1.0, "r1_penalty": 0.1}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (725, "12m 05s"), (11220, "3h 07m"), (187200, "2d 04h")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("size", "resolution", "cells"),
    [
        ("1080p", 8, (32, 32)),
        ("1080p", 64, (30, 16)),
        ("1080p", 1024, (3, 2)),
        ("4k", 256, (15, 8)),
        ("4k", 1024, (7, 4)),
        ("8k", 512, (15, 8)),
        ("8k", 1024, (7, 4)),
        ("6x2", 64, (6, 2)),
    ],
)
def test_grid_size_of_the_original(size, resolution, cells):
    assert grid_size(size, resolution) == cells


@pytest.mark.parametrize("size", ["2k", "0x3", "3x", "3x2x1", "-1x2", "٣x2", "1000x1"])
def test_other_grid_sizes_are_refused(size):
    with pytest.raises(ValueError, match=r'image_grid must be "1080p", "4k", "8k" or like "8x4"'):
        grid_size(size, 64)


def test_a_huge_grid_is_refused():
    assert grid_size("64x64", 256) == (64, 64)
    with pytest.raises(ValueError, match="'999x999' of 64x64 images has 63936 x 63936 pixels; choose fewer"):
        grid_size("999x999", 64)


class Pictures:
    """A data set of ten 16x16 pictures in their own order; picture i has the gray value i and the class given."""

    resolution, num_channels, num_images, name = 16, 3, 10, "pictures"

    def __init__(self, classes=None):
        self.labels = np.eye(3, dtype=np.float32)[classes] if classes else np.zeros([10, 0], np.float32)
        self.label_size, self.levels = self.labels.shape[1], [self]

    def indices(self, start, count):
        return np.arange(start, start + count) % 10

    def read(self, indices):
        return np.broadcast_to(np.uint8(indices)[:, None, None, None], [len(indices), 16, 16, 3])


CLASSES = [0, 0, 1, 0, 0, 1, 0, 0, 0, 2]


@pytest.mark.parametrize(
    ("layout", "size", "cells"),
    [
        ("random", (4, 2), [0, 1, 2, 3, 4, 5, 6, 7]),
        ("row_per_class", (2, 2), [0, 1, 2, 5]),  # of three classes, two have a row
        ("row_per_class", (3, 4), [0, 1, 3, 2, 5, 2, 9, 9, 9, 4, 6, 7]),  # the fourth row is class 0 again
        ("col_per_class", (3, 2), [0, 2, 9, 1, 5, 9]),
        ("class4x4", (5, 4), [0, 1, 3, 4, -1, 6, 7, 8, 0, -1, 1, 3, 4, 6, -1, 7, 8, 0, 1, -1]),
    ],
)
def test_classes_fill_their_blocks_in_the_order_of_the_data(layout, size, cells):
    dataset = Pictures(CLASSES)
    found = grid_cells(dataset, *size, layout)
    assert found.tolist() == cells
    images, labels = cell_images(dataset, found), cell_labels(dataset, found)
    for cell, image, label in zip(cells, images, labels, strict=True):
        assert (image == max(cell, 0)).all()
        np.testing.assert_array_equal(label, dataset.labels[cell] if cell >= 0 else np.zeros(3))


def test_a_class_without_pictures_leaves_its_row_empty():
    assert grid_cells(Pictures([0] * 9 + [2]), 2, 3, "row_per_class").tolist() == [0, 1, -1, -1, 9, 9]


def test_layouts_by_class_need_labels():
    random, *by_class = CHOICES["image_layout"]
    check_layout(random, 0)
    for layout in by_class:
        with pytest.raises(ValueError, match=f"image_layout '{layout}' needs a run on labels"):
            check_layout(layout, 0)
        assert len(grid_cells(Pictures(CLASSES), 4, 4, layout)) == 16


def test_averages_leave_out_what_is_not_finite():
    averages = Averages()
    for value in (1.0, float("nan"), 3.0, float("inf")):
        averages.add("a", value)
        averages.add("b", float("nan"))
    assert averages.means() == {"a": 2.0}
    assert averages.deviations() == {"a": 1.0}


def test_stretches_of_the_original_schedule():
    parts = stretches(TrainingConfig().schedule, 32, 2000)
    assert parts == [
        Stretch(0, 600, 2, False),
        Stretch(600, 1200, 1, True),
        Stretch(1200, 1800, 1, False),
        Stretch(1800, 2000, 0, True),
    ]
    assert seconds_between(500, 1300, parts, {2: 0.001, 1: 0.01}) == pytest.approx(100 + 7000)
    assert seconds_between(1900, 9999, parts, {2: 0.001}) == pytest.approx(100_000 * 0.004)  # twice a level


def config_of(**changes):
    small = {"fmap_max": 4, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1}
    values = {"generator": small, "discriminator": {"fmap_max": 4}, "image_grid": "3x2", "total_kimg": 2000}
    return with_values(TrainingConfig(), values | changes)


@pytest.fixture(scope="module")
def networks():
    return TrainState.create(config_of(), 16, 3, 0)


@pytest.fixture
def state(networks):
    """A state at the beginning; its networks, which nothing here changes, are made once."""
    return dataclasses.replace(networks)


@pytest.fixture
def reporter(state, tmp_path):
    return RunReporter(tmp_path, state, Pictures())


def run_one_tick(reporter, seconds=(0.5, 0.25)):
    state = reporter.state
    point = schedule_at(state.images_seen, state.config.schedule, 16)
    for count, time in enumerate(seconds):
        state.images_seen += point.minibatch
        reporter.add(LOGS | {"loss_g": 1.0 + 2 * count}, time, point)
    state.tick += 1
    reporter.tick(point)
    return point


def test_grids_show_the_current_level_at_full_size(reporter):
    path = reporter.fake_grid(schedule_at(0, reporter.state.config.schedule, 16))
    pixels = np.asarray(PIL.Image.open(path))
    assert pixels.shape == (32, 48, 3)
    np.testing.assert_array_equal(pixels[::2], pixels[1::2])  # 8x8, shown at 16x16


def test_generated_images_have_the_labels_of_the_real_ones(tmp_path):
    state = TrainState.create(config_of(), 16, 3, 3)
    reporter = RunReporter(tmp_path, state, Pictures(CLASSES))
    assert reporter.labels.argmax(1).tolist() == CLASSES[:6]
    reporter.real_grid()
    first_pixels = np.asarray(PIL.Image.open(tmp_path / "reals.png"))[::16, ::16, 0]
    assert first_pixels.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_tick_reports_means_and_the_time_left(reporter, capsys):
    reporter.rates.update({1: 0.01, 0: 0.02})
    point = run_one_tick(reporter, [0.5, 1.28])  # the second one is measured: as fast as before
    assert reporter.time_left() == pytest.approx((600_000 - 256) * 0.01 + 1_400_000 * 0.02)
    line = capsys.readouterr().out
    assert "kimg     0.3 of 2000  8x8  " in line
    assert "loss G  2.00 D  0.50   100.0 img/s  1s trained, left: tick 23m 17s, level 1h 39m, run 9h 26m; maint" in line
    row = json.loads((reporter.run_dir / "stats.jsonl").read_text())
    assert (row["loss_g"], row["score_real"], row["kimg"], row["resolution"]) == (2.0, 1.0, 0.256, 8)
    assert (row["G_lrate"], row["minibatch"], row["lod"]) == (point.G_lrate, 128, 1.0)


def test_speed_is_that_of_training_and_maintenance_is_told_apart(reporter, monkeypatch):
    now = 100.0
    monkeypatch.setattr("training.meter.time.monotonic", lambda: now)
    reporter.meter.begin_tick()
    now = 113.0  # 10 s of compilation, 1 s of training, 2 s of anything else
    run_one_tick(reporter, [10.0, 1.0])
    row = json.loads((reporter.run_dir / "stats.jsonl").read_text())
    assert row["images_per_second"] == 128.0
    assert (row["sec_per_tick"], row["compile_sec"], row["maintenance_sec"]) == (11.0, 10.0, 2.0)
    assert row["sec_per_kimg"] == 11 / 0.256


def test_a_tick_that_only_compiled_has_no_speed(reporter, capsys):
    run_one_tick(reporter, [10.0])
    assert "images_per_second" not in json.loads((reporter.run_dir / "stats.jsonl").read_text())
    assert "compiling" in capsys.readouterr().out


def test_loss_scales_are_reported_where_there_are_some(tmp_path):
    state = TrainState.create(config_of(dtype="float16", loss_scaling=True), 16, 3, 0)
    run_one_tick(RunReporter(tmp_path, state, Pictures()))
    row = json.loads((tmp_path / "stats.jsonl").read_text())
    scale = float(state.G_optimizer.slots["loss_scale_log2"])
    assert (row["loss_scale_log2_g"], row["loss_scale_log2_d"]) == (scale, scale)


def test_a_processor_has_no_gpu_memory():
    assert peak_gpu_mem_gb() == 0


class FixedJudge:
    """Gives results that were written down before; an exception is raised."""

    def __init__(self, *results):
        self.results = list(results)

    def evaluate(self, generator, level, fade, kimg, directory, stop):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_metrics_are_told_until_replaced(reporter):
    reporter.judge = FixedJudge({"fid50k": 12.0}, {"fid50k": 9.0, "kid50k": 1.0})
    for _ in range(2):
        reporter.evaluate(schedule_at(0, reporter.state.config.schedule, 16), lambda: False)
        run_one_tick(reporter)
    rows = [json.loads(line) for line in (reporter.run_dir / "stats.jsonl").read_text().splitlines()]
    assert [row["metric_fid50k"] for row in rows] == [12, 9]
    assert rows[1]["metric_kid50k"] == 1


def test_a_metric_that_fails_stops_nothing(reporter, capsys):
    reporter.judge = FixedJudge(RuntimeError("out of luck"), {"fid50k": 9.0})
    point = schedule_at(0, reporter.state.config.schedule, 16)
    reporter.evaluate(point, lambda: False)
    assert "training goes on without metrics (RuntimeError: out of luck)" in capsys.readouterr().out
    reporter.evaluate(point, lambda: False)
    run_one_tick(reporter)
    assert json.loads((reporter.run_dir / "stats.jsonl").read_text())["metric_fid50k"] == 9


def test_a_restored_run_forgets_ticks_that_were_not_saved(state, tmp_path):
    path = tmp_path / "stats.jsonl"
    path.write_text('{"images_seen": 100}\n{"images_s{"images_seen": 50}\n{"images_seen": 200}\n{"images_se')
    state.images_seen = 100
    RunReporter(tmp_path, state, Pictures())
    assert path.read_text() == '{"images_seen": 100}\n'


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "001234"),
        ({"total_kimg": 0.9}, "001234.567"),
        ({"schedule": {"tick_kimg_dict": {"16": 0.5}}}, "001234.567"),
        ({"schedule": {"tick_kimg_dict": {"512": 0.5}}}, "001234"),  # this run never comes there
    ],
)
def test_files_of_a_run_with_short_ticks_have_decimals(state, tmp_path, changes, name):
    state.config, state.images_seen = config_of(**changes), 1_234_567
    reporter = RunReporter(tmp_path, state, Pictures())
    point = schedule_at(0, state.config.schedule, 16)
    assert reporter.fake_grid(point).name == f"fakes{name}.png"
    assert reporter.snapshot(point).name == f"network-snapshot-{name}.safetensors"


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("save_png", "a grid of generated images"),
        ("write_report", "the report"),
        ("save_snapshot", "a snapshot of the networks"),
        ("append_whole", "statistics"),
        ("Board.scalars", "TensorBoard's numbers"),
        ("Board.image", "TensorBoard's pictures"),
    ],
)
def test_what_cannot_be_written_is_told_once_and_training_goes_on(reporter, monkeypatch, capsys, function, what):
    def report_all():
        point = run_one_tick(reporter)
        reporter.fake_grid(point)
        reporter.snapshot(point)
        reporter.report()
        return capsys.readouterr().out

    (reporter.run_dir / "run.json").write_text(RUN_JSON)
    assert "Warning" not in report_all()
    owner, _, name = f"reporting.{function}".rpartition(".")
    with monkeypatch.context() as patch:
        patch.setattr(f"training.{owner}.{name}", full_disk)
        assert report_all().count(f"Warning: training goes on without {what} ([Errno 28] No space left") == 1
        assert "Warning" not in report_all()
    assert "Warning" not in report_all()
    with monkeypatch.context() as patch:
        patch.setattr(f"training.{owner}.{name}", full_disk)
        assert "Warning" in report_all()  # it had worked in between


RUN_JSON = json.dumps({"dataset": {"images": 10, "resolution": 16, "channels": 3, "label_size": 0}, "config": {}})


def test_an_error_of_any_kind_is_told_with_its_name(reporter, monkeypatch, capsys):
    monkeypatch.setattr(reporting, "save_png", lambda *_: {}["no such key"])
    reporter.real_grid()
    assert "without the grid of real images (KeyError: 'no such key')" in capsys.readouterr().out


def test_a_report_takes_a_fiftieth_of_the_time(reporter, monkeypatch):
    now, reports = 0.0, []

    def slow(*_):
        nonlocal now
        now += 2.0
        reports.append(now)

    monkeypatch.setattr(reporting.time, "monotonic", lambda: now)
    monkeypatch.setattr(reporting, "write_report", slow)
    point = schedule_at(0, reporter.state.config.schedule, 16)
    for seconds in (0.0, 50.0, 101.0, 103.0, 204.0):
        now = seconds
        reporter.fake_grid(point)
    assert reports == [2.0, 105.0]


def test_a_line_is_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "stats.jsonl"
    append_whole(path, b"1\n")

    class Full:
        """A file with room for two bytes more."""

        def __init__(self, *arguments, **options):
            self.file = open_file(*arguments, **options)

        def write(self, content):
            return self.file.write(content[:2])

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            self.file.close()

    open_file = open
    monkeypatch.setattr(reporting, "open", Full, raising=False)
    with pytest.raises(OSError, match=r"stats.jsonl: No space left on device; make room"):
        append_whole(path, b"a long line\n")
    assert path.read_text() == "1\n"


def test_the_log_has_finished_lines_and_the_reason_of_the_end(tmp_path, capsys):
    path = tmp_path / "log.txt"
    path.write_text("of the run before\n")

    def run():
        with output_mirrored(path):
            print("\r\033[Klive 1", end="", flush=True)
            print("\r\033[Klive 2", end="", flush=True)
            print("\r\033[Ktick 1")
            print("two\nlines")
            raise KeyError("the reason")

    with pytest.raises(KeyError):
        run()
    print("after")
    log = path.read_text().splitlines()
    assert log[:4] == ["of the run before", "tick 1", "two", "lines"]
    assert log[-1] == "KeyError: 'the reason'"
    assert capsys.readouterr().out == "\r\033[Klive 1\r\033[Klive 2\r\033[Ktick 1\ntwo\nlines\nafter\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file on a full disk")
@pytest.mark.parametrize(
    ("path", "reason"), [("/nowhere/log.txt", "No such file or directory"), ("/dev/full", "No space left on device")]
)
def test_a_log_that_cannot_be_written_is_told_once_and_stops_nothing(path, reason, capsys):
    with output_mirrored(path):
        print("a")
        print("b")
    printed = capsys.readouterr().out
    assert printed.count(f"Warning: {path} is not complete ({reason})") == 1
    assert printed.replace(f"Warning: {path} is not complete ({reason})\n", "") == "a\nb\n"
