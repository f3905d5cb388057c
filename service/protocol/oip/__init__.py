"""The Open Inference Protocol, version 2, as bytes: requests in, answers out."""

from service.protocol.oip.answer import Answer, OutputBytes, Served, write_answer, write_bytes
from service.protocol.oip.request import (
    CheckedRequest,
    InferRequest,
    RequestedOutput,
    check_request,
    header_length,
    read_request,
)
from service.protocol.oip.schema import Request

__all__ = [
    "Answer",
    "CheckedRequest",
    "InferRequest",
    "OutputBytes",
    "Request",
    "RequestedOutput",
    "Served",
    "check_request",
    "header_length",
    "read_request",
    "write_answer",
    "write_bytes",
]
