"""How onnxruntime is told to open a file: every session of the project is opened here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from artifact.apart import ended_by
from artifact.batch_sizes import MOST, tried_sizes
from imaging.refusal import RefusedError

CPU_PROVIDER: Final = "CPUExecutionProvider"
SILENT, ERRORS, WARNINGS = 4, 3, 2

_TRYING: Final = """
import contextlib, sys, numpy, onnxruntime
kinds = dict(uint8="u1", float16="f2", float="f4", double="f8")
given = sys.stdin.buffer
while size := given.read(8):
    model = given.read(int.from_bytes(size, "big"))
    levels = onnxruntime.GraphOptimizationLevel
    for level, batches in ((levels.ORT_ENABLE_ALL, sizes), (levels.ORT_DISABLE_ALL, [2])):
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        options.graph_optimization_level = level
        with contextlib.suppress(Exception):
            session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
            (image,) = session.get_inputs()
            batch, *sides = image.shape
            for images in [batch] if isinstance(batch, int) else batches:
                with contextlib.suppress(Exception):
                    blank = numpy.zeros([images, *sides], kinds[image.type[7:-1]])
                    session.run(None, {image.name: blank})
"""
"""Opens files, and runs those that take images of a known size: what optimises them first, and
what takes them as they are written, as `artifact.rewriting` does."""

_ON_CPU: Final[Mapping[str, Mapping[str, str]]] = {CPU_PROVIDER: {}}


def open_session(
    model: bytes,
    threads: int,
    providers: Mapping[str, Mapping[str, str]] = _ON_CPU,
    *,
    strict: bool = False,
    quiet: bool = False,
    as_written: bool = False,
) -> Any:
    """Open a file as an `onnxruntime.InferenceSession` that never falls back to other providers.

    Unless it is run as written, nothing is said about graph optimisation, so all of it is on. It
    fuses a Conv with the Mul behind it, which rounds where a graph of whole numbers held in floats
    did not: such a graph keeps its exactness only if a Round stands between the two, as the
    project's own do.

    Parameters
    ----------
    model
        The file's bytes.
    threads
        How many threads compute one batch.
    providers
        Execution providers in order of preference, each with its options.
    strict
        Refuse a graph with a node that would run on the CPU because the device cannot.
    quiet
        Log nothing: the caller reports what goes wrong.
    as_written
        Run the file node by node, with nothing optimised.

    Raises
    ------
    Exception
        One of onnxruntime's own, which share no base class.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT if quiet else ERRORS
    # Threads that spin between requests take the cores from decoding and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    else:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    named = [(name, dict(chosen)) for name, chosen in providers.items()]
    session = onnxruntime.InferenceSession(model, options, named, enable_fallback=0)
    session.disable_fallback()
    return session


def check_stays_alive(*models: bytes, most: int = MOST) -> None:
    """Open and run files from elsewhere in a process of its own, which onnxruntime may end.

    They are run on black images. A file that does not open or run is left to whoever does that
    here, and has the sentence for it.

    Parameters
    ----------
    most
        The largest batch in which they are to be run, if not one by one.

    Raises
    ------
    RefusedError
        If the process was ended by a signal.
    """
    given = b"".join(len(model).to_bytes(8, "big") + model for model in models)
    sizes = max((tried_sizes(model, most) for model in models), key=len, default=[]) or [1]
    if ended := ended_by(f"sizes = {sizes}\n{_TRYING}", given):
        raise RefusedError(f"onnxruntime ends the process that opens and runs the file ({ended}).")


def run_as_written(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a model once on the CPU as it stands in its file, in one thread and without a word.

    Parameters
    ----------
    feeds
        The inputs, by name.

    Returns
    -------
    The outputs, in their order.

    Raises
    ------
    Exception
        One of onnxruntime's own, if it lacks an operator or a type, or refuses the inputs.
    """
    return _run(model.SerializeToString(), feeds, as_written=True)


def run_both_ways(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return what `run_as_written` does, which optimisations of several nodes have to give too.

    It is the runtime that `audit.proof.prove` asks what becomes of constants.

    Raises
    ------
    ArithmeticError
        If optimisations change an output by a bit.
    RefusedError
        If they end the process.
    Exception
        As `run_as_written`.
    """
    several = len(model.graph.node) > 1
    data = model.SerializeToString()
    if several:
        check_stays_alive(data)
    values = _run(data, feeds, as_written=True)
    if several:
        optimised = _run(data, feeds, as_written=False)
        pairs = zip(values, optimised, strict=True)
        if any((a.shape, a.tobytes()) != (b.shape, b.tobytes()) for a, b in pairs):
            raise ArithmeticError("onnxruntime's optimisations change what the model computes")
    return values


def _run(data: bytes, feeds: Mapping[str, NDArray[Any]], *, as_written: bool) -> list[NDArray[Any]]:
    session = open_session(data, threads=1, quiet=True, as_written=as_written)
    values: Sequence[Any] = session.run(None, dict(feeds))
    return [np.asarray(value) for value in values]
