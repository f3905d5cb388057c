"""How often a comparison's verdict is wrong, where the truth is known: simulated pairs of models.

Run ``python -m benchmarks.comparisons``. Of models that are worse by just a margin at most 5 % may
pass, and of models that are as good at most 5 % may fail, but for the chance of the simulation.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval, Verdict
from audit.comparison.outcomes import Outcomes, Truth
from audit.comparison.record import Margins
from audit.comparison.testing import paired_tests
from audit.comparison.verdict import judge_comparison
from audit.units import single_units

UNITS: Final = 160
CLASSES: Final = 8
MARGIN: Final = 0.05

Draw = Callable[[np.random.Generator], tuple[Outcomes, Outcomes]]


@dataclass(frozen=True)
class Simulation:
    """Pairs of models.

    Attributes
    ----------
    draw
        What each did with the same images, at random.
    wrong
        The verdict that is hardly ever right.
    """

    name: str
    draw: Draw
    wrong: Verdict
    margins: Margins


def main() -> None:
    """Simulate and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=1000, help="simulated of each kind")
    options = parser.parse_args()
    print(f"{options.comparisons} simulated comparisons a line, {UNITS} images, seed 0\n")
    print("| models | wrong | found | ± |")
    print("| --- | --- | --- | --- |")
    for simulation in SIMULATIONS:
        wrong, error = measure(simulation, options.comparisons)
        print(
            f"| {simulation.name} | {simulation.wrong} | {wrong:.2%} | {2 * error:.2%} |",
            flush=True,
        )


def measure(simulation: Simulation, comparisons: int, seed: int = 0) -> tuple[float, float]:
    """Return the part of the comparisons whose verdict is wrong, and its standard error."""
    random = np.random.default_rng(seed)
    numbers = np.arange(UNITS) % CLASSES
    truth = Truth(tuple(f"class {n}" for n in numbers), numbers, known=True)
    wrong = 0
    for _ in range(comparisons):
        first, second = simulation.draw(random)
        tested = paired_tests(
            first,
            second,
            truth,
            single_units(UNITS),
            simulation.margins,
            interval=lambda pairs, confidence: Interval(-1.0, 1.0),
        )
        judgement = judge_comparison(tested, simulation.margins, UNITS, UNITS)
        wrong += judgement.verdict == simulation.wrong
    part = wrong / comparisons
    return part, float(np.sqrt(max(part * (1 - part), 0.05 * 0.95) / comparisons))


def parting(lost: float, gained: float, *, moved: float = 0.0) -> Draw:
    """Models that part on labels with two probabilities, and whose logits move alike."""

    def draw(random: np.random.Generator) -> tuple[Outcomes, Outcomes]:
        which = random.random(UNITS)
        first, second = which >= gained, (which < gained) | (which >= gained + lost)
        deviations = moved * random.lognormal(0, 1, (2, UNITS))
        return _outcomes(first, deviations[0]), _outcomes(second, deviations[1])

    return draw


def apart(lost: float, gained: float) -> Draw:
    """Models that part in keeping labels, and on other images in giving the right ones."""

    def draw(random: np.random.Generator) -> tuple[Outcomes, Outcomes]:
        kept, right = parting(lost, gained)(random), parting(lost, gained)(random)
        first, second = (
            Outcomes(
                labels=(),
                kept=kept[side].kept,
                correct=right[side].correct,
                deviation=kept[side].deviation,
            )
            for side in (0, 1)
        )
        return first, second

    return draw


def moving(spread: float) -> Draw:
    """Models of which the second moves logits farther, by just the margin on the average."""

    def draw(random: np.random.Generator) -> tuple[Outcomes, Outcomes]:
        all_kept = np.ones(UNITS, np.bool_)
        common = random.lognormal(0, spread, UNITS)
        farther = 2 * MARGIN * random.random(UNITS)
        return _outcomes(all_kept, common), _outcomes(all_kept, common + farther)

    return draw


def _outcomes(kept: NDArray[np.bool_], deviation: NDArray[np.float64]) -> Outcomes:
    return Outcomes(labels=(), kept=kept, correct=kept, deviation=deviation)


_ALL: Final = Margins(
    margin=MARGIN, class_margin=None, deviation_margin=MARGIN, logit_tolerance=10.0
)
_EACH: Final = _ALL.model_copy(update={"margin": 0.5, "class_margin": 0.6})

SIMULATIONS: Final = (
    Simulation("worse by the margin, nothing gained", parting(MARGIN, 0.0), "PASS", _ALL),
    Simulation("worse by the margin, 2 % gained", parting(MARGIN + 0.02, 0.02), "PASS", _ALL),
    Simulation("logits move farther by the margin", moving(0.5), "PASS", _ALL),
    Simulation("equal, part on 10 %", parting(0.05, 0.05, moved=0.1), "FAIL", _ALL),
    Simulation("equal, part on 40 %", apart(0.2, 0.2), "FAIL", _ALL),
    Simulation("equal, 8 classes asked, part on 70 %", apart(0.35, 0.35), "FAIL", _EACH),
)

if __name__ == "__main__":
    main()
