"""The plan of an audit, a YAML file: what is said of it, and what it asks for."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from audit.about import About
from audit.options import AuditOptions
from imaging.files import FileRefusedError, read_file
from imaging.refusal import RefusedError

_MOST: Final = 2**20
_LONGEST: Final = 200


class _Loader(yaml.BaseLoader):  # type: ignore[misc] # which has no types
    """A loader without types: 2026-01-01 and 1.10 stay what somebody wrote."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping that has each name once: YAML asks for it, and PyYAML takes the last."""
        names = set[str]()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value in names:
                raise ValueError(f"it has {name.value!r} twice")
            names.add(str(name.value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


class AuditPlan(About):
    """The fields of `About`, and `options`, those of `AuditOptions`."""

    options: AuditOptions = AuditOptions()

    @property
    def about(self) -> About:
        """What is said of the audit, without what it asks for."""
        return About(**{name: getattr(self, name) for name in About.model_fields})

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the file gives."""
        return {name: getattr(self.options, name) for name in self.options.model_fields_set}


def read_plan(path: Path) -> AuditPlan:
    """Read a plan. Dates and numbers count as text where text is due.

    Raises
    ------
    RefusedError
        If the file cannot be read, is no YAML, or has other fields.
    """
    try:
        fields = yaml.load(read_file(path, _MOST), _Loader)  # noqa: S506 -- text, no objects
    except FileRefusedError as error:
        raise RefusedError(f"{path} {error}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:_LONGEST]
        raise RefusedError(f"{path} is no YAML file ({reason}).") from error
    if not isinstance(fields, dict):
        raise RefusedError(f"{path} has no fields; {_named(AuditPlan)} are accepted.")
    try:
        return AuditPlan.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            accepted = _named(AuditOptions if first["loc"][0] == "options" else AuditPlan)
            raise RefusedError(
                f"{path} has a field '{place}'; {accepted} are accepted, and 'notes' takes "
                "whatever else there is to say."
            ) from error
        complaint = first["msg"].rstrip(".")
        raise RefusedError(f"{path} is broken at '{place}': {complaint}.") from error


def _named(model: type[About] | type[AuditOptions]) -> str:
    return ", ".join(f"'{name}'" for name in model.model_fields)
