"""The door that turns an original pickle into a snapshot."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from golden_data import FOLDER, read
from official_data import Network, discriminator_shapes, generator, generator_shapes, mapping_shapes, write, zeros

import convert_network
import generate_images
from stylegan_tf.official import variables_of
from stylegan_tf.official_pickle import load_official_pickle
from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.snapshot import find_snapshot, load_generator, load_snapshot

REPOSITORY = Path(__file__).parent.parent
GOLDEN = FOLDER / "network.pkl"


def convert(*arguments):
    convert_network.main([str(argument) for argument in arguments])


def half_grown(path, lod):
    """A triple of Progressive GAN networks, at 8x8 pixels on their way to 16x16."""
    options = {"num_channels": 3, "resolution": 16, "fmap_max": 4}
    G, D = (variables_of(kind(**options), lod=lod) for kind in (ProGANGenerator, ProGANDiscriminator))
    networks = Network("G", "G_paper", options, G), Network("D", "D_paper", options, D)
    return write(path, (*networks, Network("Gs", "G_paper", options, G)))


def test_snapshot_holds_the_networks_of_the_pickle(tmp_path, capsys):
    convert(GOLDEN, tmp_path / "deep" / "out")
    path = tmp_path / "deep" / "out" / "network-snapshot-000000.safetensors"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert find_snapshot(path.parent) == path
    snapshot = load_snapshot(path)
    assert list(snapshot.networks) == ["G", "D", "Gs"]
    assert snapshot.metadata == {"images_seen": 0, "level": 0, "fade": 0.0, "source": "network.pkl"}
    for network, original in zip(snapshot.networks.values(), load_official_pickle(GOLDEN), strict=True):
        assert json.dumps(network.get_config()) == json.dumps(original.get_config())
        ours, theirs = variables_of(network), variables_of(original)
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    printed = capsys.readouterr().out
    assert "G        G_style         7,885  16x16      0" in printed
    assert "D        D_basic         7,949  16x16      0" in printed
    assert f"Next: python generate_images.py --network {path.parent} --seeds" in printed


def test_pictures_come_from_the_converted_network(tmp_path):
    convert(GOLDEN, tmp_path / "out")
    Gs, _ = load_generator(tmp_path / "out")
    golden = read("network_pkl_expected.npz")
    expected = golden.group("out")["Gs/default"].transpose(0, 2, 3, 1)
    images = Gs(golden.group("in")["latents"], randomize_noise=False)
    np.testing.assert_allclose(images, expected, rtol=0, atol=5e-5 * np.abs(expected).max())
    generate_images.main(f"--network {tmp_path / 'out'} --seeds 0-1 --outdir {tmp_path / 'pictures'}".split())
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_growth_and_kimg_of_a_run_are_kept(tmp_path, capsys):
    pickle = half_grown(tmp_path / "network-snapshot-001234.pkl", lod=1.25)
    convert(pickle, tmp_path / "out")
    path = tmp_path / "out" / "network-snapshot-001234.safetensors"
    metadata = load_snapshot(path).metadata
    assert metadata == {"images_seen": 1_234_000, "level": 1, "fade": 0.25, "source": pickle.name}
    assert capsys.readouterr().out.count("16x16      1.25") == 3
    generate_images.main(f"--network {path} --seeds 0 --outdir {tmp_path / 'pictures'}".split())
    with PIL.Image.open(tmp_path / "pictures" / "seed0000.png") as picture:
        assert picture.size == (8, 8)


@pytest.mark.parametrize(
    ("name", "kimg"),
    [
        ("network-snapshot-011500.pkl", 11500),
        ("network-final.pkl", 0),
        ("karras2019stylegan-ffhq-1024x1024.pkl", 0),
        ("old-network-snapshot-000007.pkl", 0),
    ],
)
def test_kimg_are_taken_from_the_originals_own_names(name, kimg):
    assert convert_network.kimg_of(Path("runs") / name) == kimg


def test_single_networks(tmp_path, capsys):
    options = {"num_channels": 3, "resolution": 8, "fmap_max": 4}
    variables = variables_of(ProGANGenerator(**options))
    convert(write(tmp_path / "g.pkl", Network("Gs", "G_paper", options, variables)), tmp_path / "g")
    assert list(load_snapshot(find_snapshot(tmp_path / "g")).networks) == ["Gs"]
    assert "Next:" in capsys.readouterr().out
    variables = variables_of(ProGANDiscriminator(**options))
    convert(write(tmp_path / "d.pkl", Network("D", "D_paper", options, variables)), tmp_path / "d")
    assert list(load_snapshot(find_snapshot(tmp_path / "d")).networks) == ["D"]
    assert "Next:" not in capsys.readouterr().out


def test_part_of_a_network_is_refused(tmp_path, capsys):
    pickle = write(tmp_path / "m.pkl", Network("G_mapping", "G_mapping", {}, zeros(mapping_shapes())))
    with pytest.raises(SystemExit, match="holds a part of a network, G_mapping; convert the whole one"):
        convert(pickle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_snapshot_is_replaced_only_on_request(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    path = out / "network-snapshot-000000.safetensors"
    path.write_text("mine")
    with pytest.raises(SystemExit, match=r"000000\.safetensors exists; .* replace it with --overwrite"):
        convert(GOLDEN, out)
    assert path.read_text() == "mine"
    convert(GOLDEN, out, "--overwrite")
    assert list(load_snapshot(path).networks) == ["G", "D", "Gs"]


def test_next_command_names_the_file_beside_a_newer_one(tmp_path, capsys):
    (tmp_path / "network-snapshot-000009.safetensors").touch()
    convert(GOLDEN, tmp_path)
    assert f"--network {tmp_path}/network-snapshot-000000.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"<html>", b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."])
def test_what_is_no_network_is_one_line_and_leaves_nothing(tmp_path, content):
    pickle = tmp_path / "network.pkl"
    if content is not None:
        pickle.write_bytes(content)
    with pytest.raises(SystemExit, match=rf"^Error: {pickle} [^\n]+$"):
        convert(pickle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory as Linux tells it")
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_networks_at_1024_take_seconds_and_less_than_2_gb(tmp_path, protocol):
    """The whole command, TensorFlow's own 0.6 GB included; protocol 2 stores bytes as text, half as large again."""
    options = {"num_channels": 3, "resolution": 1024, "label_size": 0}
    numbers = np.random.RandomState(0)

    def drawn(shapes):
        return {name: numbers.randn(*shape).astype("f4") if shape else np.float32(0) for name, shape in shapes.items()}

    D = Network("D", "D_basic", options, drawn(discriminator_shapes()))
    G, Gs = (generator(name, options, drawn(generator_shapes())) for name in ("G", "Gs"))
    path = write(tmp_path / "network-snapshot-025000.pkl", (G, D, Gs), protocol)
    measured = (  # not by `resource`, which counts in what this process has taken
        "import sys, convert_network\n"
        "convert_network.main(sys.argv[1:])\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", measured, path, tmp_path / "out"], cwd=REPOSITORY, capture_output=True, text=True
    )
    seconds, peak = time.monotonic() - started, int(done.stdout.split()[-1]) * 1024
    print(f"protocol {protocol}: {path.stat().st_size / 1e6:.0f} MB in {seconds:.1f} s, at most {peak / 1e9:.2f} GB")
    assert done.stdout.count("26,219,627") == 2
    assert "23,087,249" in done.stdout
    assert peak < 2e9
    assert seconds < 60
    assert load_snapshot(tmp_path / "out" / "network-snapshot-025000.safetensors").metadata["images_seen"] == 25_000_000
