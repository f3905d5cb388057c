"""Where a turned image can change the last bits of a result."""

import math
from typing import Final

import numpy as np

from audit.proof.bounds.sums import linear_magnitude, reduced_count
from audit.proof.graph import Graph, Node
from audit.proof.rules.weights import read_weights
from audit.proof.site import Site

_PRECISION: Final = {2: 11, 4: 24, 8: 53}
"""Bits of the significand by bytes of a float: integers up to ``2^bits`` are summed exactly."""

_LINEAR: Final = {"Conv", "Gemm", "MatMul"}
_SUMS: Final = {"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"}
_INEXACT: Final = frozenset(
    """
    Acos Acosh Asin Asinh Atan Atanh BatchNormalization Celu Cos Cosh Elu Erf Exp Gelu GlobalLpPool
    HardSigmoid HardSwish InstanceNormalization LayerNormalization Log LogSoftmax LpNormalization
    LpPool Mean Mish Pow ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceProd ReduceSumSquare
    Resize Selu Sigmoid Sin Sinh Softmax Softplus Softsign Sum Swish Tan Tanh Upsample
    """.split()  # noqa: SIM905 - a table of names
)


def rounds(site: Site) -> bool:
    """Whether a node's last bits may depend on how the image is turned.

    Sums of floats do, as the entries come in another order, unless all are whole and floats can
    hold every partial sum. So may functions that take more than one rounded operation: a runtime
    may compute them otherwise at the end of a row than in its middle. What is not moved is computed
    in the same place and order.
    """
    return not site.unmoved and inexact(site)


def inexact(site: Site) -> bool:
    """Whether a node's last bits depend on the order of its inputs' entries, or on their places."""
    x = site.tracked[0]
    if site.node.op not in _LINEAR | _SUMS | _INEXACT:
        return False
    if site.node.op in ("Mean", "Sum") and len(site.inputs) < 3:
        return False
    if site.node.op in ("Resize", "Upsample") and site.node.get("mode", "nearest") == "nearest":
        return False
    if x.dtype is not None and x.dtype.kind in "iu":
        return False
    if x.dtype is None or site.node.op in _INEXACT or not x.bound.whole:
        return True
    limit = 2.0 ** _PRECISION.get(x.dtype.itemsize, 0)
    if site.node.op in _LINEAR:
        weights = read_weights(site)
        if weights is None or not bool((weights.matrix % 1 == 0).all()):
            return True
        return not (_whole(weights.extras) and linear_magnitude(site) <= limit)
    magnitude = x.bound.magnitude * reduced_count(site)
    return math.isnan(magnitude) or magnitude > limit


def _whole(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    return bool((values % 1 == 0).all())


def stands_quantised(graph: Graph, node: Node) -> bool:
    """Whether a node reads dequantised integers alone, and is quantised again at once.

    Runtimes compute such a group of nodes in integers.
    """
    producers = {name: other for other in graph.nodes for name in other.outputs}
    sources = [producers.get(name) for name in node.inputs[:2]]
    if any(source is None or source.op != "DequantizeLinear" for source in sources):
        return False
    following = [other for other in graph.nodes if node.outputs[0] in other.inputs]
    while len(following) == 1 and following[0].op in ("Clip", "Relu"):
        name = following[0].outputs[0]
        following = [other for other in graph.nodes if name in other.inputs]
    return [other.op for other in following] == ["QuantizeLinear"]
