"""uvicorn's and httptools' own, of which parts are overridden: read anew when they change."""

import hashlib
import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import httptools
import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http import flow_control, httptools_impl

ROOT = Path(__file__).parents[2]

READ = {
    httptools_impl.HttpToolsProtocol: (
        "18fdf324b11bf160e38739eed01a48516b460be9e88f1e20e4546e7363fd9232"
    ),
    httptools_impl.RequestResponseCycle: (
        "e67d470d435dcc1ce6de9773841524a4439a06afd3a7243e458dc7f7c952b310"
    ),
    flow_control.FlowControl: ("126debcdaa894c83ed9491b41cb3b99c97469f00520f2483d2a5d1f53de91fa4"),
    uvicorn.Server: ("06e799f7c58f8be6e5de889f21bd2270c12d51852058fff898fa669510d81dc1"),
}


@pytest.mark.parametrize("part", READ)
def test_what_is_overridden_is_what_was_read(part: type) -> None:
    digest = hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
    assert digest == READ[part], (
        f"uvicorn {version('uvicorn')} has another {part.__name__} than "
        "service/server.py and those of service/http/ were written against: read it, "
        "adapt them, and note its digest."
    )


@pytest.mark.parametrize("name", ["uvicorn", "httptools"])
def test_no_later_version_is_installed_unread(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = [
        requirement
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == name
    ]
    assert version(name) in asked.specifier
    major, minor = (int(part) for part in version(name).split(".")[:2])
    assert f"{major}.{minor + 1}.0" not in asked.specifier


class Told:
    """Notes what a parser calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_message_begin(self) -> None:
        self.calls.append("begin")

    def on_headers_complete(self) -> None:
        self.calls.append("headers")

    def on_body(self, body: bytes) -> None:
        self.calls.append(body.decode())

    def on_message_complete(self) -> None:
        self.calls.append("complete")


def test_the_parser_leaves_what_follows_an_upgrade_and_says_where_it_begins() -> None:
    told = Told()
    head = b"POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as upgrade:
        httptools.HttpRequestParser(told).feed_data(head + b"body")
    assert upgrade.value.args == (len(head),)
    assert told.calls == ["begin", "headers", "complete"]


def test_what_a_callback_raises_stops_the_parser_and_is_its_context() -> None:
    class Refusing(Told):
        def on_headers_complete(self) -> None:
            raise LookupError("refused")

    with pytest.raises(httptools.HttpParserError) as stopped:
        httptools.HttpRequestParser(Refusing()).feed_data(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(stopped.value.__context__, LookupError)
