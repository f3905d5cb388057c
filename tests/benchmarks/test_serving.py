"""The command as a whole, the processes it starts, and that everybody's session is the same."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifact.session import open_session
from benchmarks.serving import environments, resnet, rounds, wrk
from benchmarks.serving.__main__ import main
from benchmarks.serving.endurance import Memory
from benchmarks.serving.environments import InstallError
from benchmarks.serving.launchers import RIVALS
from benchmarks.serving.model import open_model_under_test
from benchmarks.serving.photographs import Photographs
from benchmarks.serving.report import Results, markdown, to_json
from benchmarks.serving.rounds import Case
from benchmarks.serving.server import (
    Launch,
    ServerError,
    free_port,
    running,
)
from benchmarks.serving.systems import OURS, SYSTEMS
from imaging import FitPolicy, decode, fit
from service.engine.providers import CPU, start

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "model_repository/rotmnist-c4/1/model.onnx"


def results(measured):
    return Results(
        machine="a machine",
        model="a model",
        versions={"orbitserve": "1"},
        rounds=measured,
        refused={"ray": "it could not be installed: no such package"},
        memory=Memory("OIP binary", 20_000, 200_000, 100, 100),
        ready=[1.0],
    )


def test_the_report_has_a_row_a_system_every_bar_and_the_reason_of_what_is_missing(even):
    text = markdown(results([even]))
    assert "| Triton, Python backend | OIP binary | 2,333 | - |" in text
    assert "| orbitserve | OIP binary | 2,800 | 0.50 |" in text
    assert "| orbitserve | PNG | 1,960 | - |" in text
    assert "| orbitserve | OIP binary | 4,500 | 0.90 |" in text
    assert "not measured: ray: it could not be installed: no such package" in text
    assert text.count("\nbar: ") == 9


def test_the_report_says_what_photographs_cost(even):
    of_photographs = {
        Case(rounds.BARE, rounds.MEMORY, 1, 1): rounds.Figure(40.0, 0.025),
        Case(OURS, "JPEG", 1, 1): rounds.Figure(30.0, 0.033),
        Case(OURS, "JPEG", 1, 8): rounds.Figure(36.0, 0.2),
    }
    measured = Photographs([of_photographs], decoding=0.0031, fitting=0.0024)
    asked = replace(results([even]), photographs=measured)
    text = markdown(asked)
    assert "| orbitserve | JPEG | 36 | 0.90 | 33.00 |" in text
    assert "takes 3.1 ms of one core to be decoded and 2.4 ms to be fitted" in text
    kept = json.loads(to_json(asked))["photographs"]
    assert [figure["images_per_second"] for figure in kept["rounds"][0]] == [40.0, 30.0, 36.0]


def test_the_report_shows_the_spread_of_several_rounds(even):
    case = Case(OURS, "PNG", 1, 32)
    measured = [even | {case: type(even[case])(rate, 0.01)} for rate in (1000.0, 3000.0, 1500.0)]
    assert "| orbitserve | PNG | 1,500 [1,000, 3,000] | - |" in markdown(results(measured))


def test_every_figure_of_every_round_is_kept(even):
    kept = json.loads(to_json(results([even, even])))
    assert [len(figures) for figures in kept["rounds"]] == [len(even)] * 2
    assert {"system": OURS, "format": "PNG", "images": 1, "connections": 32} | {
        "images_per_second": 1960.0,
        "p50": 0.016,
    } in kept["rounds"][0]
    assert [bar["met"] for bar in kept["bars"]] == [True] * 9


def test_the_session_of_the_rivals_is_that_of_the_service(monkeypatch):
    monkeypatch.setenv("RIVAL_MODEL", str(MODEL))
    monkeypatch.setenv("RIVAL_THREADS", "2")
    spec = importlib.util.spec_from_file_location("classifier", RIVALS / "classifier.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.Classifier().session
    ours = start(MODEL.read_bytes(), CPU, 2)
    assert theirs.get_providers() == ours.get_providers()
    theirs, ours = theirs.get_session_options(), ours.get_session_options()
    spinning = "session.intra_op.allow_spinning"
    assert theirs.get_session_config_entry(spinning) == ours.get_session_config_entry(spinning)
    for option in (
        "intra_op_num_threads",
        "inter_op_num_threads",
        "execution_mode",
        "graph_optimization_level",
        "enable_mem_pattern",
        "enable_cpu_mem_arena",
    ):
        assert getattr(theirs, option) == getattr(ours, option), option


SERVE = """
import http.server, subprocess, sys
shell = "sleep 60 & echo $! > " + sys.argv[2]
subprocess.run(["sh", "-c", shell], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_ended_with_the_daemons_it_left_behind(tmp_path):
    """The `sleep` is nobody's child: its shell has ended."""
    port, note = free_port(), tmp_path / "pid"
    launch = Launch([sys.executable, "-c", SERVE, str(port), str(note)], os.environ, "/", tmp_path)
    with running(launch, port) as server:
        daemon = int(note.read_text())
        assert Path(f"/proc/{daemon}").exists()
        assert server.resident_bytes() > 10 * 2**20
    assert gone(daemon)
    assert gone(server.process)


def gone(process):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    return False


def test_the_network_of_resnet_50_s_size_classifies_what_its_photographs_are_decoded_to():
    session = open_session(resnet.network(narrow=16), threads=1)
    files = resnet.photographs(2)
    assert all(40_000 < len(file) < 100_000 for file in files)
    policy = FitPolicy(resnet.SIDE, "resize-crop", resize=256)
    images = np.stack([fit(decode(file, 3), policy) for file in files])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": images})
    assert np.isfinite(logits).all()
    assert probabilities.shape == (2, resnet.CLASSES)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_a_server_that_does_not_start_says_why(tmp_path):
    code = "import sys; sys.exit('there is no model')"
    launch = Launch([sys.executable, "-c", code], os.environ, "/", tmp_path)
    with pytest.raises(ServerError, match=r"it ended \(1\); its last line: there is no model"):
        running(launch, free_port()).__enter__()


def test_an_unknown_system_is_refused_with_those_that_are_known(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["--systems", "orbitserve,flask"])
    assert refused.value.code == 2
    assert "flask; accepted are triton, orbitserve, orbitserve-lines" in capsys.readouterr().err


def test_a_part_that_is_not_known_is_refused_with_those_that_are(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["--only", "photographs,videos"])
    assert refused.value.code == 2
    assert "videos; accepted are digits, photographs, memory" in capsys.readouterr().err


@pytest.mark.skipif(not wrk.available(), reason="wrk, the load generator, is not installed")
def test_a_model_that_is_not_there_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"^--model: The repository .* has no model 'digits/1'"):
        main(["--model", str(tmp_path / "digits" / "1" / "model.onnx")])


@pytest.mark.slow
def test_a_system_that_does_not_install_is_listed_and_not_tried(tmp_path, monkeypatch, capsys):
    def refuse(folder, requirements):
        raise InstallError("it could not be installed: no such package")

    monkeypatch.setattr(rounds, "prepare", refuse)
    run = rounds.Run(open_model_under_test(MODEL, 1), tmp_path, seconds=1)
    systems = [system for system in SYSTEMS if system.requirements]
    run.install(systems)
    names = [system.name for system in systems]
    assert run.refused == dict.fromkeys(names, "it could not be installed: no such package")
    assert {case.system for case in run.round(systems)} == {rounds.BARE}
    assert "triton: it could not be installed: no such package" in capsys.readouterr().err


def test_an_environment_is_kept_until_it_should_hold_something_else(tmp_path, monkeypatch):
    asked = []

    def run(command):
        asked.append(command)
        (tmp_path / "a").mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(environments, "_run", run)
    for requirements in (["a==1"], ["a==1"], ["a==2"]):
        environments.prepare(tmp_path / "a", requirements)
    installs = [command for command in asked if "install" in command]
    assert [command[-2] for command in installs] == ["a==1", "a==2"]
    assert all(command[-1].startswith("onnxruntime==") for command in installs)


@pytest.mark.slow
@pytest.mark.skipif(not wrk.available(), reason="wrk, the load generator, is not installed")
def test_the_command_measures_the_service_beside_the_naive_handler(tmp_path):
    kept = tmp_path / "figures" / "serving.json"
    options = ["--quick", "--model", MODEL, "--systems", "orbitserve,naive", "--json", kept]
    options += ["--only", "digits,memory,readiness"]  # not a network that takes minutes to import
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = {
        (figure["system"], figure["format"], figure["connections"]): figure["images_per_second"]
        for figure in json.loads(kept.read_text())["rounds"][0]
    }
    for case in [(OURS, "PNG"), ("naive", "raw pixels")]:
        for connections in (1, 32):
            assert figures[*case, connections] > 0
    assert "bar: OIP binary at 32 connections, of Triton's: not measured" in done.stdout
    assert "round 1 of 1" in done.stderr
    assert {system.name for system in SYSTEMS} >= {case[0] for case in figures} - {"bare session"}
