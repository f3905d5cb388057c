"""What the proof knows of an operator. What a record does not state is refused, or is inexact."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from audit.proof.values.context import Bound, Context
from audit.proof.values.numbering import Numbers

Rule = Callable[[Context], list[Numbers]]
Bounding = Callable[[Context], Bound]

Exact = Literal["never", "whole", "ordered", "bounded", "always"]
"""When an output has the same bits, however the image is rotated.

`always`: an entry is made of entries in fixed places by one operation that is rounded once.
`bounded`: the same, but of infinities and NaN runtimes make one thing here and another there.
`ordered`: the largest or smallest of several, which depends on their order where there are NaN, and
as to its sign where there are zeros of both. `whole`: entries are summed in an order that may
rotate, which is exact if all of them are integers and every partial sum can be held. `never`:
several rounded operations, which a runtime may do otherwise at the end of a row than in its middle.
"""

Response = Literal["smooth", "steep", "step"]
"""What a small change of an input does: `smooth` multiplies it by a factor that is bounded for all
inputs, `steep` by one that is not, `step` may make it a whole step."""

Folding = Literal["never", "confirmed", "agreed"]
"""Whether constants may be computed: `agreed` by ONNX's reference alone, as the standard leaves no
choice and no sum is rounded, `confirmed` where a runtime gives the same bits."""


def unknown(context: Context) -> Bound:
    """Bound what nothing is known of."""
    del context
    return Bound(deviation=float("inf"))


@dataclass(frozen=True)
class Operator:
    """An operator.

    Attributes
    ----------
    name
        In ONNX's own domain.
    versions
        Those of its definitions that were read; others are refused.
    rule
        From the numbers of its inputs to those of its outputs; None if it is folded only.
    bound
        Of its outputs.
    integers, floats
        When its bits are exact, for inputs of integers and of floats.
    response
        To a small change of an input; a function where that depends on the inputs.
    partial_sums
        The largest magnitude of a partial sum of integers, where entries are summed; without it
        sums of floats are not exact.
    folding
        Whether constants may be computed by it.
    blind_to_zeros
        Whether the sign of a zero among its inputs changes no more than that of a zero among its
        outputs.
    any_axis
        Whether its rule minds where the batch stands; others need it as the first axis.
    image_by_image
        Whether it gives each image of a batch what it would give it alone, also with attributes
        that its rule does not follow: then it is a function of the image, of which no more is
        known.
    """

    name: str
    versions: tuple[int, ...]
    rule: Rule | None
    bound: Bounding = unknown
    integers: Exact = "never"
    floats: Exact | Callable[[Context], Exact] = "never"
    response: Response | Callable[[Context], Response] = "step"
    partial_sums: Callable[[Context], float] | None = None
    folding: Folding = "never"
    any_axis: bool = False
    blind_to_zeros: bool | Callable[[Context], bool] = False
    image_by_image: bool = False


def rounded_once(
    name: str,
    versions: tuple[int, ...],
    rule: Rule,
    bound: Bounding,
    response: Response | Callable[[Context], Response] = "smooth",
    folding: Folding = "agreed",
    *,
    any_axis: bool = True,
    blind_to_zeros: bool | Callable[[Context], bool] = True,
) -> Operator:
    """Say of an operator that moves entries, or rounds each of its outputs once: always exact."""
    return Operator(
        name,
        versions,
        rule,
        bound=bound,
        integers="always",
        floats="always",
        response=response,
        folding=folding,
        any_axis=any_axis,
        blind_to_zeros=blind_to_zeros,
    )
