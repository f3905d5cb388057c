"""Networks by force: what is proved does not deviate, and no mutant that deviates is proved."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from audit.proof import Proof, prove
from imaging import grid_symmetries

Mutate = Callable[[onnx.ModelProto, str, np.random.Generator], onnx.ModelProto]


@dataclass
class Tally:
    """How many networks were proved, and what became of their mutants that run."""

    proved: int = 0
    mutants: int = 0
    deviating: int = 0
    silent: int = 0


def deviates(
    model: onnx.ModelProto, group: str, seed: int, *, bits: bool = False, optimised: bool = False
) -> bool | None:
    """Whether the logits of a rotated image are others; None if onnxruntime does not run the file.

    Parameters
    ----------
    bits
        Whether zeros of two signs are others too.
    optimised
        Whether onnxruntime may rewrite the graph before.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim][1:]
    images = np.random.default_rng(seed).integers(0, 8, (24, *shape), np.uint8)
    data = model.SerializeToString()
    try:
        run = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run
        upright, *rotated = (
            run(["logits"], {"image": np.ascontiguousarray(g(images))})[0]
            for g in grid_symmetries(group)
        )
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return None
    if bits:
        return any(other.tobytes() != upright.tobytes() for other in rotated)
    return any(not np.array_equal(upright, other, equal_nan=True) for other in rotated)


def force(
    networks: Iterable[tuple[int, onnx.ModelProto, str]],
    mutants: int,
    mutate: Mutate,
    check: Callable[[int, Proof], None],
    *,
    bits: bool = False,
) -> Tally:
    """Prove and run networks, each with its seed and group, and so many mutants of each."""
    tally = Tally()
    for seed, model, group in networks:
        proof = prove(model.SerializeToString(), group, tolerance=0)
        deviation = deviates(model, group, seed, bits=bits)
        assert deviation is not None, f"network {seed} does not run"
        check(seed, proof)
        if proof.outcome == "PROVED":
            tally.proved += 1
            assert not deviation, f"network {seed} is proved and deviates"
        for number in range(mutants):
            mutant = mutate(model, group, np.random.default_rng([seed, number]))
            deviation = deviates(mutant, group, seed, bits=bits)
            if deviation is None:
                continue
            tally.mutants += 1
            try:
                found = prove(mutant.SerializeToString(), group, tolerance=0).outcome
            except ValueError:
                continue
            if deviation:
                tally.deviating += 1
                assert found == "NOT PROVED", f"mutant {number} of network {seed} is proved"
            else:
                tally.silent += found == "PROVED"
    return tally
