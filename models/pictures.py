"""An image file as the network sees it: 28 x 28 grey pixels from 0, black, to 1."""

import pathlib
import warnings

import numpy
import torch
from PIL import Image

from models import errors

SIDE = 28
FORMATS = ("PNG", "JPEG")
LARGEST_PIXELS = 50_000_000  # unpacked; more is an attack or a mistake


def read(path: pathlib.Path, resize: bool = False, invert: bool = False) -> tuple[torch.Tensor, tuple[str, ...]]:
    """A PNG or JPEG file as (784,) float32 in [0, 1], and what was done to it, a phrase each.

    Colours become grey; what is transparent becomes black, as the background of what it was trained on is.

    Args:
        resize: scale an image of another size, keeping its proportions, onto black (white where inverted).
        invert: the image is dark on light, where FashionMNIST and MNIST are light on dark.

    Raises:
        errors.PictureError: no such file, no PNG or JPEG, damaged, or of another size.
    """
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, image, resize)
                grey = _grey(image, notes)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it is damaged"
        raise errors.PictureError(f"{path} must be a PNG or JPEG image: {what}") from error
    if grey.size != (SIDE, SIDE):
        notes.append(f"scaled from {grey.width} x {grey.height}")
        grey = _scaled(grey, 255 if invert else 0)
    pixels = torch.from_numpy(numpy.asarray(grey, dtype=numpy.float32) / 255)
    if invert:
        notes.append("inverted")
        pixels = 1 - pixels
    return pixels.reshape(-1), tuple(notes)


def _check_size(path: pathlib.Path, image: Image.Image, resize: bool) -> None:
    if image.width * image.height > LARGEST_PIXELS:
        raise errors.PictureError(
            f"{path} must have at most {LARGEST_PIXELS:,} pixels, got {image.width} x {image.height}"
        )
    if not resize and image.size != (SIDE, SIDE):
        raise errors.PictureSizeError(f"{path} must be {SIDE} x {SIDE} pixels, got {image.width} x {image.height}")


def _grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Mode L, whatever it was."""
    if getattr(image, "n_frames", 1) > 1:
        notes.append("its first frame")
    if image.mode == "L" and "transparency" not in image.info:
        return image.copy()
    notes.append(f"made grey from mode {image.mode}")
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off instead of scaling
        return Image.fromarray((numpy.asarray(image).astype(numpy.int64) >> 8).clip(0, 255).astype(numpy.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), layers).convert("L")
    return image.convert("L")


def _scaled(image: Image.Image, background: int) -> Image.Image:
    factor = SIDE / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    whole = Image.new("L", (SIDE, SIDE), background)
    whole.paste(image.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC), _corner(size))
    return whole


def _corner(size: tuple[int, int]) -> tuple[int, int]:
    return (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
