"""Compares every import with the rooms (docs/design.md): what a file may not know, it may not import."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
DOORS = {path.stem for path in REPOSITORY.glob("*.py")}
PACKAGES = {"stylegan_tf", "training", "metrics"}

# Files -> what they must not import; a name stands for the module and everything inside it.
FORBIDDEN = [
    ("stylegan_tf/*.py", {"training", "metrics"}),
    ("training/*.py", {"metrics"}),
    ("metrics/*.py", {"training", "stylegan_tf.records"}),
    ("stylegan_tf/ops.py", {"stylegan_tf", "tensorflow"}),
    ("stylegan_tf/layers.py", {"stylegan_tf.generator", "stylegan_tf.discriminator", "tensorflow"}),
    ("stylegan_tf/growth.py", {"stylegan_tf", "tensorflow", "keras"}),
    ("stylegan_tf/generator.py", {"tensorflow"}),
    ("stylegan_tf/discriminator.py", {"tensorflow"}),
    ("stylegan_tf/arrays.py", {"stylegan_tf", "tensorflow", "keras"}),
    ("stylegan_tf/console.py", {"stylegan_tf", "tensorflow", "keras"}),
    ("stylegan_tf/images.py", {"tensorflow", "keras"}),
    ("stylegan_tf/records.py", {"stylegan_tf.generator", "stylegan_tf.discriminator", "keras"}),
    ("stylegan_tf/sources.py", {"stylegan_tf.generator", "stylegan_tf.discriminator", "keras"}),
    ("training/dataset.py", {"stylegan_tf.generator", "stylegan_tf.discriminator", "training.losses"}),
    ("training/config.py", {"tensorflow", "keras"}),
    ("training/schedule.py", {"tensorflow", "keras"}),
    ("training/step.py", {"training.loop", "training.reporting"}),
]
# Files -> all that they may import besides the standard library.
ALLOWED = {
    "stylegan_tf/ops.py": {"keras", "numpy"},
    "stylegan_tf/growth.py": set(),
}


def imports(path):
    """Full names of all modules that a file imports, late imports included: {"numpy", "stylegan_tf.ops"}."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(REPOSITORY).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [package, node.module]))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def belongs(name, modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_an_import_is_found_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "file.py"
    file.write_text("import a.b as c\ndef f():\n    from d import e\n    from . import g\n    from .h import i\n")
    assert imports(file) == {"a.b", "d", "d.e", "room", "room.g", "room.h", "room.h.i"}


@pytest.mark.parametrize(("files", "modules"), FORBIDDEN, ids=[row[0] for row in FORBIDDEN])
def test_room_does_not_know_what_it_must_not(files, modules):
    for path in REPOSITORY.glob(files):
        assert not [name for name in imports(path) if belongs(name, modules)], path


@pytest.mark.parametrize("file", ALLOWED)
def test_room_knows_nothing_else(file):
    import sys

    others = {name for name in imports(REPOSITORY / file) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert not [name for name in others if not belongs(name, ALLOWED[file])]


def test_nothing_imports_a_door():
    rooms = [path for package in PACKAGES for path in (REPOSITORY / package).glob("**/*.py")]
    for path in [*rooms, *REPOSITORY.glob("*.py")]:
        assert not [name for name in imports(path) if belongs(name, DOORS)], path
