"""Pieces of the report's page: pictures and tables as HTML."""

import html
import io

import numpy as np
import PIL.Image

from stylegan_tf.images import enlarge, preview, viewing_factor
from stylegan_tf.page import picture_source

MAX_CELL = 192  # pixels of a picture beside others


def viewed(image):
    """A picture of a grid, as RGB and large enough to look at."""
    rgb = np.broadcast_to(image[..., :3], [*image.shape[:2], 3])
    return enlarge(rgb, viewing_factor(image.shape[0]))


def tile(image, alt, caption):
    """A figure of one picture; the caption is HTML."""
    return f"<figure>{picture(image, alt, MAX_CELL)}<figcaption>{caption}</figcaption></figure>"


def picture(image, alt, longest):
    """An image element, from uint8 [H, W, C]: small ones exactly, others as a copy of some longest side."""
    height, width = image.shape[:2]
    if max(height, width) <= 64:
        rgb, encoded = np.broadcast_to(image[..., :3], [height, width, 3]), io.BytesIO()
        PIL.Image.fromarray(np.ascontiguousarray(rgb)).save(encoded, "png", optimize=True)
        kind, data, style = "png", encoded.getvalue(), ' class="small"'
    else:
        data, (width, height) = preview(image, longest)
        kind, style = "jpeg", ""
    return f'<img{style} src="{picture_source(kind, data)}" alt="{html.escape(alt)}" width="{width}" height="{height}">'


def table(name, heads, rows):
    """Rows of cells that are HTML already."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table: {name}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )
