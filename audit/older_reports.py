"""What reports of schemas before 6 call their fields: they are read, and keep their digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FIRST: Final = 6
"""The first schema with the names of now."""


@dataclass(frozen=True)
class _Field:
    """A field whose name, or that of a field inside of it, is another than it was."""

    older: str
    newer: str
    inner: "tuple[_Field, ...]" = ()

    def named(self, *, older: bool) -> str:
        return self.older if older else self.newer


def _same(name: str, *inner: _Field) -> _Field:
    return _Field(name, name, inner)


_COUNTEREXAMPLE: Final = (
    _Field("turned_logits", "rotated_logits"),
    _Field("turned_png", "rotated_png"),
)
_SELF_TEST: Final = _same("self_test", _Field("twin", "known_invariant"))
_ROTATED: Final = _Field("turned_label", "rotated_label")
_REPORT: Final = (
    _same("figures", _Field("drift", "deviations")),
    _same("worst", _ROTATED, _Field("witness", "counterexample", _COUNTEREXAMPLE)),
    _SELF_TEST,
    _same(
        "angles",
        _same("sampling", _Field("longest_missed_arc", "longest_missed_interval")),
        _same(
            "figures",
            _Field("turned_only", "rotated_only"),
            _Field("drift", "deviations"),
            _Field("control_drift", "control_deviations"),
            _same("worst", _ROTATED),
        ),
        _Field("witnesses", "counterexamples", _COUNTEREXAMPLE),
        _SELF_TEST,
    ),
    _Field(
        "circle",
        "exhaustive_angles",
        (
            _Field("quarter_arcs", "quarter_intervals"),
            _same("images", _Field("arcs", "intervals")),
        ),
    ),
)


def upgraded(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report as it was read, with the names of now if it is of an older schema."""
    return _renamed(report, _REPORT, older=False) if _is_older(report) else dict(report)


def downgraded(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report with the names of its own schema; the inverse of `upgraded`."""
    return _renamed(report, _REPORT, older=True) if _is_older(report) else dict(report)


def _is_older(report: Mapping[str, Any]) -> bool:
    version = report.get("schema_version")
    return isinstance(version, int) and version < FIRST


def _renamed(value: Any, fields: tuple[_Field, ...], *, older: bool) -> Any:
    if isinstance(value, list | tuple):
        return [_renamed(each, fields, older=older) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {field.named(older=not older): field for field in fields}
    return {
        found[name].named(older=older) if name in found else name: (
            _renamed(inner, found[name].inner, older=older) if name in found else inner
        )
        for name, inner in value.items()
    }
