"""The protocol's messages, in a pool of their own.

Clients of other makers bring the same messages into the process's default pool, which takes
each name once.
"""

from importlib.resources import files
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

SERVICE: Final = "inference.GRPCInferenceService"


def _read() -> DescriptorPool:
    found = FileDescriptorSet.FromString(
        files(__package__).joinpath("inference.binpb").read_bytes()
    )
    pool = DescriptorPool()
    for each in found.file:
        pool.Add(each)  # type: ignore[no-untyped-call, unused-ignore]
    return pool


POOL: Final = _read()


def message(name: str) -> type[Any]:
    """Return the class of a message of the protocol, such as `ModelInferRequest`."""
    found: type[Message] = GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))
    return found
