"""Event files as TensorBoard itself reads them."""

import io

import numpy as np
import PIL.Image
import pytest

from training.board import OURS, TAGS, Board, histogram, histogram_tag, tag_of

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.plugin_event_accumulator", reason="tensorboard is not installed"
)


def read(run_dir):
    """What TensorBoard knows of a run directory."""
    events = accumulator.EventAccumulator(str(run_dir), tensor_size_guidance={"tensors": 0})
    return events.Reload()


def scalars(run_dir, tag):
    return [(event.step, event.tensor_proto.float_val[0]) for event in read(run_dir).Tensors(tag)]


ROW = {"tick": 1, "kimg": 0.5, "loss_g": 2.0, "score_real": 1.0, "metric_fid50k": 7.5, "level": 3, "total_sec": 60}


def test_numbers_have_the_originals_tags(tmp_path):
    board = Board(tmp_path)
    board.scalars(ROW, {"score_real": 0.25}, 500)
    board.scalars(ROW | {"score_real": 3.0}, {}, 1000)
    tags = set(read(tmp_path).Tags()["tensors"])
    expected = {"Progress/tick", "Progress/kimg", "Timing/total_sec", "Loss/scores/real", "Metrics/fid50k", "Loss/G"}
    assert tags == expected | {f"xCustomScalars/Loss/scores/real/margin_{side}" for side in ("lo", "hi")}
    assert scalars(tmp_path, "Loss/scores/real") == [(500, 1.0), (1000, 3.0)]
    assert scalars(tmp_path, "xCustomScalars/Loss/scores/real/margin_lo") == [(500, 0.75)]
    assert scalars(tmp_path, "xCustomScalars/Loss/scores/real/margin_hi") == [(500, 1.25)]


def test_every_tag_names_one_number():
    tags = [*TAGS.values(), *OURS.values()]
    assert len(set(tags)) == len(tags)
    assert tag_of("images_seen") is None


def test_a_resumed_run_forgets_steps_after_its_checkpoint(tmp_path):
    first = Board(tmp_path)
    for step in (100, 200, 300):
        first.scalars({"kimg": step}, {}, step)
    first.close()
    second = Board(tmp_path, images_seen=200)
    second.scalars({"kimg": 250}, {}, 250)
    assert scalars(tmp_path, "Progress/kimg") == [(100, 100), (200, 200), (250, 250)]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_cut_short_does_not_hide_what_comes_after(tmp_path):
    first = Board(tmp_path)
    first.scalars({"kimg": 1}, {}, 100)
    first.scalars({"kimg": 2}, {}, 200)
    first.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    Board(tmp_path, images_seen=100).scalars({"kimg": 3}, {}, 200)
    assert scalars(tmp_path, "Progress/kimg") == [(100, 1), (200, 3)]


def test_a_picture_arrives(tmp_path):
    file = io.BytesIO()
    PIL.Image.new("RGB", (6, 4), "red").save(file, "jpeg")
    Board(tmp_path).image("fakes", file.getvalue(), (6, 4), 500)
    (event,) = read(tmp_path).Tensors("fakes")
    width, height, encoded = event.tensor_proto.string_val
    assert (width, height, encoded, event.step) == (b"6", b"4", file.getvalue(), 500)


def test_histograms_have_the_originals_titles(tmp_path, tiny_generator):
    Board(tmp_path).histograms({"G": tiny_generator}, 500)
    tags = set(read(tmp_path).Tags()["tensors"])
    assert {"G_weight/G_synthesis_8x8_Conv0_up", "G_const/G_synthesis_4x4_Const", "G_weight/G_mapping_Dense0"} <= tags
    assert len(tags) == len(tiny_generator.trainable_variables)
    assert histogram_tag("D", "lod") == "D_toplevel/lod"


def test_a_histogram_counts_finite_values():
    proto = histogram(np.float32([0, 1, 1, 64, np.nan, np.inf]))
    assert (proto.min, proto.max, proto.num, proto.sum, proto.sum_squares) == (0, 64, 4, 66, 4098)
    assert list(proto.bucket_limit) == list(range(1, 65))
    assert list(proto.bucket) == [1, 2, *[0] * 61, 1]
    assert histogram(np.float32([np.nan])).num == 0


def test_after_a_failure_a_new_file_is_begun(tmp_path, monkeypatch):
    board = Board(tmp_path)
    board.scalars({"kimg": 1}, {}, 100)
    with monkeypatch.context() as patch:
        patch.setattr(board, "_event", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            board.scalars({"kimg": 2}, {}, 200)
    board.scalars({"kimg": 3}, {}, 300)
    assert len(list(tmp_path.iterdir())) == 2
    assert scalars(tmp_path, "Progress/kimg") == [(100, 1), (300, 3)]
