"""The original's pickles: read as they are meant, from every version, and with nothing in them ever executed."""

import os
import pickle
import pickletools
import random
import struct
import tracemalloc

import numpy as np
import pytest
from fidelity import assert_close
from golden_data import FOLDER, read, to_nhwc
from official_data import EasyDict, Network, as_python2, generator, original_modules, write

import stylegan_tf
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.growth import split_lod
from stylegan_tf.images import to_uint8
from stylegan_tf.official import variables_of
from stylegan_tf.official_pickle import load_official_pickle, read_official_pickle
from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator

MEMORY = 32e6  # bytes that reading one of the small files below may take at most
OPTIONS = {"num_channels": 3, "resolution": 8, "label_size": 0, "fmap_max": 4}
G_OPTIONS = {**OPTIONS, "latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 2}


def filled(shapes, seed=0):
    """Seeded normals for variables of these names and shapes, `lod` left at 0."""
    numbers = np.random.RandomState(seed)
    return {name: numbers.randn(*np.shape(value)).astype("f4") if np.ndim(value) else value for name, value in shapes}


G_VARIABLES = filled(variables_of(Generator(**G_OPTIONS)).items())
D_VARIABLES = filled(variables_of(Discriminator(**OPTIONS)).items(), seed=1)


def triple(**changes):
    """G, D and Gs as a run of the original pickles them."""
    options = {**G_OPTIONS, "truncation_psi": 0.5, "is_template_graph": False, "blur_filter": [1, 2, 1], **changes}
    d = Network("D", "D_basic", OPTIONS, D_VARIABLES)
    return generator("G", options, G_VARIABLES), d, generator("Gs", options, G_VARIABLES)


def discriminator(variables=D_VARIABLES, **kwargs):
    return Network("D", "D_basic", {**OPTIONS, **kwargs}, variables)


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name, strict=True)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "network.pkl"


# ---------------------------------------------------------------------------------------------------------------------
# What is meant


@pytest.mark.parametrize("name", ["network.pkl", "network_legacy.pkl"])
def test_golden_pickle_gives_the_numbers_of_the_original(name):
    golden = read("network_pkl_expected.npz")
    expected = golden.group("out")
    latents = golden.group("in")["latents"]
    networks = dict(zip(("G", "D", "Gs"), load_official_pickle(FOLDER / name), strict=True))
    for key, network in networks.items():
        variables = variables_of(network)
        checksum = sum(np.abs(array.astype(np.float64)).sum() for array in variables.values())
        assert_close("pickle_variables", name, len(variables), expected[f"{key}/var_count"], key)
        assert_close("pickle_variables", name, checksum, expected[f"{key}/checksum"], key)
    outputs = {"Gs/default": {}, "Gs/is_validation": {"validation": True}, "G/default": {}}
    for output, options in outputs.items():
        images = networks[output.partition("/")[0]](latents, randomize_noise=False, **options)
        assert_close("pickle_images", name, images, to_nhwc(expected[output]), output)
    images = to_uint8(np.asarray(networks["Gs"](latents, randomize_noise=False, truncation_psi=0.5)))
    assert_close("pickle_bytes", name, images, expected["Gs/uint8_nhwc"])
    assert_close("pickle_scores", name, networks["D"](to_nhwc(expected["G/default"])), expected["D/scores"])


@pytest.mark.parametrize("numpy", [1, 2])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_and_both_names_of_numpy(file, protocol, numpy):
    write(file, triple(), protocol, numpy)
    data = file.read_bytes()
    assert (b"numpy.core." in data, b"numpy._core." in data) == (numpy == 1, numpy == 2)
    G, D, Gs = read_official_pickle(file)
    assert [(network.name, network.func_name) for network in (G, D, Gs)] == [
        ("G", "G_style"),
        ("D", "D_basic"),
        ("Gs", "G_style"),
    ]
    assert G.static_kwargs == triple()[0].state["static_kwargs"]
    assert_equal(G.variables, G_VARIABLES)
    assert_equal(D.variables, D_VARIABLES)
    assert_equal(Gs.variables, G_VARIABLES)


def test_triple_becomes_networks(file):
    networks = load_official_pickle(write(file, triple()))
    assert [type(network) for network in networks] == [Generator, Discriminator, Generator]
    assert_equal(variables_of(networks[2]), G_VARIABLES)
    assert_equal(variables_of(networks[1]), D_VARIABLES)
    assert networks[2].truncation_psi == 0.5


def test_it_is_reached_from_the_package():
    assert stylegan_tf.load_official_pickle is load_official_pickle
    with pytest.raises(AttributeError, match="no attribute 'load_pickle'"):
        stylegan_tf.load_pickle  # noqa: B018


def test_single_network_stands_where_its_kind_does(file):
    G, D, Gs = load_official_pickle(write(file, triple()[2]))
    assert (G, D) == (None, None)
    assert_equal(variables_of(Gs), G_VARIABLES)
    G, D, Gs = load_official_pickle(write(file, discriminator()))
    assert (G, Gs) == (None, None)
    assert_equal(variables_of(D), D_VARIABLES)


def test_progan_networks(file):
    options = {**OPTIONS, "latent_size": None, "structure": None}
    G, D = (filled(variables_of(kind(**OPTIONS)).items()) for kind in (ProGANGenerator, ProGANDiscriminator))
    networks = [Network("G", "G_paper", options, G), Network("D", "D_paper", OPTIONS, D)]
    loaded = load_official_pickle(write(file, (*networks, networks[0])))
    assert [type(network) for network in loaded] == [ProGANGenerator, ProGANDiscriminator, ProGANGenerator]
    for network, variables in zip(loaded, (G, D, G), strict=True):
        assert_equal(variables_of(network), variables)


def test_version_2_has_no_components(file):
    network = Network("D", "D_basic", OPTIONS, D_VARIABLES, version=2)
    assert "components" not in network.state
    assert_equal(variables_of(load_official_pickle(write(file, network))[1]), D_VARIABLES)


@pytest.mark.parametrize("version", [1, 4, None, [3]])
def test_other_versions_are_refused(file, version):
    with pytest.raises(ValueError, match=r"version .* of a network; 2 and 3 are known"):
        read_official_pickle(write(file, Network("D", "D_basic", {}, D_VARIABLES, version=version)))


def test_lod_of_a_half_grown_network_is_kept(file):
    network = load_official_pickle(write(file, discriminator({**D_VARIABLES, "lod": np.float32(0.25)})))[1]
    assert split_lod(network.lod) == (0, 0.25)


def test_python2_wrote_texts_and_bytes_alike_as_latin1(file):
    write(file, triple(description="caf\xe9"), protocol=2, numpy=1)
    file.write_bytes(as_python2(file.read_bytes()))
    networks = read_official_pickle(file)
    assert networks[0].static_kwargs["description"] == "caf\xe9"
    assert_equal(networks[0].variables, G_VARIABLES)


class RawArray:
    """An array whose bytes are written as a text, as Python 2 did, which knew no difference."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        function, arguments, state = self.array.__reduce__()
        return function, arguments, (*state[:-1], state[-1].decode("latin-1"))


def test_array_of_python2_without_a_call_to_encode(file):
    variables = {name: RawArray(array) if np.ndim(array) else array for name, array in D_VARIABLES.items()}
    write(file, discriminator(variables), protocol=2)
    file.write_bytes(as_python2(file.read_bytes()))
    assert_equal(read_official_pickle(file)[0].variables, D_VARIABLES)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_in_other_orders_and_of_no_axes(file, protocol):
    array = np.arange(24, dtype="f4").reshape(2, 3, 4)
    orders = {"C": array, "F": np.asfortranarray(array), "K": array.transpose(1, 0, 2), "gaps": array[:, ::2]}
    orders |= {"0-d": np.array(1.5, "f4"), "read-only": np.broadcast_to(np.float32(2), [3])}
    assert_equal(read_official_pickle(write(file, discriminator(orders), protocol))[0].variables, orders)


def test_nested_options_may_be_of_the_originals_dictionary(file):
    options = {"nested": EasyDict(a=1, b=[2.5, None]), "flag": True, "number": np.float32(0.5), "pair": (1, "x")}
    for protocol in (2, 4):
        network = read_official_pickle(write(file, discriminator(**options), protocol))[0]
        expected = {"nested": {"a": 1, "b": [2.5, None]}, "flag": True, "number": 0.5, "pair": [1, "x"]}
        assert network.static_kwargs == {**OPTIONS, **expected}


def test_arrays_cannot_be_written_to(file):
    array = read_official_pickle(write(file, discriminator()))[0].variables["4x4/Conv/weight"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_network_that_does_not_fit_names_the_file_and_all_that_is_wrong(file):
    variables = {**D_VARIABLES, "extra": np.zeros(3, "f4"), "4x4/Dense1/bias": np.zeros(7, "f4")}
    del variables["4x4/Conv/bias"]
    with pytest.raises(ValueError, match=r"network\.pkl cannot be used: network 'D': ") as error:
        load_official_pickle(write(file, discriminator(variables)))
    for complaint in ("missing 4x4/Conv/bias", "surplus extra [3]", "4x4/Dense1/bias has shape [7], expected [1]"):
        assert complaint in str(error.value)
    with pytest.raises(ValueError, match="unknown network 'G_stile'; the known ones are G_style"):
        load_official_pickle(write(file, Network("G", "G_stile", {}, {})))


# ---------------------------------------------------------------------------------------------------------------------
# What is not: everything else that may come under the name of a network


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Download"),
        (b"<!DOCTYPE html><html>Too many users have viewed this file", "is a web page"),
        (b"\n  <html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "is a Git LFS pointer.*git lfs pull"),
        (b"PK\x03\x04 and so on", "is a ZIP archive; unpack"),
        (b"\x1f\x8b\x08", "is a gzip archive; unpack"),
        (b"just some text", "no network pickle that can be read here.*download or copy it again"),
        (b"\x89PNG\r\n\x1a\n", "download or copy it again"),
        (b"\x80", "cut short"),
        (b"\x80\x04", "cut short"),
        (b"\x80\x06N.", "protocol 6"),
        (pickle.dumps(None), "expected a network or the three of a training run, found None"),
        (pickle.dumps((np.zeros(2), np.zeros([2, 2]))), "found a tuple of 2"),
        (pickle.dumps({"state_dict": 1}), "found a dict of 1"),
    ],
)
def test_other_files_are_refused_with_name_and_remedy(file, content, message):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"(?s)network\.pkl.*{message}"):
        load_official_pickle(file)


def test_missing_file_and_directory(tmp_path):
    for path in (tmp_path / "none.pkl", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"{path.name} is no file. Name an original network"):
            load_official_pickle(path)


EXECUTED = []


class Bait:
    """Asks an unpickler for a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def trace(*arguments):
    """What a bait calls, if nothing worse."""
    EXECUTED.append(arguments)
    return np.zeros(1, "f4")


def places(bait):
    """Networks with the bait in every place where an unpickler might swallow it."""
    yield bait
    yield (bait, bait, bait)
    yield discriminator(option=bait)
    yield discriminator(option=EasyDict(a=bait))
    yield discriminator({**D_VARIABLES, "lod": bait})
    yield discriminator({**D_VARIABLES, "extra": [bait]})
    for key in ("version", "name", "static_kwargs", "components", "build_module_src", "build_func_name", "variables"):
        network = discriminator()
        network.state[key] = bait
        yield network
    network = discriminator()
    network.state["components"] = {"synthesis": bait}
    yield network


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_is_executed_wherever_it_stands(file, protocol, monkeypatch):
    monkeypatch.setattr(Network, "__setstate__", lambda self, state: None)
    swallowed = 0
    for value in places(Bait(trace, 1)):
        try:
            write(file, value, protocol)
        except pickle.PicklingError:  # a bait where a function belongs
            continue
        EXECUTED.clear()
        with original_modules():
            pickle.loads(file.read_bytes())
        assert EXECUTED  # it is poison for Python's own unpickler
        swallowed += 1
        EXECUTED.clear()
        with pytest.raises(ValueError, match=r"it asks for .*(test_official_pickle\.trace|copy_?reg\._reconstructor)"):
            load_official_pickle(file)
        assert not EXECUTED
    assert swallowed >= 12


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {canary}",), r"posix\.system"),
        (eval, ("open({canary!r}, 'w')",), r"_*builtins?_*\.eval"),
        (exec, ("open({canary!r}, 'w')",), r"_*builtins?_*\.exec"),
        (getattr, (os, "system"), r"_*builtins?_*\.getattr"),
        (np.load, ("{canary}",), r"numpy\.load"),
        (np.save, ("{canary}", 1), r"numpy\.save"),
        (np.memmap, ("{canary}", "u1", "w+", 0, (9,)), r"numpy\.memmap"),
        (np.fromfile, ("{canary}",), r"numpy\.fromfile"),
        (os.remove, ("{canary}",), r"posix\.remove"),
    ],
)
def test_dangerous_names_are_refused_by_name(tmp_path, file, protocol, function, arguments, name):
    canary = tmp_path / "canary"
    if function is getattr:  # a module cannot be pickled: written out, as an attacker would
        file.write_bytes(b"\x80\x02c__builtin__\ngetattr\ncos\nsystem\nX\x08\0\0\0__call__\x86R.")
    else:
        bait = Bait(function, *(a.format(canary=str(canary)) if isinstance(a, str) else a for a in arguments))
        file.write_bytes(pickle.dumps(bait, protocol))
    with pytest.raises(ValueError, match=f"it asks for '{name}'"):
        load_official_pickle(file)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"numpy.testing._private.utils\nrunstring",
        b"numpy.f2py.crackfortran\nmyeval",
        b"numpy.core.multiarray\n__builtins__",
        b"numpy\ncore.multiarray._reconstruct.__class__",
        b"dnnlib.tflib.network\nNetwork.__setstate__",
        b"dnnlib.util\ncall_func_by_name",
        b"_codecs\ndecode",
        b"codecs\nencode",
        b"functools\npartial",
        b"\xff\n\xfe",
    ],
)
def test_neighbours_of_the_known_names_are_refused(file, name):
    module, attribute = name.split(b"\n")
    texts = b"".join(b"X" + struct.pack("<I", len(text)) + text for text in (module, attribute))
    for content in (b"\x80\x02c" + name + b"\n)R.", b"\x80\x04" + texts + b"\x93)R."):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"network\.pkl is no network pickle"):
            load_official_pickle(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        (b"\x80\x02Pcanary\n.", "PERSID"),
        (b"\x80\x02NQ.", "BINPERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x05\x97\x98.", "NEXT_BUFFER"),
        (b"\x80\x02(ios\nsystem\n.", "INST"),
        (b"\x80\x02(cos\nsystem\no.", "os.system"),
        (b"\x80\x02(No.", "OBJ"),
        (b"\x80\x04N)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "LONG4"),
        (b"\x80\x02I1" + b"0" * 5000 + b"\n.", "INT"),
    ],
)
def test_instructions_without_use_are_refused(file, content, message):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_official_pickle(file)


def traced_peak(function):
    """Bytes that `function` held at most, NumPy's included."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused_within_memory(path, match="no network pickle"):
    def read_it():
        with pytest.raises(ValueError, match=match):
            read_official_pickle(path)

    assert traced_peak(read_it) < MEMORY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**60), "BINBYTES8"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**60), "asks for 1152921504606846976 bytes"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**64 - 1), "cut short"),
        (b"\x80\x03B" + struct.pack("<I", 2**32 - 1), "cut short"),
        (b"\x80\x02X" + struct.pack("<I", 2**32 - 1), "cut short"),
        (b"\x80\x02T" + struct.pack("<i", -1), "asks for -1 bytes"),
        (b"\x80\x04\x95" + struct.pack("<Q", 2**60), "cut short"),
        (b"\x80\x02c" + b"a" * 10**6, "cut short"),
        (b"\x80\x02Nr\xff\xff\xff\xff0.", "POP"),
        (b"\x80\x02h\x05.", "refers to its value 5"),
        (b"\x80\x02" + b"]" * 10**6, "more than 100,000 instructions"),
        (b"\x80\x02" + b"(" * 20_000 + b".", "takes a value where there is none"),
        (b"\x80\x02)" + b"\x85" * 20_000 + b".", "found a tuple of 1"),
        (b"\x80\x02]" + b"q\x00]q\x01h\x00a" * 4_000 + b".", "something left over"),
        (b"\x80\x02]q\x00h\x00a.", "found a list of 1"),
        (b"\x80\x02NN.", "something left over"),
        (b"\x80\x02N.N.", "something left over"),
        (b"\x80\x02t.", "refers to a mark"),
        (b"\x80\x02.", "takes a value"),
        (b"\x80\x02\x87.", "takes a value"),
        (b"\x80\x02NNa.", "nothing of its kind"),
        (b"\x80\x02NNb.", "nothing of its kind"),
        (b"\x80\x02}(Nu.", "no text"),
        (b"\x80\x02}]Ns.", "no text"),
        (b"\x80\x02NNR.", "calls what is no function"),
        (b"\x80\x02NN\x93.", "no text"),
        (b"\x80\x02X\x01\0\0\0\xff.", "utf-8"),
    ],
)
def test_bombs_and_nonsense_take_no_memory(file, content, message):
    file.write_bytes(content)
    refused_within_memory(file, message)


def laughs(levels, width):
    """Lists of the same list, in which every level is `width` times the one before."""
    value = [1] * width
    for _ in range(levels):
        value = [value] * width
    return value


def nested(levels):
    value = None
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("option", [laughs(30, 10), nested(400), [0] * 1000, {"a": {"b": {"c": 1}}}, "x" * 600])
def test_options_without_measure_are_refused(file, option):
    refused_within_memory(write(file, discriminator(option=option)), "an option in static_kwargs is no plain value")


def test_networks_inside_themselves_are_refused(file):
    network = discriminator()
    network.state["components"] = {"self": network}
    refused_within_memory(write(file, network), "one inside itself")
    for _ in range(100):
        network = Network("D", "D_basic", {}, {"lod": np.float32(0)}, {"a": network, "b": network})
    refused_within_memory(write(file, network), "more than 16 components")


class Array:
    """What NumPy would be asked for: one of its functions, with arguments of anyone's choosing."""

    def __init__(self, kind, *arguments, state=None):
        self.reduced = getattr(np._core.multiarray, kind, None) or getattr(np._core.numeric, kind), arguments, state

    def __reduce__(self):
        return self.reduced if self.reduced[2] else self.reduced[:2]


F4 = np.dtype("f4")
BYTES = bytes(8)


@pytest.mark.parametrize(
    "array",
    [
        np.array([Bait(trace)], object),
        np.array(["text"]),
        np.zeros(2),
        np.zeros(2, "i4"),
        np.zeros(2, ">f4"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.dtype("f4", metadata={"a": Bait(trace)})),
        np.float64(1),
        np.datetime64("2019"),
        np.zeros([2, 0], "f4"),
        np.ma.zeros(2),
        1.5,
        None,
        [1.0],
        b"1234",
        F4,
        np.ndarray,
        Array("_reconstruct", np.ndarray, (2**40,), b"b"),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (2**62,), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (2**31, 2**31, 2**31), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (-1, -2), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (True, 2), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, [2], F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (1,) * 40 + (2,), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (3,), F4, False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (2,), F4, False, "\u20ac")),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (2,), np.dtype(object), False, [1, 2])),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(1, (2,), "f4", False, BYTES)),
        Array("_reconstruct", np.ndarray, (0,), b"b", state=(2, (2,), F4, False, BYTES)),
        Array("_reconstruct", np.dtype, (0,), b"b", state=(1, (2,), F4, False, BYTES)),
        Array("_reconstruct", F4, (0,), b"b", state=(1, (2,), F4, False, BYTES)),
        Array("scalar", F4, bytes(3)),
        Array("scalar", F4),
        Array("scalar", np.dtype(object), b"1234"),
        Array("_frombuffer", BYTES, F4, (2**62,), "C"),
        Array("_frombuffer", BYTES, F4, (2,), "A"),
        Array("_frombuffer", BYTES, F4, (2,), "K", (1,)),
        Array("_frombuffer", BYTES, F4, (2,), "K", ([0],)),
        Array("_frombuffer", BYTES, F4, (2,), "K", nested(300)),
        Array("_frombuffer", [0] * 8, F4, (2,), "C"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_that_no_variable_can_be_are_refused(file, array, protocol):
    EXECUTED.clear()
    write(file, discriminator({**D_VARIABLES, "4x4/Conv/bias": array}), protocol)
    refused_within_memory(file)
    assert not EXECUTED


def test_one_array_cannot_stand_for_a_world(file):
    """By the memo a file of a megabyte could hold thousands of large arrays."""
    array = np.ones(2**18, "f4")
    for protocol in (2, 4):
        write(file, discriminator({f"a{index}": array for index in range(2000)}), protocol)
        refused_within_memory(file, "more than 1,073,741,824 bytes together")


def test_variables_of_one_name_are_refused(file):
    network = discriminator()
    network.state["variables"] *= 2
    refused_within_memory(write(file, network), "variable 'lod' occurs twice")


def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path, file):
    for protocol in (2, 5):
        data = write(tmp_path / "whole.pkl", discriminator(), protocol).read_bytes()
        for end in [*range(200), *range(200, len(data), 29), len(data) - 1]:
            file.write_bytes(data[:end])
            with pytest.raises(ValueError, match=r"network\.pkl"):
                read_official_pickle(file)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_flipped_bits_are_refused_or_change_a_value(tmp_path, file, protocol):
    """No other exception, no surprise of memory, nothing executed."""
    data = write(tmp_path / "whole.pkl", discriminator(), protocol).read_bytes()
    instructions = [position for _, _, position in pickletools.genops(data)]
    numbers = random.Random(protocol)
    refused = understood = 0

    def read_damaged():
        nonlocal refused, understood
        for turn in range(400):
            damaged = bytearray(data)
            damaged[numbers.choice(instructions) if turn % 2 else numbers.randrange(len(data))] ^= 1 << turn % 8
            file.write_bytes(damaged)
            try:
                networks = read_official_pickle(file)
                if turn % 50 == 0:
                    load_official_pickle(file)
            except ValueError as error:
                refused += str(file) in str(error)
            else:
                understood += all(array.dtype == np.float32 for array in networks[0].variables.values())

    assert traced_peak(read_damaged) < MEMORY
    assert 150 < refused < 400
    assert refused + understood == 400
