"""What many graphs came to, as a table."""

from collections import Counter
from dataclasses import dataclass, field

from tests.audit.fuzz.judge import Judgement

CLAIMS = ("integer", "quantised", "repeated", "float", "proved within", "not proved", "refused")
_SAID = {
    "integer": "proved, the same in every bit",
    "quantised": "proved, in every bit where integers are summed",
    "repeated": "proved, in every bit where a runtime repeats itself",
    "float": "proved in real arithmetic",
    "proved within": "proved within a bound",
    "not proved": "not proved",
    "refused": "refused: no valid file, or beyond a limit",
}


@dataclass
class Tally:
    """Counts of verdicts."""

    findings: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    deviating: int = 0
    optimiser: int = 0
    slowest: float = 0.0

    def add(self, judgement: Judgement, operators: set[str]) -> None:
        """Count one graph, made of these operators."""
        self.findings[judgement.finding] += 1
        self.slowest = max(self.slowest, judgement.seconds)
        if judgement.finding not in ("not run", "died"):
            self.claims[judgement.claim] += 1
            self.operators.update(operators)
            self.deviating += judgement.deviates
            self.optimiser += judgement.optimiser

    @property
    def run(self) -> int:
        """Graphs that onnxruntime ran."""
        return sum(self.claims.values())

    @property
    def proved(self) -> int:
        """Of these, those with something proved."""
        return self.run - self.claims["not proved"] - self.claims["refused"]

    def table(self) -> str:
        """Return the table of the docs, in Markdown."""
        rows = [
            ("random graphs", f"{sum(self.findings.values()):,}"),
            ("those that onnxruntime runs", f"{self.run:,}"),
            *((_SAID[claim], f"{self.claims[claim]:,}") for claim in CLAIMS),
            ("graphs whose answers change when an image is rotated", f"{self.deviating:,}"),
            ("**unsound verdicts**", f"**{self.findings['unsound']:,}**"),
            ("**bounds exceeded**", f"**{self.findings['beyond its bound']:,}**"),
            ("crashes, proofs over 60 s", f"{self.findings['crash']}, {self.findings['slow']}"),
            ("graphs on which the process of onnxruntime dies", f"{self.findings['died']}"),
            ("bits of the file that onnxruntime's optimiser changes", f"{self.optimiser:,}"),
            ("operators, graphs with the rarest", f"{len(self.operators)}, {self._rarest()}"),
            ("longest proof", f"{self.slowest:.2f} s"),
        ]
        head = ["| what | number |", "| --- | --- |"]
        return "\n".join([*head, *(f"| {a} | {b} |" for a, b in rows)])

    def _rarest(self) -> str:
        if not self.operators:
            return "none"
        name, count = min(self.operators.items(), key=lambda pair: pair[1])
        return f"{count:,} graphs (`{name}`)"
