"""The same work on Ray: same bytes, and nothing lost when workers or the command are killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from bulk.engine import Lost
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    # Ray leaves sockets and files to the end of the process.
    pytest.mark.filterwarnings("default"),
]

MODEL = "rotmnist-c4"


@pytest.fixture(scope="module")
def engine():
    from bulk.on_ray import Needs, RayOptions, on_ray

    with on_ray(RayOptions(workers=2, object_store=100), Needs()) as started:
        yield started


@pytest.fixture
def on_it(engine, monkeypatch):
    """Let commands use the Ray that is running."""

    @contextmanager
    def started(options, needs):
        yield engine

    monkeypatch.setattr("commands.bulk.on_ray", started)


class Squares:
    """A worker that can be told to die, to fail, or to say where it is."""

    def __init__(self, folder, deadly=None, often=1):
        self.folder, self.deadly, self.often = Path(folder), deadly, often

    def __call__(self, piece):
        if self.deadly in piece and self._deaths() < self.often:
            with (self.folder / "deaths").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        if "fault" in piece:
            raise ValueError(f"a fault in {piece}")
        return [each * each for each in piece]

    def _deaths(self):
        path = self.folder / "deaths"
        return len(path.read_text()) if path.exists() else 0


PIECES = [tuple(range(i, i + 5)) for i in range(0, 60, 5)]


def cut(piece):
    return [(each,) for each in piece]


class TestEngine:
    def test_results_come_in_order(self, engine, tmp_path):
        found = [*engine.run(partial(Squares, tmp_path), PIECES, cut)]
        assert found == [(piece, [each * each for each in piece]) for piece in PIECES]

    def test_nothing_is_lost_when_a_worker_is_killed(self, engine, tmp_path):
        """The mutant that loses its piece is refused here: the worker kills itself for real."""
        found = [*engine.run(partial(Squares, tmp_path, 23), PIECES, cut)]
        assert (tmp_path / "deaths").read_text() == "x"
        assert found == [(piece, [each * each for each in piece]) for piece in PIECES]

    def test_one_that_kills_every_worker_is_found_and_the_rest_is_done(self, engine, tmp_path):
        found = [*engine.run(partial(Squares, tmp_path, 23, often=99), PIECES, cut)]
        done = {each: of for piece, result in found if not isinstance(result, Lost)
                for each, of in zip(piece, result, strict=True)}  # fmt: skip
        assert done == {each: each * each for each in range(60) if each != 23}
        ((piece, lost),) = [each for each in found if isinstance(each[1], Lost)]
        assert piece == (23,)
        assert lost.sentence == "Every worker that was given it was killed, 3 times"

    def test_what_a_worker_raises_is_raised_here(self, engine, tmp_path):
        with pytest.raises(ValueError, match="a fault in "):
            [*engine.run(partial(Squares, tmp_path), [*PIECES, ("fault",)], cut)]


class TestCommands:
    def test_lines_are_those_of_this_process(self, on_it, run, folder, tmp_path):
        (folder / "0" / "cut.png").write_bytes(b"")
        here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
        asked = ["classify", folder, "--model", MODEL, "--output"]
        code, out, err = run(*asked, here)
        assert code == 3
        assert run(*asked, there, "--engine", "ray") == (3, out, err.replace("here", "there"))
        assert there.read_bytes() == here.read_bytes()

    def test_lines_of_a_table_in_an_object_store(self, on_it, run, write_table, contents, tmp_path):
        table = write_table({"image": contents}, 64)
        out = tmp_path / "out.parquet"
        code, _, err = run("classify", f"local://{table}", "--model", MODEL, "--engine", "ray",
                           "--output", out)  # fmt: skip
        assert (code, err) == (0, f"{out}: 0 lines kept, 150 added\n")

    def test_the_report_is_that_of_this_process(self, on_it, run, folder, tmp_path):
        here, there = tmp_path / "here.json", tmp_path / "there.json"
        asked = ["audit", MODEL, "--images", folder, "--angles", 8, "--progress", "none"]
        run(*asked, "--output", here)
        run(*asked, "--output", there, "--engine", "ray", "--workers", 2)
        assert there.read_bytes() == here.read_bytes()
        assert json.loads(here.read_bytes())["angles"] is not None

    def test_a_service_is_asked_from_here(self, on_it, run, folder):
        code, _, err = run("audit", "http://127.0.0.1:9/models/a", "--images", folder,
                           "--engine", "ray")  # fmt: skip
        assert (code, err.count("\n")) == (3, 1)


def command(*words):
    return [sys.executable, "-m", "orbitserve", *map(str, words)]


def test_a_killed_command_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    """Killed for real, with all of Ray's processes: what it had finished is not done again."""
    out = tmp_path / "out.jsonl"
    partial_file = Path(f"{out}.partial")
    folders = [folder] * 40  # 6000 images
    asked = command("classify", *folders, "--model", MODEL, "--engine", "ray", "--output", out)
    first = subprocess.Popen(asked, stderr=subprocess.PIPE)
    monkeypatch.setattr("tests.waiting.LIMIT", 240.0)  # Ray takes long to start on a busy machine
    wait_until(lambda: partial_file.exists() and partial_file.stat().st_size > 0)
    first.kill()
    first.communicate()
    kept = partial_file.read_bytes()
    again = subprocess.run([*asked, "--resume"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    whole = kept[: kept.rfind(b"\n") + 1].count(b"\n")
    assert again.stderr == f"{out}: {whole} lines kept, {6000 - whole} added\n"
    assert out.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert out.read_bytes().count(b"\n") == 6000
