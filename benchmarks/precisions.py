"""What other precisions give and cost, each measured beside the float32 version it is made from.

Run ``python -m benchmarks.precisions``. Versions are made anew in a temporary folder, by the code
that ``orbitserve export --precision`` runs, and their cards are laid side by side.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from artifact.card import Card, load_card
from artifact.layout import CARD_FILE
from artifact.values import Precision
from benchmarks.machine import describe_machine
from commands.display import shown_progress
from export.derive import Source, derive, latest_float
from models.experiment import named_experiment

_PRECISIONS: tuple[Precision, ...] = ("fp16", "int8", "integer")


def main() -> None:
    """Convert, then print a Markdown table with a column a version."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["rotmnist-c4"])
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    options = parser.parse_args()

    print(f"{describe_machine()}\n")
    for name in options.models:
        folder = latest_float(options.repository, name)
        source = Source.open(folder, named_experiment(name, options.data).data)
        with TemporaryDirectory() as made, shown_progress() as progress:
            print(name, file=sys.stderr)
            paths = list(derive(source, _PRECISIONS, Path(made), progress))
            cards = [load_card(path / CARD_FILE) for path in paths]
        print("\n".join(table(name, [source.card, *cards])) + "\n")


def table(name: str, cards: list[Card]) -> Iterator[str]:
    """Yield the lines of a Markdown table from the cards of one model, float32 first."""
    rows = [_column(card) for card in cards]
    yield f"| `{name}` | " + " | ".join(card.precision for card in cards) + " |"
    yield "| --- " * (1 + len(cards)) + "|"
    for label in rows[-1]:
        yield f"| {label} | " + " | ".join(row.get(label, "") for row in rows) + " |"


def _column(card: Card) -> dict[str, str]:
    test = card.metrics["test"]
    column = {f"wrong labels, of {test.count:,} test images": f"{test.error_percent:.3f} %"}
    proof, exactness, made = card.proof, card.exactness, card.conversion
    if made is None or proof is None or exactness is None:
        return column
    same = f"{made.label_agreement:.3%}"
    speed = made.speed
    return column | {
        "the same label as fp32": same,
        "largest change of a logit from fp32": f"{made.max_abs_logits:.2g}",
        "proof, from the file": proof.outcome + (", every bit" if proof.exact_bits else ""),
        f"rotated, batches of {', '.join(map(str, exactness.batch_sizes))}, "
        f"{len(exactness.sessions)} counts of threads, {exactness.images} images: a logit changes "
        "by at most": f"{exactness.max_logit_deviation:.2g}",
        "the same bits as the other integer form": _counterpart(card),
        f"images/s of fp32, batches of {speed.batch}": f"{speed.ratio:.2f}",
    }


def _counterpart(card: Card) -> str:
    counterpart = card.conversion.counterpart if card.conversion else None
    return "" if counterpart is None else f"all of {counterpart.images:,} images"


if __name__ == "__main__":
    main()
