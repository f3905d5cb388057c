"""Every message that a report can hold, read from the code that writes it.

Run ``python -m tests.audit.render.messages de`` to see which a catalogue lacks, and which it has
for nothing.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from jinja2 import Environment, nodes

from artifact.values import Verdict
from audit.comparison.verdict import Unit
from audit.render.comparison.page import MEANINGS as COMPARED
from audit.render.html.glossary import GLOSSARY
from audit.render.html.page import MEANINGS
from audit.render.language.catalogue import Catalogue, load_catalogue
from audit.report import Mutation
from imaging import Method

ROOT: Final = Path(__file__).parents[3]
RENDERERS: Final = ROOT / "audit" / "render"
WRITERS: Final = (
    *("audit/verdict.py", "audit/phrases.py", "audit/angles/verdict.py", "audit/exhaustive.py"),
    *("audit/pipeline.py", "audit/proved.py", "audit/render/checks.py"),
    *(
        "service/audits/targets/file.py",
        "service/audits/targets/version.py",
        "service/audits/targets/remote.py",
    ),
    *("audit/comparison/verdict.py", "audit/comparison/claims.py"),
)
_GAP: Final = re.compile(r"\{[^{}]*\}")
_ASKED_WORDS: Final = re.compile(r"[A-Za-z]+ [a-z]+|% [a-z]+|^label \{\}$")


def format_messages() -> set[str]:
    """What the formats say in words of their own."""
    told = {*get_args(Verdict), *get_args(Method), *MEANINGS.values(), *COMPARED.values()}
    told |= {text for entry in GLOSSARY for text in entry}
    for file in RENDERERS.rglob("*.py"):
        told |= {*_called(ast.parse(file.read_text("utf-8")))}
    for file in RENDERERS.rglob("*.html"):
        for call in Environment().parse(file.read_text("utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "_":
                told |= {arg.value for arg in call.args[:1] if isinstance(arg, nodes.Const)}
    return told


def _called(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
        first = call.args[0]
        if name in ("words", "_words", "self") and isinstance(first, ast.Constant):
            yield first.value


def skeletons() -> set[str]:
    """The sentences and parts of sentences that a report is made of, with `{}` for each gap."""
    return {*get_args(Method), *get_args(Mutation), *get_args(Unit)} | {
        text
        for name in WRITERS
        for text in _strings(ast.parse((ROOT / name).read_text("utf-8")))
        if _ASKED_WORDS.search(text)
    }


def skeleton(message: str) -> str:
    """A message of a catalogue with `{}` for each gap."""
    return _GAP.sub("{}", message)


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Raise | ast.Compare | ast.Import | ast.ImportFrom | ast.arg):
        return
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        yield "".join(map(str, parts))
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
        return
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NOT_TOLD:
        return
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_ACCEPTED":
        return  # what an error says
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    for child in ast.iter_child_nodes(node):
        yield from _strings(child)


_NOT_TOLD: Final = {"RefusedError", "_stage", "getattr", "Method", "Literal"}


def missing(catalogue: Catalogue) -> tuple[set[str], set[str]]:
    """The messages, and the skeletons of sentences, that a catalogue lacks."""
    own = {message for context, message in catalogue if not context}
    read = {skeleton(message) for context, message in catalogue if context}
    return format_messages() - own, skeletons() - read


def needless(catalogue: Catalogue) -> set[str]:
    """The messages of a catalogue that nothing says."""
    own = {message for context, message in catalogue if not context} - format_messages()
    known = skeletons()
    return own | {m for context, m in catalogue if context and skeleton(m) not in known}


def main() -> None:
    """Print what a catalogue lacks, then what it has for nothing."""
    catalogue = load_catalogue(sys.argv[1])
    lacked, unread = missing(catalogue)
    for message in sorted(lacked):
        print(f'\nmsgid {_quoted(message)}\nmsgstr ""')
    for message in sorted(unread):
        print(f'\nmsgctxt "sentence"\nmsgid {_quoted(message)}\nmsgstr ""')
    for message in sorted(needless(catalogue)):
        print(f"\n# nothing says: {_quoted(message)}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main()
