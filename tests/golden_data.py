"""Reading `tests/golden`: values computed with the original implementation (see the README there).

All arrays in the files are NCHW at full resolution, and `lod` is one number. Here they meet our NHWC images of the
current resolution, and our (level, fade).
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import fidelity
import numpy as np
import pytest

from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator, MappingNetwork, SynthesisNetwork
from stylegan_tf.growth import split_lod
from stylegan_tf.official import load_variables
from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator

FOLDER = Path(__file__).parent / "golden"
NETWORKS = {
    "G_mapping": MappingNetwork,
    "G_synthesis": SynthesisNetwork,
    "G_style": Generator,
    "D_basic": Discriminator,
    "G_paper": ProGANGenerator,
    "D_paper": ProGANDiscriminator,
}
CALL_OPTIONS = {
    "is_training": "training",
    "is_validation": "validation",
    "randomize_noise": "randomize_noise",
}


@dataclass(frozen=True)
class GoldenFile:
    """One file: its meta data and its arrays by kind, `{name without prefix: array}`."""

    name: str
    meta: dict
    arrays: dict

    def group(self, prefix):
        """Arrays whose key starts with `prefix/`."""
        prefix += "/"
        return {key.removeprefix(prefix): value for key, value in self.arrays.items() if key.startswith(prefix)}

    @property
    def kind(self):
        """Start of the file name, in which the files of one component agree."""
        return re.match("progan_[GD]|[a-z]+", self.name)[0]

    def dynamic(self, output):
        """Options of the evaluation that gave `output`."""
        return self.meta["outputs"][output].get("dynamic_kwargs", {})

    def growth(self, output):
        """(level, fade) of `output`."""
        return split_lod(self.meta["outputs"][output].get("lod", 0))

    def assert_close(self, actual, expected, what=""):
        """Compare within the tolerance of the component that this kind of file belongs to."""
        fidelity.assert_close(self.kind, self.name, actual, expected, what)


@functools.cache
def read(name):
    """A golden file by its name."""
    with np.load(FOLDER / name) as file:
        arrays = dict(file)
    return GoldenFile(name, json.loads(str(arrays.pop("meta"))), arrays)


def cases(pattern):
    """`pytest.param(file name, output name)` for every output of the files that match."""
    names = sorted(path.name for path in FOLDER.glob(pattern))
    return [
        pytest.param(name, output, id=f"{name[:-4]}-{output}")
        for name in names
        for output in read(name).meta["outputs"]
    ]


def network_of(file, output):
    """The network that gave `output`, its variables loaded: static and dynamic options together make one."""
    options = {key: value for key, value in file.dynamic(output).items() if key not in CALL_OPTIONS}
    return _network(file.name, json.dumps(options, sort_keys=True))


@functools.lru_cache(maxsize=8)
def _network(name, dynamic_options):
    file = read(name)
    description = file.meta["networks"][""]
    options = description["static_kwargs"] | json.loads(dynamic_options)
    network = NETWORKS[description["func_name"].split(".")[-1]](**options)
    variables = file.group("var")
    if options.get("structure") == "fixed":  # has the RGB layer of the full resolution only
        variables = {key: value for key, value in variables.items() if not re.search("RGB_lod[1-9]", key)}
    load_variables(network, variables)
    return network


def network_in(file, key):
    """A new network out of a file with several: "G", "D" or "Gs"."""
    description = file.meta["networks"][key]
    network = NETWORKS[description["func_name"].split(".")[-1]](**description["static_kwargs"], name=key)
    load_variables(network, file.group(f"var/{key}"))
    return network


def call_options(file, output):
    """Arguments of the call that gave `output`, but for its tensors and growth."""
    return {CALL_OPTIONS[key]: value for key, value in file.dynamic(output).items() if key in CALL_OPTIONS}


def to_nhwc(images):
    """[N, C, H, W] to [N, H, W, C]; arrays of another rank as they are."""
    return images.transpose(0, 2, 3, 1) if images.ndim == 4 else images


def shrink(images, level):
    """Box average: [N, H, W, C] to [N, H >> level, W >> level, C]."""
    n, h, w, c = images.shape
    factor = 2**level
    return images.reshape(n, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4), dtype=np.float32)


def enlarge(images, level):
    """Nearest neighbour: [N, H, W, C] to [N, H << level, W << level, C]."""
    return np.asarray(images).repeat(2**level, axis=1).repeat(2**level, axis=2)
