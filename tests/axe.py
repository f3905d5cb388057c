"""axe-core, which knows what on a page shuts somebody out."""

from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parent / "service" / "console" / "node_modules"


def violations(page: Any, *rules: str) -> list[tuple[str, str, str]]:
    """Return what breaks a rule, by default any: the rule, how bad it is, and the element."""
    axe = TOOLS / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("axe-core is not installed; `npm install` in tests/service/console brings it")
    page.evaluate(axe.read_text())
    options: dict[str, Any] = {"preload": False}  # it would read style sheets, which files may not
    if rules:
        options["runOnly"] = rules
    found = page.evaluate("options => axe.run(options)", options)
    return [
        (each["id"], each["impact"], node["html"])
        for each in found["violations"]
        for node in each["nodes"]
    ]
