"""An ONNX file before anything runs it: is it one, is all of it there, and what does it ask for."""

from collections.abc import Iterable, Iterator
from typing import Final

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto, helper

from artifact.contract import PROBABILITIES
from artifact.decided_sizes import refuse_sizes
from artifact.trapping_divisions import refuse_traps
from imaging.refusal import RefusedError

ONNX_DOMAINS: Final = ("", "ai.onnx")
"""Two names of one domain, that of ONNX's own operators."""

_ACCEPTED: Final = "an ONNX file with all its weights inside is accepted"
_OWN_OPERATORS: Final = "operators of ONNX's own domain are accepted"
_BEFORE_ONNXRUNTIME: Final = (
    "the file from before onnxruntime optimised it, or one that it quantised in the format QDQ, is "
    "accepted"
)
"""Where the domain is onnxruntime's."""

_FORMATS: Final = (
    (0, b"PK\x03\x04", "a zip archive, such as PyTorch, Keras and numpy write"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes"),
    (0, b"\x93NUMPY", "an array of numpy"),
    (0, b"GGUF", "a GGUF file"),
    (8, b'{"', "a safetensors file"),
    (0, b"version https://git-lfs.github.com/spec/", "a git-lfs pointer in place of the file"),
    (4, b"TFL3", "a file of TensorFlow Lite"),
    # A file can be this and ONNX at once; onnxruntime would take it for this.
    (4, b"ORTM", "a file of onnxruntime's own format"),
    *((0, bytes([0x80, n]), "a pickle, such as PyTorch used to write") for n in range(2, 6)),
)
"""Where a format has its mark, what the mark is, and what the format is called."""

_MARKUP: Final = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")

_BITS: Final = {
    "UINT4": 4,
    "INT4": 4,
    "FLOAT4E2M1": 4,
    "UINT2": 2,
    "INT2": 2,
    "FLOAT6E2M3": 6,
    "FLOAT6E3M2": 6,
}
"""Of the types that do not fill a byte: how many an element takes where they are packed."""

_COMPLEX: Final = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)

_MOST_DENSE: Final = 2**28
"""Elements that all sparse tensors may have when they are written out: 1 GiB of float32."""

_MOST_AXES: Final = 64
"""Of an array of NumPy."""

_MOST_PLACES: Final = 2**58
"""Elements of an array beside axes of no length, so that its bytes can be counted."""


def read_onnx(data: bytes) -> onnx.ModelProto:
    """Parse an ONNX file, see that all of it is there, and check it against the standard.

    Nothing outside of the bytes is read: a file that keeps tensors elsewhere is refused, wherever
    that is.

    Raises
    ------
    ValueError
        If it is another kind of file, is cut off, keeps tensors outside of itself, has tensors of
        other sizes than their shapes say, has a Split that would end a process, or is not valid.
    """
    refuse_other_formats(data)
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        if _is_cut_off(data):
            raise RefusedError(
                f"The file is cut off: it ends inside of a field, after {len(data)} bytes; "
                "a whole ONNX file is accepted."
            ) from error
        raise RefusedError(
            f"This is no ONNX file ({error}); one that torch.onnx.export, optimum or "
            "tf2onnx wrote is accepted."
        ) from error
    if not model.HasField("graph"):
        raise RefusedError(
            "The file is cut off, or no ONNX file: it has no graph; one is accepted."
        )
    dense = 0
    for message in _messages(model):
        _check_texts(message)
        if isinstance(message, TensorProto):
            _check_tensor(message)
        elif isinstance(message, onnx.SparseTensorProto):
            dense += _elements(message.dims, _quoted(message.values.name))
            _check_dense(dense, message)
        elif isinstance(message, onnx.NodeProto):
            _check_split(message)
    _check_imports(model.opset_import)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise RefusedError(f"This is no valid ONNX file: {reason}.") from error
    return model


def refuse_other_formats(data: bytes) -> None:
    """Raise a ValueError that says what the file is, if its first bytes are those of another kind.

    Cheap, and safe for bytes of which nothing is known: nothing is parsed.
    """
    if not data:
        raise RefusedError(f"The file is empty; {_ACCEPTED}.")
    for place, mark, kind in _FORMATS:
        if data.startswith(mark, place):
            raise RefusedError(f"The file is {kind}; {_ACCEPTED}.")
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        raise RefusedError(f"The file is a page of HTML or XML; {_ACCEPTED}.")


def check_operators(model: onnx.ModelProto) -> None:
    """See that a model means the same to every runtime: it uses nothing but ONNX's operators.

    And that no image ends what runs it, as far as that is known: see `artifact.trapping_divisions`
    and `artifact.decided_sizes`.

    Functions of the model's own are refused too. Where one is named like an operator that a runtime
    has, the runtime prefers its own; and a few of them can stand for millions of nodes.

    Raises
    ------
    ValueError
        Naming the first operator, function or version that is not ONNX's, or the first division
        or size that may end a process, and what is accepted.
    """
    if model.functions:
        function = model.functions[0]
        raise RefusedError(
            f"The file defines {_operator(function.domain, function.name)} by a function of its "
            "own; a file with the function's nodes in its place, as by "
            "onnx.inliner.inline_local_functions, is accepted."
        )
    for message in _messages(model):
        if isinstance(message, onnx.NodeProto) and message.domain not in ONNX_DOMAINS:
            name = message.name or next(iter(message.output), "")
            theirs = message.domain.startswith("com.microsoft")
            accepted = _OWN_OPERATORS if not theirs else _BEFORE_ONNXRUNTIME
            raise RefusedError(
                f"The node {_quoted(name)} is the custom operator "
                f"{_operator(message.domain, message.op_type)}; {accepted}."
            )
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ONNX_DOMAINS and not 1 <= entry.version <= newest:
            raise RefusedError(
                f"The file asks for version {entry.version} of ONNX's operators; "
                f"versions 1 to {newest} are accepted."
            )
    refuse_traps(model)
    refuse_sizes(model)


def redefines(model: onnx.ModelProto) -> bool:
    """Whether a function of the model's own may be an operator that runtimes know otherwise."""
    return any(
        function.domain in ONNX_DOMAINS or function.domain.startswith(_RUNTIME_DOMAINS)
        for function in model.functions
    )


_RUNTIME_DOMAINS: Final = ("ai.onnx.", "com.microsoft", "com.ms.")
"""How the names of further domains begin that runtimes have operators in."""


def _messages(message: Message) -> Iterator[Message]:
    """Walk over a message and all those within: graphs, nodes, attributes, tensors, functions."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                yield from _messages(child)


def all_nodes(within: onnx.ModelProto | onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a model or a node, those of functions and within other nodes too."""
    return (message for message in _messages(within) if isinstance(message, onnx.NodeProto))


def _check_texts(message: Message) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            texts = [value] if isinstance(value, (str, bytes)) else value
            # Protobuf gives bytes where a text is not encoded as it has to be.
            broken = next((text for text in texts if isinstance(text, bytes)), None)
            if broken is not None:
                raise RefusedError(
                    f"The file has {broken[:80]!r} in the field {field.name}; UTF-8 is accepted."
                )


def _check_tensor(tensor: TensorProto) -> None:
    name = _quoted(tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        places = (entry.value for entry in tensor.external_data if entry.key == "location")
        raise RefusedError(
            f"The file keeps the tensor {name} outside of itself, in {_quoted(next(places, ''))}; "
            f"{_ACCEPTED}."
        )
    kind = tensor.data_type
    if kind not in TensorProto.DataType.values() or kind == TensorProto.UNDEFINED:
        raise RefusedError(
            f"The tensor {name} has elements of the type {kind}; types that ONNX has are accepted."
        )
    if kind == TensorProto.BOOL and not {*tensor.int32_data} <= {0, 1}:
        raise RefusedError(
            f"The tensor {name} has truth values beside 0 and 1; these are accepted."
        )
    if not all(map(_is_utf_8, tensor.string_data)):
        raise RefusedError(f"The tensor {name} has texts that are no UTF-8; UTF-8 is accepted.")
    due, there, unit = _storage(tensor, _elements(tensor.dims, name))
    if there != due:
        shape = ", ".join(map(str, tensor.dims[:8])) + (", ..." if len(tensor.dims) > 8 else "")
        raise RefusedError(
            f"The tensor {name} of the shape [{shape}] and the type "
            f"{TensorProto.DataType.Name(kind)} needs {due} {unit} and has {there}; "
            "a file whose tensors are what their shapes say is accepted."
        )


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _storage(tensor: TensorProto, promised: int) -> tuple[int, int, str]:
    """Return how much a tensor needs, how much there is, and of what."""
    kind = tensor.data_type
    bits = _BITS.get(TensorProto.DataType.Name(kind), 0)
    if tensor.HasField("raw_data"):
        bits = bits or 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize
        return _bytes(promised * bits), len(tensor.raw_data), "bytes"
    # One value is one byte of these; those of six bits have a byte each there.
    entries = _bytes(promised * bits) if bits in (2, 4) else promised * (1 + (kind in _COMPLEX))
    return entries, len(getattr(tensor, helper.tensor_dtype_to_field(kind))), "values"


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _check_dense(dense: int, tensor: onnx.SparseTensorProto) -> None:
    if dense > _MOST_DENSE:
        raise RefusedError(
            f"The sparse tensor {_quoted(tensor.values.name)}, with those before it, has {dense} "
            f"elements when it is written out; at most {_MOST_DENSE} are accepted."
        )


def _check_split(node: onnx.NodeProto) -> None:
    """Refuse a Split that leaves out a part: onnxruntime writes it all the same, and dies."""
    if node.op_type == "Split" and node.domain in ONNX_DOMAINS and "" in node.output:
        name = node.name or next(filter(None, node.output), "")
        raise RefusedError(
            f"The node {_quoted(name)} (Split) leaves out one of its outputs, which ends the "
            "process of onnxruntime; one that names all of them is accepted."
        )


def _elements(dims: Iterable[int], name: str) -> int:
    """Return the number of elements of a shape; somewhere beyond 2^63 it is no longer exact."""
    sides = list(dims)
    if any(side < 0 for side in sides):
        raise RefusedError(
            f"The tensor {name} has an axis of negative length; 0 and more are accepted."
        )
    if len(sides) > _MOST_AXES:
        raise RefusedError(
            f"The tensor {name} has {len(sides)} axes; at most {_MOST_AXES} are accepted."
        )
    total = 1
    for side in sides:
        total *= side or 1
        if total > 2**63:
            break
    if 0 not in sides:
        return total
    if total > _MOST_PLACES:
        raise RefusedError(
            f"The tensor {name} has no element, and other axes that are too long to be counted; "
            "shorter ones are accepted."
        )
    return 0


def _check_imports(imports: Iterable[onnx.OperatorSetIdProto]) -> None:
    versions = [entry.version for entry in imports if entry.domain in ONNX_DOMAINS]
    if len(versions) > 1:
        named = ", ".join(map(str, versions[:8]))
        raise RefusedError(
            f"The file asks for several versions of ONNX's operators ({named}); one is accepted."
        )


def _is_cut_off(data: bytes) -> bool:
    """Whether these are the fields of a model up to one that is longer than what is left."""
    known = onnx.ModelProto.DESCRIPTOR.fields_by_number
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        if place <= len(data) and tag >> 3 not in known:
            return False
        length, after = _varint(data, place)
        match tag & 7:
            case 0:
                place = after
            case 1:
                place += 8
            case 2:
                place = after + length
            case 5:
                place += 4
            case _:
                return False
    return place > len(data)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and where it ends: beyond the end, if cut."""
    number = 0
    for shift, byte in enumerate(data[place : place + 10]):
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, place + shift + 1
    return number, len(data) + 1


def _operator(domain: str, name: str) -> str:
    return _quoted(f"{domain}.{name}" if domain else name)


def _quoted(text: str) -> str:
    """Return a text from the file for a sentence: on one line, and not too long."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def gives_several_labels(model: onnx.ModelProto) -> bool:
    """Whether each class has a probability of its own: a file says so, or ends in their sigmoid."""
    said = any((each.key, each.value) == MULTI_LABEL for each in model.metadata_props)
    return said or any(
        node.op_type == "Sigmoid" and PROBABILITIES in node.output for node in model.graph.node
    )


MULTI_LABEL: Final = ("multi_label", "true")
"""What the metadata of a file say whose images may get several labels."""
