"""TIFF by its own tags (TIFF 6.0, BigTIFF), and not by the nearest mode that a library has."""

from imaging.formats.tiff.read import SIGNATURES, decode

__all__ = ["SIGNATURES", "decode"]
