"""A server of the service's own parts, as many of them as `LAYER` names, behind uvicorn alone.

Run by `python -m benchmarks.layers`; each layer does all that the one before it does.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from benchmarks.serving.model import open_model_under_test
from service.engine import Session, Signature, select
from service.grpc.messages import SERVICE
from service.http.connection import protocol
from service.protocol.oip import Served, header_length, read_request, write_answer

_CANNED = b"x" * 200


class Server:
    """An ASGI application that answers inference requests, and 200 to everything else."""

    def __init__(self, layer: str, model: Path, threads: int) -> None:
        card = open_model_under_test(model, threads).card
        self.layer = layer
        fit = card.input.fit
        self.ends = Signature(card.input.channels, fit.size, len(card.classes), fit.width)
        self.session = Session(model.read_bytes(), self.ends, select("cpu"), threads)
        self.served = Served(card.name, str(card.version), card.classes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = _CANNED
        if scope["method"] == "POST" and self.layer in ("protocol", "engine"):
            length = header_length(
                dict(scope["headers"]).get(b"inference-header-content-length"), body
            )
            asked = read_request(body, length, self.ends.image, 64)
            if self.layer == "engine":
                result = await self.session.infer(asked.images)
                answer = write_answer(asked, result, self.served).body
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def main() -> None:
    """Serve the layer, model, threads and port that the command names."""
    layer, model, threads, port, grpc_port = sys.argv[1:]
    config = uvicorn.Config(
        Server(layer, Path(model), int(threads)),
        port=int(port),
        http=protocol(30.0),
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(uvicorn.Server(config), layer, grpc_port))


async def _serve(server: uvicorn.Server, layer: str, grpc_port: str) -> None:
    calls = {
        "grpc": grpc.unary_unary_rpc_method_handler(_answer),
        "grpc-stream": grpc.stream_unary_rpc_method_handler(_read_and_answer),
    }
    if layer in calls:
        beside = grpc.aio.server()
        handlers = grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": calls[layer]})
        beside.add_generic_rpc_handlers((handlers,))
        beside.add_insecure_port(f"127.0.0.1:{grpc_port}")
        await beside.start()
    await server.serve()


async def _answer(message: bytes, context: Any) -> bytes:
    return _CANNED


async def _read_and_answer(messages: Any, context: Any) -> bytes:
    await context.read()
    return _CANNED


if __name__ == "__main__":
    main()
