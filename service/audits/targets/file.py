"""An ONNX file without a card as the model under test, if it says by itself what it takes."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from artifact.batch_sizes import in_sizes, tried_sizes
from artifact.card import InputSpec
from artifact.contract import LOGITS
from artifact.cpus import cpu_budget
from artifact.files import MOST_GRAPH
from artifact.halves import holds_halves
from artifact.identity import ModelIdentity
from artifact.onnx_file import check_operators, gives_several_labels, read_onnx
from artifact.rewriting import rewritten
from artifact.session import check_stays_alive, run_both_ways
from artifact.values import Precision
from audit import Classifier, Execution, ModelUnderTest, ProofSummary
from audit.proof import Limits
from audit.proving import summarise_proof
from imaging import FitPolicy, grid_rotations, grid_symmetries
from imaging.files import FileRefusedError, read_file
from imaging.refusal import RefusedError
from service.audits.targets.execution import execution
from service.audits.targets.opening import check_execution
from service.engine import GraphError, ProviderCandidates, nvidia, select
from service.engine.graph import start_first
from service.engine.providers import ProviderConfiguration
from service.settings import Settings

_ACCEPTED = "one input of uint8 [N, C, H, W] with any N and with C of 1 or 3 is accepted"

_WITHOUT_CARD = "The file came without a card: the names of its classes are those that it says."
_WITHOUT_NAMES = "The file came without a card: what its classes are, nobody said."


@dataclass(frozen=True)
class Ends:
    """What a file takes and gives: an image input and an output of logits, by their names."""

    image: str
    channels: Literal[1, 3]
    height: int
    width: int
    logits: str


def open_file(path: Path, settings: Settings) -> tuple[ModelUnderTest, InputSpec, str]:
    """Open a file; return it, what its images have to be, and the group that it
    names, or the rotations of its input: C4, or C2 of an oblong one.

    Raises
    ------
    ValueError
        If it is no ONNX file, takes no images of uint8, gives no logits, or does not open on the
        device that is asked for.
    """
    try:
        graph = read_file(path, MOST_GRAPH)
    except FileRefusedError as error:
        raise RefusedError(f"The file {path} {error}.") from error
    model = read_onnx(graph)
    check_operators(model)
    ends, sizes = read_ends(model), tried_sizes(graph)
    candidates, threads = select(settings.device, settings.gpu), settings.threads or cpu_budget()
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    group = _known_group(metadata.get("group", ""))

    def open_graph(data: bytes) -> tuple[Classifier, ProviderConfiguration]:
        runtime, configuration, _ = start_first(data, candidates, threads)
        return _asking(runtime, ends, sizes), configuration

    check_stays_alive(graph)
    try:
        classify, configuration = open_graph(graph)
    except GraphError as error:
        raise RefusedError(f"The file {path} does not open: {error}.") from error
    precision, classes = metadata.get("precision"), _class_names(metadata.get("classes", ""))
    if precision == "fp16" and not holds_halves(model, ends.logits):
        precision = "fp32"  # what is tolerated of half precision is not for whoever names it
    several = gives_several_labels(model)
    if several and not classes:
        raise RefusedError(
            f"The file {path} says that an image may get several labels, and not what they are "
            "called; one that names its classes is accepted."
        )
    runs = execution(configuration, threads)
    oblong = ends.height != ends.width
    fit = FitPolicy(ends.height, width=ends.width if oblong else None)
    under_test = ModelUnderTest(
        identity=ModelIdentity(
            name=metadata.get("name") or path.stem,
            version=1,
            sha256=hashlib.sha256(graph).hexdigest(),
            group=group or "trivial",
            precision=precision if precision in get_args(Precision) else "fp32",
            classes=classes,
            multi_label=several,
        ),
        classify=classify,
        graph=graph,
        build=lambda data: open_graph(data)[0],
        execution=runs,
        opened=_Opened(graph, ends, sizes, configuration, threads, runs),
        fill=fit.fill,
        prove=lambda group: _proved(graph, group, ends, classify, settings.proof_limits),
        caveats=(_WITHOUT_CARD if classes else _WITHOUT_NAMES,),
    )
    rotations = grid_rotations(ends.height, ends.width)
    audited = group if group and len(grid_symmetries(group)) > 1 else rotations
    return under_test, InputSpec(channels=ends.channels, fit=fit), audited


def _proved(
    graph: bytes, group: str, ends: Ends, classify: Classifier, limits: Limits
) -> ProofSummary:
    """Prove a file, unless the runtime makes another function of it.

    Whether what runs keeps every bit is not measured beyond the images of the audit.
    """
    shape = (2, ends.channels, ends.height, ends.width)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    changed = rewritten(graph, noise, classify(noise), (ends.image, ends.logits))
    if changed is not None:
        return ProofSummary.of(changed, grid_symmetries(group))
    return summarise_proof(graph, group, runtime=run_both_ways, limits=limits)


@dataclass(frozen=True)
class _Opened:
    """Opens the file as it was opened here."""

    data: bytes
    ends: Ends
    sizes: list[int]
    configuration: ProviderConfiguration
    threads: int
    expected: Execution

    def __call__(self) -> Classifier:
        if self.configuration.memory is not None:
            nvidia.preload()
        check_execution(execution(self.configuration, self.threads), self.expected)
        here = ProviderCandidates((self.configuration,))
        return _asking(start_first(self.data, here, self.threads)[0], self.ends, self.sizes)


def _asking(runtime: Any, ends: Ends, sizes: list[int]) -> Classifier:
    def classify(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = runtime.run([ends.logits], {ends.image: images})[0]
        return logits

    return in_sizes(classify, sizes)


def read_ends(model: onnx.ModelProto) -> Ends:
    """Find the one input and the logits of a file.

    Raises
    ------
    ValueError
        Saying what the file takes or gives, and what is accepted.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise RefusedError(f"The file takes {_described(inputs)}; {_ACCEPTED}.")
    kind, axes = inputs[0].type.tensor_type.elem_type, _axes(inputs[0])
    if kind != TensorProto.UINT8:
        raise RefusedError(
            f"The file takes {_described(inputs)}; {_ACCEPTED}. `orbitserve import` brings a file "
            "that takes floats into a repository, with its scaling."
        )
    if len(axes) != 4 or axes[0] is not None or not axes[2] or not axes[3]:
        raise RefusedError(f"The file takes {_described(inputs)}; {_ACCEPTED}.")
    if axes[1] not in (1, 3):
        raise RefusedError(f"The file takes {_described(inputs)}; {_ACCEPTED}.")
    channels: Literal[1, 3] = 1 if axes[1] == 1 else 3
    return Ends(inputs[0].name, channels, axes[2], axes[3], _logits(model.graph))


def _logits(graph: onnx.GraphProto) -> str:
    outputs = graph.output
    floats = [
        value.name
        for value in outputs
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and len(_axes(value)) == 2
    ]
    if LOGITS in floats:
        return LOGITS
    if len(floats) != 1:
        raise RefusedError(
            f"The file gives {_described(outputs)}; one output of float32 [N, K], or one of that "
            "form that is named 'logits', is accepted."
        )
    name = str(floats[0])
    if any(node.op_type == "Sigmoid" and name in node.output for node in graph.node):
        raise RefusedError(
            f"The output '{name}' gives each class a probability of its own, by a sigmoid, and "
            "logits are audited; `orbitserve import` brings such a file into a repository."
        )
    return name


def _known_group(name: str) -> str | None:
    try:
        grid_symmetries(name)
    except RefusedError:
        return None
    return name


def _class_names(text: str) -> tuple[str, ...]:
    """The names in a file's metadata, a list of strings in JSON; none if it is anything else."""
    try:
        names = json.loads(text)
    except ValueError:
        return ()
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    try:
        "".join(names if listed else ()).encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which no report can hold
        return ()
    return tuple(names) if listed else ()


def _axes(value: onnx.ValueInfoProto) -> list[int | None]:
    shape = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in shape]


def _described(values: Any) -> str:
    each = []
    for value in values:
        kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        axes = ", ".join("?" if axis is None else str(axis) for axis in _axes(value))
        each.append(f"'{value.name[:80]}' {kind} [{axes}]")
    return ", ".join(each) or "nothing"
