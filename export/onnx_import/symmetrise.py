"""The average over an orbit, as a graph: any classifier becomes one that is invariant to the bit.

Every element of the group gets a branch of its own, which reads the rotated image with the same
stored weights; the logits of all branches are sorted, class by class, and then averaged. A rotated
image hands the branches the same images in another order, and sorting forgets the order. So the sum
adds the same numbers in the same order, and every bit of it is the same.

Branches stand side by side and not in the batch: then a branch does for the rotated image what
another does for the upright one, with tensors of the same shapes, at the same place of the batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.contract import INPUT, LOGITS, PROBABILITIES
from audit.elements import audited_elements
from export.onnx_import.graphs import dependents
from imaging import check_grid


def symmetrise(model: onnx.ModelProto, group: str, *, multi_label: bool = False) -> onnx.ModelProto:
    """Average a model that keeps this project's contract over the grid symmetries of a group.

    Parameters
    ----------
    model
        With the input ``image`` and the output ``logits``; it is left as it is.

    multi_label
        Whether the probabilities are the sigmoids of the logits, and not their softmax.

    Raises
    ------
    ValueError
        If the group has no grid symmetry but the identity, or quarter turns, and the image is
        oblong.
    """
    elements = audited_elements(group)
    graph = model.graph
    channels, height, width = (
        axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim[1:]
    )
    check_grid(group, height, width)
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    before = [node for node in graph.node if PROBABILITIES not in node.output]
    copied = dependents(before, INPUT)
    averaged = onnx.ModelProto()
    averaged.CopyFrom(model)
    del averaged.graph.node[:], averaged.graph.value_info[:]
    averaged.graph.node.extend(node for node in before if node not in copied)

    orbit = _Orbit(averaged.graph)
    flat = orbit.constant("flat", np.array([0, channels, height * width]))
    plane = orbit.constant("plane", np.array([0, channels, height, width]))
    pixels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    image = orbit.add("Reshape", "pixels", INPUT, flat)
    for element in elements:
        places = np.ascontiguousarray(element(pixels)).reshape(-1)
        rotation = orbit.constant(f"{element.name}.turn", places)
        row = orbit.add("Gather", f"{element.name}.row", image, rotation, axis=2)
        orbit.add("Reshape", f"{element.name}.image", row, plane)
        averaged.graph.node.extend(_branch(copied, orbit.name(element.name)))
    orbit.average([element.name for element in elements], classes)
    if multi_label:
        orbit.append("Sigmoid", PROBABILITIES, [LOGITS], [PROBABILITIES], {})
    else:
        orbit.append("Softmax", PROBABILITIES, [LOGITS], [PROBABILITIES], {"axis": 1})
    return averaged


class _Orbit:
    """Adds nodes and constants to a graph, with names of their own."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def name(self, name: str) -> str:
        """Return the name of a tensor of the orbit's."""
        return f"orbit.{name}"

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Store a constant and return its name."""
        self._graph.initializer.append(numpy_helper.from_array(value, self.name(name)))
        return self.name(name)

    def add(self, op: str, name: str, *inputs: str, **attributes: int | list[int]) -> str:
        """Append a node and return the name of its output."""
        output = self.name(name)
        self.append(op, output, inputs, [output], attributes)
        return output

    def append(
        self,
        op: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, int | list[int]],
    ) -> None:
        """Append a node with outputs of any name."""
        node = helper.make_node(op, inputs, outputs, name=name)
        node.attribute.extend(helper.make_attribute(key, v) for key, v in attributes.items())
        self._graph.node.append(node)

    def average(self, branches: Sequence[str], classes: int) -> None:
        """Sort the branches' logits, class by class, and average them."""
        vote = self.constant("vote", np.array([0, 1, classes]))
        votes = [
            self.add("Reshape", f"{branch}.vote", self.name(f"{branch}.logits"), vote)
            for branch in branches
        ]
        together = self.add("Concat", "votes", *votes, axis=1)
        count = self.constant("count", np.array([len(branches)]))
        ranked, places = self.name("ranked"), self.name("places")
        self.append("TopK", ranked, [together, count], [ranked, places], {"axis": 1})
        terms = []
        for rank in range(len(branches)):
            place = self.constant(f"rank{rank}", np.array(rank))
            terms.append(self.add("Gather", f"ranked{rank}", ranked, place, axis=1))
        # Not by ReduceMean, which adds in another order in a batch of another size.
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=True)
            terms = [self.add("Add", f"sum{len(terms)}.{i}", *pair) for i, pair in enumerate(pairs)]
        part = self.constant("part", np.array(1 / len(branches), np.float32))
        self.append("Mul", self.name("mean"), [terms[0], part], [LOGITS], {})


def _branch(nodes: Sequence[onnx.NodeProto], branch: str) -> Iterator[onnx.NodeProto]:
    """Copy nodes; what depends on the image gets a name of its own, what is stored is shared."""
    own = {INPUT, *(name for node in nodes for name in node.output if name)}

    def called(name: str) -> str:
        taken = name in _TAKEN or name.startswith("of.")
        return f"{branch}.of.{name}" if taken else f"{branch}.{name}"

    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{branch}.{node.name}"
        copy.input[:] = [called(name) if name in own else name for name in node.input]
        copy.output[:] = [called(name) if name else "" for name in node.output]
        yield copy


_TAKEN: Final = ("turn", "row", "vote")
"""What a branch calls tensors that the file does not have."""
