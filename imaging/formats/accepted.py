"""Which formats are accepted: what they are called in a sentence, and by their files' names.

How each begins, and how it is read, is told by the module that reads it; `imaging.decode` chooses
one, and `service/protocol/media.py` knows them by HTTP's names.
"""

from typing import Final

ACCEPTED: Final = "one still image as PNG, JPEG, WebP, TIFF or BMP"

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""In small letters."""
