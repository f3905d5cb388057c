"""The Open Inference Protocol, version 2, as bytes: requests in, answers out."""

from service.protocol.oip.answer import Answer, Served, write_answer
from service.protocol.oip.compression import accepted_coding, pack, unpack
from service.protocol.oip.request import InferRequest, RequestedOutput, header_length, read_request

__all__ = [
    "Answer",
    "InferRequest",
    "RequestedOutput",
    "Served",
    "accepted_coding",
    "header_length",
    "pack",
    "read_request",
    "unpack",
    "write_answer",
]
