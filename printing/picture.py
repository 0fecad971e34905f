"""Pictures from bytes that nobody has vouched for."""

import io
import warnings

from PIL import Image, ImageOps
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

KINDS = ("PNG", "JPEG", "GIF", "WEBP")
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 2000  # pixels kept; more than a printed page shows
TALLEST = 440.0  # points
POINTS_PER_PIXEL = 0.6


class Picture(Flowable):
    """An image at its natural size, or as large as fits."""

    def __init__(self, image: ImageReader, *, left: float = 0) -> None:
        super().__init__()
        self.image, self.left = image, left
        self.spaceBefore, self.spaceAfter = 4, 6

    def wrap(self, available: float, _height: float) -> tuple[float, float]:
        across, down = self.image.getSize()
        scale = min(POINTS_PER_PIXEL, available / across, TALLEST / down)
        self.width, self.height = across * scale, down * scale
        return self.width, self.height

    def draw(self) -> None:
        self.canv.drawImage(self.image, 0, 0, self.width, self.height)


def read_picture(data: bytes) -> ImageReader | None:
    """The image, upright, on white and not larger than needed; None if these bytes are no picture we can show."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=KINDS)
            if image.width * image.height > MOST_PIXELS:
                return None
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None  # Pillow's own words for "damaged", "not an image" and "too large"
    upright = ImageOps.exif_transpose(image)
    if image.format == "JPEG" and upright.size == image.size and image.mode in ("RGB", "L") and max(image.size) <= 4000:
        return ImageReader(io.BytesIO(data))  # kept as it is: no second loss
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    colours = upright.convert("RGBA")
    page = Image.new("RGB", colours.size, "white")
    page.paste(colours, mask=colours.getchannel("A"))
    return ImageReader(page)
