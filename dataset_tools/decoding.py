"""Bytes of a picture file to pixels: whatever people have becomes 8-bit gray or RGB, and what was changed is said."""

import contextlib
import io
import re
import threading
import warnings

import numpy as np
from PIL import ExifTags, Image

from dataset_tools.errors import DatasetError, printable

# Formats whose contents show what they are and that Pillow decodes itself (EPS would run another program).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF")
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "avif"),
    )
)
WHITE = (255, 255, 255)
UPRIGHT = {  # EXIF orientation: what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}  # modes of decoded pictures
SRGB = (b"sRGB", b"s\0R\0G\0B")  # in the name of a colour profile, versions 2 and 4
UNPROCESSED = re.compile(r" \(\d+ bytes not processed\)")  # in messages, which should count together in a report
WHITE_IS_ZERO = 0  # value of TIFF's tag PhotometricInterpretation

_filters = threading.Lock()


def decode_picture(data, name, background=WHITE):
    """Pixels of one picture.

    EXIF orientation is applied; palettes, 1 bit, CMYK and YCbCr become gray or RGB; of 16 bits the upper 8 are
    kept; the first frame or page is taken; colour profiles are ignored. PNG is checked to the last byte. Other formats
    have no checksums: a changed byte can change the picture there, a missing end is an error.

    Args:
        data: Contents of the file.
        name: Names the picture in errors.
        background: (red, green, blue) that shows through transparent places, or "keep" for a fourth channel.

    Returns:
        (uint8 [H, W, C] with C 1, 3, or 4 for RGBA, which only "keep" gives;
        list of what was changed, as "16 bits a channel, reduced to 8").

    Raises:
        DatasetError: It is no picture, damaged, too large, or its colours have no known range.
    """
    image, notes = decode_image(data, name, background)
    return pixels_of(image), notes


def decode_image(data, name, background=WHITE):
    """As `decode_picture`, but a Pillow image of mode L, RGB or RGBA instead of pixels."""
    notes = []
    try:
        image = _open(data, name)
        if image.format == "PNG":
            image.verify()  # checksums, which decoding skips
            image = _open(data, name)
        with _quiet_pillow():
            if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photo with its depth map
                notes.append("several frames or pages, only the first is used")
            if image.format == "TIFF":
                image.getexif()  # which load() would do, with warnings
        stored_as = _stored_as(image)
        image.load()  # gives up the interpreter's lock
        if min(image.size) < 1:
            raise DatasetError(f"{name} is damaged (no pixels); remove it or replace it")
        orientation = _orientation(image, notes)
        _note_profile(image, notes)
        image = _on_background(_to_8_bits(image, name, stored_as, notes), background, notes)
        if orientation in UPRIGHT:
            image = image.transpose(UPRIGHT[orientation])
            notes.append("turned upright as the EXIF data say")
    except DatasetError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Image.UnidentifiedImageError as error:
        raise DatasetError(
            f"{name} is no picture in a format known here, or is damaged; remove it or replace it"
        ) from error
    except Exception as error:  # damaged files make the decoders raise almost anything
        reason = UNPROCESSED.sub("", str(error)) or type(error).__name__
        raise DatasetError(f"{name} is damaged ({printable(reason)[:100]}); remove it or replace it") from error
    return image, notes


def is_colour(data, name):
    """Whether a picture has colours, by its header: nothing is decoded. False for what cannot be read."""
    try:
        mode = _open(data, name).mode
    except Exception:  # told when it is decoded
        return False
    return mode not in ("1", "L", "LA", "La", "F") and not mode.startswith("I")


def pixels_of(image):
    """Pillow image of mode L, RGB or RGBA → uint8 [H, W, C]."""
    return np.asarray(image).reshape(image.height, image.width, CHANNELS[image.mode])


def _open(data, name):
    with _quiet_pillow():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise _too_large(name)
    return image


@contextlib.contextmanager
def _quiet_pillow():
    """No warnings about metadata. The filters belong to the whole process, so one thread at a time changes them."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _too_large(name):
    return DatasetError(
        f"{name} claims to have more than {Image.MAX_IMAGE_PIXELS:,} pixels; remove it or scale it down"
    )


def _orientation(image, notes):
    """EXIF orientation 1 to 8; 1 is upright. Pillow itself has turned a TIFF by now."""
    try:
        with _quiet_pillow():
            return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # anything can be wrong with metadata, and the pixels are fine
        notes.append("unreadable EXIF data, left as stored")
        return 1


def _note_profile(image, notes):
    profile = image.info.get("icc_profile")
    if profile and image.mode != "L" and not any(mark in profile for mark in SRGB):
        notes.append("a colour profile other than sRGB, ignored")


def _to_8_bits(image, name, stored_as, notes):
    """Any mode → L, RGB, LA or RGBA. `stored_as`: layout of the pixels in the file, as "RGB;16B"."""
    mode = image.mode
    if mode.startswith("I;16") or ";16" in stored_as:
        notes.append("16 bits a channel, reduced to 8")
    key = isinstance(image.info.get("transparency"), int | tuple)
    if key and (mode.startswith("I") or (image.format == "PNG" and mode in ("L", "RGB") and mode != stored_as)):
        # Pillow scales the pixels to 8 bits, but not the colour that they are compared with
        raise _unsupported(name, "a transparent colour together with other than 8 bits a channel")
    if mode.startswith("I"):
        return _gray_from_16_bits(image, name, stored_as)
    if mode in ("PA", "RGBa") or (mode in ("P", "RGB") and image.has_transparency_data):
        return image.convert("RGBA")
    if mode == "La" or (mode in ("L", "1") and image.has_transparency_data):
        return image.convert("LA")
    if mode == "1":
        return image.convert("L")
    if mode == "CMYK":
        notes.append("CMYK colours, converted to RGB without a profile")
    if mode in ("P", "CMYK", "YCbCr", "RGBX"):
        return image.convert("RGB")
    if mode not in ("L", "LA", "RGB", "RGBA"):
        raise _unsupported(name, f"{mode} pixels")
    return image


def _gray_from_16_bits(image, name, stored_as):
    """The upper 8 bits, as Pillow takes them of 16-bit colours."""
    values = np.asarray(image)
    if image.mode == "I" and image.format != "PPM":  # 32 bits, or signed: nothing says where white is
        raise _unsupported(name, "integers of an unknown range for pixels")
    if image.format == "TIFF" and image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == WHITE_IS_ZERO:
        values = 65535 - values
    bits = 12 if stored_as == "I;12" else 16
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _stored_as(image):
    """Layout of a picture that is not loaded yet: Pillow's raw mode."""
    for _, _, _, arguments in image.tile:
        return str(arguments[0] if isinstance(arguments, tuple) else arguments)
    return image.mode


def _unsupported(name, what):
    return DatasetError(
        f"{name} has {what}, which cannot be converted safely; save it as 8-bit RGB, for instance with "
        "magick IN.tif -colorspace sRGB -depth 8 OUT.png"
    )


def _on_background(image, background, notes):
    """LA, RGBA → L, RGB by putting it on a colour; or → RGBA where transparency is kept."""
    if not image.mode.endswith("A"):
        return image
    alpha = image.getchannel("A")
    opaque = image.convert(image.mode[:-1])
    if alpha.getextrema() == (255, 255):
        return opaque
    if background == "keep":
        return image.convert("RGBA")
    notes.append("transparency, put onto #{:02x}{:02x}{:02x}".format(*background))
    if opaque.mode == "L" and len(set(background)) > 1:
        opaque = opaque.convert("RGB")
    canvas = Image.new(opaque.mode, opaque.size, tuple(background) if opaque.mode == "RGB" else background[0])
    canvas.paste(opaque, mask=alpha)
    return canvas
