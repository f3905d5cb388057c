"""The Open Inference Protocol, version 2, as bytes: requests in, answers out."""

from service.protocol.oip.answer import Answer, Served, write_answer
from service.protocol.oip.request import InferRequest, RequestedOutput, header_length, read_request

__all__ = [
    "Answer",
    "InferRequest",
    "RequestedOutput",
    "Served",
    "header_length",
    "read_request",
    "write_answer",
]
