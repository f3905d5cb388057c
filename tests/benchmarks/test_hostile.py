"""One hostile client at a time against a real server: its memory, the others, and its end."""

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.hostile.__main__ import IMAGE, MODEL, ROOT, ROWS, launch, line
from benchmarks.hostile.content import CONTENT
from benchmarks.hostile.measure import SHUTDOWN_SECONDS, Figures, measure
from benchmarks.hostile.row import Answer, Row
from benchmarks.hostile.transport import TRANSPORT
from benchmarks.serving.server import free_port

GOOD_SECONDS = 3.0
"""Of the slowest answer that a good client gets, on a machine that is busy with tests besides."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "model_repository" / MODEL, folder / MODEL)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("row", (*TRANSPORT, *CONTENT), ids=lambda row: row.name)
def test_it_stops_nobody(row: Row, repository: Path) -> None:
    port = free_port()
    figures = measure(row, launch(repository, port), port, IMAGE.read_bytes(), term_after=1)
    assert figures.answers
    assert {answer.status for answer in figures.answers} <= row.statuses
    assert max(answer.seconds for answer in figures.answers) < row.answer_seconds
    assert figures.growth_bytes < row.growth_bytes
    assert max(figures.slowest) < GOOD_SECONDS
    assert figures.failures == 0
    assert figures.ending_seconds is not None
    assert figures.ending_seconds < SHUTDOWN_SECONDS + 3


def test_what_goes_wrong_is_shown() -> None:
    answers = [Answer(None, 1.0), Answer(200, 61.0)]
    figures = Figures(answers, 7_000_000_000, (18.0, 0.5), 3, None)
    cells = [cell.strip() for cell in line(TRANSPORT[0], figures).strip("|").split("|")]
    assert cells[1:] == [
        "200, none",
        "61.0 s",
        "+ 7,000 MB",
        "18,000 ms",
        "500 ms",
        "3",
        "not in time",
    ]


def test_each_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.slow
def test_a_server_that_grows_and_stalls_is_seen(tmp_path: Path) -> None:
    """The measure itself: a server that keeps what it is sent, and answers nobody meanwhile."""
    port = free_port()
    program = tmp_path / "server.py"
    program.write_text(_GREEDY.format(port=port))
    started = launch(tmp_path, port, [sys.executable, str(program)])
    row = Row("greedy", _nothing, _post, frozenset({200}))
    figures = measure(row, started, port, b"", term_after=0)
    assert figures.growth_bytes > 90 * 10**6
    assert figures.slowest[0] > 0.5
    assert figures.ending_seconds is None


def _nothing() -> None:
    """Build nothing."""


def _post(port: int, built: None) -> list[Answer]:
    from benchmarks.hostile.row import send

    return send(port, [b"POST /greedy HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"])


_GREEDY = """
import http.server, signal, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
kept = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        if self.path == "/greedy":
            kept[:] = [b"x" * 10**8]
            time.sleep(0.6)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *arguments):
        pass


http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
