"""A comparison for a terminal."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from audit.comparison import Comparison, Paired, PairedDeviation
from audit.names import harmless
from audit.render.comparison.naming import ComparedNames
from audit.render.comparison.rows import counted, measured, measured_of_class
from audit.render.language import Language, Words, words_of

_LINES = 12
_WIDTH = 100


def render_comparison_text(comparison: Comparison, language: Language = "en") -> str:
    """Return the comparison in a few lines: verdict, reasons, figures, what got worse, claims."""
    words = words_of(language)
    names = ComparedNames(comparison, words)
    lines = [*_head(comparison, words, names), "", *_table(comparison, words, names)]
    lines += [*_worse(comparison, words, names), "", words("What is claimed:")]
    for claim in comparison.claim:
        said = words.sentence(claim)
        lines += wrap(said, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    return harmless("\n".join([*lines, *_whole_names(words, names)]))


def _head(comparison: Comparison, words: Words, names: ComparedNames) -> Iterator[str]:
    yield words(
        "{verdict}  B, {candidate}, against A, {baseline}, on {counted}",
        verdict=comparison.verdict,
        candidate=names.model(comparison.candidate),
        baseline=names.model(comparison.baseline),
        counted=counted(comparison, words),
    )
    if words.language != "en":
        yield f"  {words(comparison.verdict)}"
    yield from (f"  {words.sentence(reason)}" for reason in comparison.reasons)


def _table(comparison: Comparison, words: Words, names: ComparedNames) -> Iterator[str]:
    rows = [(name, _figures(paired, words)) for name, paired in measured(comparison, words)]
    rows.append((words("mean move of a logit"), _moved(comparison.deviation, words)))
    told = [
        (f"{names.label(each.name)}: {name}", _figures(paired, words))
        for each in comparison.classes
        for name, paired in measured_of_class(each, words)
        if paired.lost or paired.state != "PASS"
    ]
    wide = max(len(name) for name, _ in (*rows, *told))
    yield f"{'':>{wide}}  {_columns(words)}"
    yield from (f"{name:>{wide}}  {figures}" for name, figures in rows)
    if told:
        yield from ("", words("Of classes, where something was lost or is not shown:"))
        yield from (f"{name:>{wide}}  {figures}" for name, figures in told)


def _columns(words: Words) -> str:
    between = words("difference, at least to most")
    return (
        f"{'A':>7}  {'B':>7}  {words('A only'):>6}  {words('B only'):>6}  {between:>20}  "
        f"{'McNemar':>8}  {words('B worse'):>8}  {words('verdict')}"
    )


def _figures(paired: Paired, words: Words) -> str:
    return (
        f"{paired.baseline:>7}  {paired.candidate:>7}  {paired.lost:>6}  {paired.gained:>6}  "
        f"{_range(f'{paired.interval.low:+.2%}', f'{paired.interval.high:+.2%}', words)}  "
        f"{paired.mcnemar_p:>8.2g}  {paired.worse_p:>8.2g}  {paired.state}"
    )


def _moved(deviation: PairedDeviation, words: Words) -> str:
    return (
        f"{deviation.baseline:>7.2g}  {deviation.candidate:>7.2g}  {'':>6}  {'':>6}  "
        f"{_range(f'{deviation.interval.low:+.2g}', f'{deviation.interval.high:+.2g}', words)}  "
        f"{'':>8}  {deviation.larger_p:>8.2g}  {deviation.state}"
    )


def _range(low: str, high: str, words: Words) -> str:
    return words("{low} to {high}", low=f"{low:>12}", high=f"{high:>12}")


def _worse(comparison: Comparison, words: Words, names: ComparedNames) -> Iterator[str]:
    listed = comparison.worse
    if not listed:
        return
    yield from ("", words("What got worse:"))
    yield from (f"  {names.image(each)}: {names.became(each)}" for each in listed[:_LINES])
    if len(listed) > _LINES:
        yield words("  and {count} more, which --format json has", count=len(listed) - _LINES)


def _whole_names(words: Words, names: ComparedNames) -> Sequence[str]:
    shown = (*names.classes.values(), *[*names.images.values()][:_LINES])
    cut = [each for each in shown if each.short != each.whole and each.whole]
    if not cut:
        return ()
    return ("", words("Names that are shortened above:"), *(f"  {each.whole}" for each in cut))
