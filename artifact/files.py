"""How large the files of a model version may be; `imaging.files` reads them."""

from typing import Final

from imaging.files import MEBIBYTE

MOST_CARD: Final = 16 * MEBIBYTE
"""Bytes of a card; one with a hundred thousand classes has a few million."""

MOST_GRAPH: Final = 2**31
"""Bytes of an ONNX file; protobuf writes no larger one."""

MOST_AUDIT_SET: Final = 2**30
"""Bytes of an audit set, as a file and unpacked; 4096 images of 3 x 256 x 256 are 768 MiB."""
