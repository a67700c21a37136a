"""export_model.py: which options belong to which format, versions, and directories that are complete or not there."""

import json
import os
import subprocess
import sys
import time

import pytest
from serving_data import trained

import export_model
from stylegan_tf import litert, onnx_model, serving, web
from stylegan_tf.export import FORMATS
from stylegan_tf.snapshot import save_snapshot


@pytest.fixture
def converted(monkeypatch):
    """Converters that only note what they were asked for: [(format, options), ...]."""
    calls = []

    def fake_savedmodel(generator, directory, model, **options):
        calls.append(("savedmodel", {"model": model, **options}))
        (directory / "saved_model.pb").write_bytes(b"model")
        return {"max_batch": 4, "noise": options["noise"], "signatures": {}}

    def converter(name):
        def convert(generator, part, *, metadata, **options):
            assert metadata["model"] == "StyleGAN"
            calls.append((name, {"part": part, **options}))
            return name.encode()

        return convert

    monkeypatch.setattr(serving, "write", fake_savedmodel)
    monkeypatch.setattr(litert, "convert", converter("litert"))
    monkeypatch.setattr(onnx_model, "convert", converter("onnx"))
    monkeypatch.setattr(web, "write_page", lambda generator, card, directory, **options: calls.append(("web", options)))
    return calls


def export(run, form, out, *options):
    export_model.main(["--network", str(run), "--format", form, "--out", str(out), *options])


def test_every_format_has_options_and_a_function():
    assert export_model.OPTIONS.keys() == FORMATS.keys()


def test_versions_count_upwards_and_other_files_do_not_matter(tiny_run, tmp_path, converted, capsys):
    base = tmp_path / "out" / "portraits"
    for version in (1, 2):
        export(tiny_run, "savedmodel", tmp_path / "out", "--name", "portraits", "--max-batch", "3")
        assert f"Export: {base / str(version)}" in capsys.readouterr().out
    (base / "7").mkdir()
    (base / "notes.txt").touch()
    (base / ".8.partial").mkdir()  # of an export that was killed
    (base / ".8.partial" / "half").touch()
    export(tiny_run, "savedmodel", tmp_path / "out", "--name", "portraits", "--noise", "stored")
    assert sorted(path.name for path in base.iterdir()) == ["1", "2", "7", "8", "notes.txt"]
    assert sorted(path.name for path in (base / "8").iterdir()) == [
        "MODEL_CARD.md",
        "model_card.json",
        "saved_model.pb",
    ]
    common = {"model": "portraits", "level": 1, "fade": 0.25}
    assert converted == [
        ("savedmodel", common | {"noise": "random", "max_batch": 3}),
        ("savedmodel", common | {"noise": "random", "max_batch": 3}),
        ("savedmodel", common | {"noise": "stored", "max_batch": None}),
    ]


def test_other_formats_write_a_new_directory_with_a_card(tiny_run, tmp_path, converted):
    export(tiny_run, "litert", tmp_path / "phone", "--part", "mapping", "--quantize", "int8", "--batch", "2")
    assert (tmp_path / "phone" / "mapping.tflite").read_bytes() == b"litert"
    export(tiny_run, "onnx", tmp_path / "deep" / "onnx", "--noise", "none", "--licence", "CC0")
    assert (tmp_path / "deep" / "onnx" / "generator.onnx").read_bytes() == b"onnx"
    assert json.loads((tmp_path / "deep" / "onnx" / "model_card.json").read_text())["licence"] == "CC0"
    export(tiny_run, "web", tmp_path / "page", "--quantize", "float32")
    export(tiny_run, "litert", tmp_path / "both", "--part", "both")
    assert sorted(path.name for path in (tmp_path / "both").glob("*.tflite")) == ["mapping.tflite", "synthesis.tflite"]
    assert "--model mapping.tflite synthesis.tflite --seeds" in (tmp_path / "both" / "MODEL_CARD.md").read_text()
    grown = {"level": 1, "fade": 0.25}
    assert converted == [
        ("litert", grown | {"part": "mapping", "quantize": "int8", "batch": 2, "noise": "stored"}),
        ("onnx", grown | {"part": "generator", "noise": "none"}),
        ("web", {"quantize": "float32"}),
        *(
            ("litert", grown | {"part": part, "quantize": "float32", "batch": 1, "noise": "stored"})
            for part in ("mapping", "synthesis")
        ),
    ]


@pytest.mark.parametrize("form", ["litert", "onnx", "web"])
def test_nothing_is_overwritten(tiny_run, tmp_path, converted, form):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(SystemExit, match=r"mine exists and is not empty; choose another --out"):
        export(tiny_run, form, tmp_path / "mine")
    assert converted == []
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("form", ["savedmodel", "litert", "onnx", "web"])
def test_what_fails_leaves_nothing(tiny_run, tmp_path, converted, form, monkeypatch):
    def fail(*_, **__):
        raise ValueError("the converter does not like it")

    for module, name in ((serving, "write"), (litert, "convert"), (onnx_model, "convert"), (web, "write_page")):
        monkeypatch.setattr(module, name, fail)
    with pytest.raises(SystemExit, match="the converter does not like it"):
        export(tiny_run, form, tmp_path / "out")
    assert [path for path in tmp_path.rglob("*") if path.name.endswith((".partial", "tflite", "onnx", "1"))] == []


@pytest.mark.parametrize(
    ("form", "options", "reason"),
    [
        ("savedmodel", ["--quantize", "int8"], "--quantize is an option of --format litert and web, not of savedmodel"),
        ("onnx", ["--batch", "2"], "--batch is an option of --format litert, not of onnx"),
        ("web", ["--part", "mapping"], "--part is an option of --format litert and onnx, not of web"),
        ("litert", ["--max-batch", "2"], "--max-batch is an option of --format savedmodel, not of litert"),
        ("litert", ["--noise", "random"], "--noise random: with --format litert it is one of stored, input, none"),
        ("savedmodel", ["--noise", "none"], "--noise none: with --format savedmodel it is one of random, stored"),
        (
            "web",
            ["--quantize", "int8"],
            "--quantize int8: with --format web it is one of float32, float16, dynamic_int8",
        ),
        ("savedmodel", ["--max-batch", "0"], "'0' is no whole number from 1"),
        ("caffe", [], "argument --format: invalid choice: 'caffe'"),
    ],
)
def test_options_of_another_format_are_refused(form, options, reason, capsys):
    with pytest.raises(SystemExit):
        export_model.parse_arguments(["--network", "run", "--format", form, "--out", "out", *options])
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "my portraits", "$(reboot)", "a\n"])
def test_a_name_that_is_no_directory_is_refused(tiny_run, tmp_path, converted, name):
    with pytest.raises(SystemExit, match="is no name for a model"):
        export(tiny_run, "savedmodel", tmp_path / "out", "--name", name)
    assert not (tmp_path / "out").exists()


def test_the_directory_one_stands_in_is_refused(tiny_run, tmp_path, converted, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (".", tmp_path / "here"):
        with pytest.raises(SystemExit, match=r"is no new directory; name one, as in --out .*export"):
            export(tiny_run, "litert", out)
    assert converted == []


def test_a_link_to_an_empty_directory_stays_a_link(tiny_run, tmp_path, converted):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    export(tiny_run, "litert", tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "generator.tflite").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["savedmodel", "litert", "onnx", "web"])
def test_a_network_of_1024_pixels_takes_less_than_2_minutes_and_6_gb(tmp_path, form):
    save_snapshot(tmp_path / "a.safetensors", {"Gs": trained(resolution=1024)}, {})
    command = [
        export_model.__file__,
        "--network",
        tmp_path / "a.safetensors",
        "--format",
        form,
        "--out",
        tmp_path / "b",
    ]
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *command])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert time.monotonic() - started < 120
    assert 1024 * used.ru_maxrss < 6e9  # Linux counts in KiB


def test_a_run_without_snapshots_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"contains no network-snapshot.*"):
        export(tmp_path, "web", tmp_path / "out")
