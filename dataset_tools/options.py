"""The options that the commands of dataset_tool.py share, and how they are read. Imports nothing heavy."""

import argparse

from stylegan_tf.console import positive

TRANSFORMS = ("center-crop", "center-crop-wide", "letterbox", "stretch", "random-crop")
FILTERS = ("lanczos", "box", "bicubic")
ENCODINGS = ("raw", "png", "webp", "jpeg")
SUBSETS = ("portraits", "faces", "flags", "all")
ON_ERROR = ("fail", "skip")
RESUMING = "after an interrupted call"  # one option of these at most


def power_of_two(text):
    """Reads a width in pixels: a power of two from 8 to 1024."""
    value = int(text) if text.isdecimal() else 0
    if not 8 <= value <= 1024 or value & (value - 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no power of two from 8 to 1024")
    return value


def size(text):
    """Reads a width in pixels, or WIDTHxHEIGHT."""
    width, cross, height = text.partition("x")
    return (power_of_two(width), positive(height)) if cross else power_of_two(text)


def channels(text):
    """Reads the number of channels, or "auto"."""
    if text not in ("auto", "1", "3", "4"):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, 1, 3, 4")
    return text if text == "auto" else int(text)


def option(name, help, default=None, **settings):
    """One optional argument: (its name, what argparse wants to know about it)."""
    shown = f" (default: {default})" if default is not None else ""
    return name, {"help": help + shown, "default": default, **settings}


def number(name, help, default=None, **settings):
    """An option that takes a whole number from 1 on, unless `type` says otherwise."""
    return option(name, help, default, **{"type": positive, "metavar": "N", **settings})


def choice(name, help, *choices):
    """An option that takes one of several words; the first is the default."""
    return option(name, help, choices[0], choices=choices)


def flag(name, help, **settings):
    """An option without a value."""
    return name, {"help": help, "action": "store_true", **settings}


# ---------------------------------------------------------------------------------------------------------------------
# Options that several commands share

PICTURES = (
    option(
        "--resolution",
        "width of the data set in pixels, a power of two; WxH with center-crop-wide; "
        "without it all pictures must be squares of one such size already",
        type=size,
        metavar="R",
    ),
    choice("--transform", "how a picture becomes a square of that width", *TRANSFORMS),
    choice("--resize-filter", "filter of the reduction", *FILTERS),
    option("--background", "what is behind transparent pictures, as #ff8800; keep: a fourth channel", "white"),
    option(
        "--channels",
        "1 gray, 3 RGB, 4 RGBA; auto: as the first picture, but RGB with --on-error skip if one of the first 100 is",
        "auto",
        type=channels,
        metavar="C",
    ),
    flag("--mirror", "every picture a second time, left and right exchanged"),
)
LABELS = option(
    "--labels",
    "folders: the folder that a picture is in is its label; "
    "or a file: dataset.json as in StyleGAN2-ADA, or a .csv of name,label",
    metavar="WHAT",
)
WIDTH = {"type": power_of_two, "metavar": "R"}


def common_options(shuffle, on_error):
    """Options of all commands that make a data set: {title: options}. The two arguments are defaults."""
    return {
        "which, and in what order": (
            option(
                "--shuffle", "1: a random order, always the same; 0: as they come", shuffle, type=int, choices=(0, 1)
            ),
            number("--max-images", "stop after this many pictures, the first of that order"),
        ),
        "how they are stored (defaults: the original's format)": (
            choice("--encoding", "of a picture in its record; png, and webp without --quality, are exact", *ENCODINGS),
            number("--quality", "of jpeg (95 without this option) and webp, 1 to 100", metavar="Q"),
            choice("--levels", "the lower resolutions: in files too, or computed on reading", "stored", "computed"),
            number("--shards", "files that each level is split into", 1),
        ),
        RESUMING: (
            flag("--continue", "go on where it stopped", action="store_const", const="continue", dest="resume"),
            flag("--restart", "begin anew", action="store_const", const="restart", dest="resume"),
        ),
        "the work": (
            option("--on-error", "a picture that cannot be used: stop, or leave it out", on_error, choices=ON_ERROR),
            number("--workers", "threads that read, resize and encode (default: one a core; with --runner, one)"),
            option(
                "--runner",
                "let many machines make the shards, with Apache Beam: DirectRunner (this machine), FlinkRunner, "
                "SparkRunner, DataflowRunner; the runner's own options come last, after --",
                metavar="NAME",
            ),
        ),
    }
