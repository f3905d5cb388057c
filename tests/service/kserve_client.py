"""Every call of KServe's inference client that speaks the protocol; prints what it got as JSON.

It runs in an environment of its own, since kserve brings older versions of what the project uses:
``python kserve_client.py <url> <gRPC's host:port> <model> <images.npy>``.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput


def request(model: str, images: Any, way: str) -> InferRequest:
    sent = InferInput("image", list(images.shape), "UINT8")
    sent.set_data_from_numpy(images, binary_data=way != "json")
    parameters = {"binary_data_output": True} if way == "binary" else None
    asked = None
    if way == "mixed":
        asked = [
            RequestedOutput("probabilities", parameters={"binary_data": True}),
            RequestedOutput("logits", parameters={"binary_data": False}),
        ]
    return InferRequest(model, [sent], way, parameters=parameters, request_outputs=asked)


async def main(url: str, address: str, model: str, file: str) -> dict[str, Any]:
    images = np.load(file)
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    found: dict[str, Any] = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, model),
        "unknown_ready": await client.is_model_ready(url, "none"),
    }
    for way in ("binary", "json", "mixed"):
        answer = await client.infer(url, request(model, images, way), model_name=model)
        found[way] = {
            "id": answer.id,
            "model_name": answer.model_name,
            **{each.name: each.as_numpy().tolist() for each in answer.outputs},
        }
    try:
        await client.infer(url, request(model, images, "json"), model_name="none")
    except Exception as error:
        found["unknown"] = str(error)
    await client.close()
    return {**found, "grpc": await by_grpc(address, model, images)}


async def by_grpc(address: str, model: str, images: Any) -> dict[str, Any]:
    client = InferenceGRPCClient(address)
    answer = await client.infer(request(model, images, "binary"))
    found: dict[str, Any] = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model_ready": await client.is_model_ready(model),
        "id": answer.id,
        "model_name": answer.model_name,
        **{each.name: each.as_numpy().tolist() for each in answer.outputs},
    }
    try:
        await client.infer(request("none", images, "binary"))
    except Exception as error:
        found["unknown"] = str(error)
    await client.close()
    return found


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
