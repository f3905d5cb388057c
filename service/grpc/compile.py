"""Compile inference.proto, with grpcio-tools: run ``python -m service.grpc.compile``."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
COMPILED: Final = FOLDER / "inference.binpb"


def compile_to(file: Path) -> None:
    """Write the descriptors of the protocol's messages, without the comments, to a file."""
    from grpc_tools import protoc

    arguments = ["protoc", f"--proto_path={FOLDER}", f"--descriptor_set_out={file}"]
    if protoc.main([*arguments, "inference.proto"]):
        raise SystemExit("inference.proto was not compiled; the lines above say why.")


if __name__ == "__main__":
    compile_to(COMPILED)
