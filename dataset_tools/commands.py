"""The commands of dataset_tool.py as a table. Imports nothing heavy: `--help` answers at once."""

import dataclasses
import importlib

from dataset_tools.options import LABELS, PICTURES, SUBSETS, WIDTH, flag, number, option, power_of_two


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        function: "module:name" of what it calls, imported only then, with `arguments` in order and `options` by name.
            For a create_* command this gives the pictures.
        summary: One line of help.
        example: Arguments that make sense.
        arguments: ((NAME, help), ...), without the directory that a create_* command makes.
        options: What only this command and its like have.
        shuffle, on_error: Defaults of these options, for create_* commands.
        passes: Names of common options that `function` wants to know, too.
        instead: {option: "module:name"}: what to call, with `arguments` and the value, if that option is given.
    """

    function: str
    summary: str
    example: str
    arguments: tuple = ()
    options: tuple = ()
    shuffle: int = 1
    on_error: str = "fail"
    passes: tuple = ()
    instead: dict = dataclasses.field(default_factory=dict)


OWN = {
    "create_from_images": Command(
        "dataset_tools.sources:PictureSource",
        "the pictures in a folder and all folders below it",
        "datasets/cats ~/pictures/cats --resolution 256",
        (("IMAGE_DIR", "folder of pictures, or a .zip or .tar archive of them"),),
        (*PICTURES, LABELS),
        passes=("on_error",),
    ),
    "create_from_zip": Command(
        "dataset_tools.sources:PictureSource",
        "the pictures in an archive, which is not unpacked",
        "datasets/cats cats.zip --resolution 256 --labels folders",
        (("ARCHIVE", "a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz of pictures"),),
        (*PICTURES, LABELS),
        passes=("on_error",),
    ),
    "create_from_hdf5": Command(
        "dataset_tools.hdf5:hdf5",
        "an HDF5 file, as Progressive GAN made them",
        "datasets/celebahq celeba-hq-1024x1024.h5",
        (
            (
                "HDF5_FILENAME",
                "file whose items data* hold uint8 [N, C, H, W]; NAME-labels.npy beside it is taken along",
            ),
        ),
    ),
    "create_from_tfds": Command(
        "dataset_tools.tfds:tfds",
        "any image data set of tensorflow-datasets, with its labels",
        "datasets/flowers oxford_flowers102 --resolution 128 --download",
        (("NAME", "data set of tensorflow-datasets, as name, name/config or name/config:version"),),
        (
            option("--split", "part of the data set, for instance test, train+test, train[:10%%]", "train"),
            option(
                "--data-dir", "where they are kept (default: TFDS_DATA_DIR, else ~/tensorflow_datasets)", metavar="DIR"
            ),
            option("--label", "feature that is the label, or none (default: the only class label)", metavar="FEATURE"),
            *PICTURES,
            flag("--download", "fetch and prepare the data set if it is not there"),
        ),
        passes=("on_error",),
    ),
    "create_openmoji": Command(
        "dataset_tools.openmoji:openmoji_pictures",
        "drawn people, faces or flags (OpenMoji); nothing is downloaded",
        "datasets/portraits --subset portraits --resolution 64",
        (),
        (
            option("--subset", "which pictures; portraits have 14 labels", required=True, choices=SUBSETS),
            number("--resolution", "width in pixels", 64, **WIDTH),
        ),
    ),
}
MNIST = ("MNIST_DIR", "folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz, as published")
LSUN = ("LMDB_DIR", "folder of one LSUN category, with data.mdb in it, for instance bedroom_train_lmdb")
PUBLISHED = {
    "create_mnist": Command(
        "dataset_tools.mnist:mnist",
        "the handwritten digits of MNIST, 32x32 gray, 10 classes",
        "datasets/mnist ~/downloads/mnist",
        (MNIST,),
    ),
    "create_mnistrgb": Command(
        "dataset_tools.mnist:mnist_rgb",
        "three MNIST digits each, stacked as the colours of 32x32 pictures",
        "datasets/mnistrgb ~/downloads/mnist --num-images 1000000",
        (MNIST,),
        (
            number("--num-images", "pictures to make", 1000000),
            number("--random-seed", "seed of the draw", 123, type=int, metavar="SEED"),
        ),
        shuffle=0,
    ),
    "create_cifar10": Command(
        "dataset_tools.cifar:cifar10",
        "CIFAR-10, 32x32, 10 classes",
        "datasets/cifar10 ~/downloads/cifar-10-batches-bin",
        (("CIFAR10_DIR", "folder with data_batch_1.bin to data_batch_5.bin (or without .bin, the Python version)"),),
    ),
    "create_cifar100": Command(
        "dataset_tools.cifar:cifar100",
        "CIFAR-100, 32x32, 100 classes",
        "datasets/cifar100 ~/downloads/cifar-100-binary",
        (("CIFAR100_DIR", "folder with train.bin, the published binary version (or train, the Python version)"),),
    ),
    "create_svhn": Command(
        "dataset_tools.svhn:svhn",
        "street view house numbers (SVHN), 32x32, 10 classes",
        "datasets/svhn ~/downloads/svhn",
        (("SVHN_DIR", "folder with train_32x32.mat, as published"),),
    ),
    "create_lsun": Command(
        "dataset_tools.lsun:lsun",
        "one category of LSUN, cropped to squares",
        "datasets/bedroom ~/downloads/bedroom_train_lmdb --resolution 256 --max-images 100000",
        (LSUN,),
        (number("--resolution", "width in pixels", 256, **WIDTH),),
        shuffle=0,
        on_error="skip",
    ),
    "create_lsun_wide": Command(
        "dataset_tools.lsun:lsun_wide",
        "one category of LSUN, wide pictures between black bars",
        "datasets/car ~/downloads/car_lmdb --width 512 --height 384",
        (LSUN,),
        (
            number("--width", "width of the square in pixels, a power of two", 512, type=power_of_two, metavar="W"),
            number("--height", "height of the picture in it", 384, metavar="H"),
        ),
        shuffle=0,
        on_error="skip",
    ),
    "create_celeba": Command(
        "dataset_tools.celeba:celeba",
        "CelebA, the aligned faces cropped to 128x128",
        "datasets/celeba ~/downloads/celeba",
        (
            (
                "CELEBA_DIR",
                "folder with img_align_celeba_png (PNG) or img_align_celeba (the published JPEG, or its .zip)",
            ),
        ),
        (
            number("--cx", "column of the crop's middle", 89, metavar="X"),
            number("--cy", "row of the crop's middle", 121, metavar="Y"),
            option("--attributes", "list_attr_celeba.txt: 40 labels, 0 or 1", metavar="FILE"),
        ),
    ),
}
DATA_SET = ("TFRECORD_DIR", "a data set")
OUT = {"metavar": "PNG"}
TOOLS = {
    "info": Command(
        "dataset_tools.inspection:info",
        "say what is in a data set, and how it was made",
        "datasets/cats",
        (DATA_SET,),
    ),
    "verify": Command(
        "dataset_tools.verification:verify",
        "check every record, label and level of a data set",
        "datasets/cats --repair datasets/cats-sound",
        (DATA_SET,),
        (option("--repair", "make a data set of all that is sound, there", metavar="NEW_DIR"),),
        instead={"repair": "dataset_tools.verification:repair"},
    ),
    "stats": Command(
        "dataset_tools.overview:stats",
        "draw the mean picture, the histograms of the channels and a contact sheet",
        "datasets/cats --out cats.png",
        (DATA_SET,),
        (option("--out", "file to write (default: NAME-stats.png)", **OUT),),
    ),
    "display": Command(
        "dataset_tools.inspection:display",
        "show the pictures in a window; without a screen, draw a contact sheet",
        "datasets/cats",
        (DATA_SET,),
        (option("--out", "file for a contact sheet, instead of a window", **OUT),),
    ),
    "extract": Command(
        "dataset_tools.inspection:extract",
        "write the pictures of a data set as PNG files",
        "datasets/cats ~/pictures/cats-again",
        (DATA_SET, ("OUTPUT_DIR", "folder to make")),
    ),
    "compare": Command(
        "dataset_tools.inspection:compare",
        "compare the pictures and labels of two data sets",
        "datasets/cats datasets/cats-copy",
        (("TFRECORD_DIR_A", "a data set"), ("TFRECORD_DIR_B", "another one")),
        (option("--ignore-labels", "1: compare the pictures only", 0, type=int, choices=(0, 1)),),
    ),
}
GROUPS = {
    "make a data set of your own pictures, or of those in a package": OWN,
    "make a data set of published ones; the files are named in COMMAND --help": PUBLISHED,
    "work with a data set": TOOLS,
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def load(name):
    """The function "module:function"; only now anything heavy is imported."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def open_source(command, arguments, options):
    """The pictures of a create_* command.

    Args:
        command: Its name.
        arguments: List of its positional arguments, without the directory that it makes.
        options: {name: value} of its own options, and of the common ones that it wants to know.
    """
    return load(COMMANDS[command].function)(*arguments, **options)
