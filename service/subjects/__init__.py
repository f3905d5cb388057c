"""What can be audited: a version of a repository, an ONNX file by itself, a running service."""

from service.subjects.connection import Address
from service.subjects.file import open_file
from service.subjects.remote import open_remote
from service.subjects.version import version_subject

__all__ = ["Address", "open_file", "open_remote", "version_subject"]
