"""What can be audited: a version of a repository, an ONNX file by itself, a running service."""

from service.audits.targets.connection import Address
from service.audits.targets.file import open_file
from service.audits.targets.remote import open_remote
from service.audits.targets.version import version_under_test

__all__ = ["Address", "open_file", "open_remote", "version_under_test"]
