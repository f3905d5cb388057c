"""Whatever ends a command is one sentence and status 3: no traceback, and no verdict's status."""

import errno
import importlib.metadata
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imaging import RefusedError
from tests.permissions import held_to_permissions
from tests.program import PROGRAM, start

MODEL = "rotmnist-c4-small-int8"
FEW = ("--images", "examples")


def command(*arguments, **options):
    return subprocess.run([*PROGRAM, *arguments], text=True, check=False, **options)


def one_sentence(err):
    assert err.startswith("orbitserve: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


DEFECTS = [
    ValueError("operands could not be broadcast together with shapes (3,) (4,)"),
    IndexError("list index out of range"),
    KeyError("figures"),
    ZeroDivisionError("division by zero"),
    AssertionError(),
    RecursionError("maximum recursion depth exceeded"),
    np.linalg.LinAlgError("Singular matrix\nof two lines"),
]


PROVE = ["prove", f"model_repository/{MODEL}/1/model.onnx"]


@pytest.mark.parametrize(
    ("arguments", "broken", "defect"),
    [
        *((PROVE, "audit.proving.prove_file", defect) for defect in DEFECTS),
        (["audit", MODEL], "commands.audit.run.run_pipeline", DEFECTS[0]),
        (["audit", MODEL, *FEW], "audit.render.rendering.Rendering.write", DEFECTS[0]),
        (["classify", "examples/seven.png"], "commands.classify.run.find_images", DEFECTS[0]),
        (["serve"], "service.server.serve", DEFECTS[0]),
    ],
)
def test_a_defect_is_told_as_one(run, monkeypatch, arguments, broken, defect):
    def fails(*_, **__):
        raise defect

    monkeypatch.setattr(broken, fails)
    code, out, err = run(*arguments)
    assert (code, out) == (3, "")
    assert "This is a defect of orbitserve" in one_sentence(err)
    assert type(defect).__name__ in err
    assert "test_failures.py, line" in err


def test_a_refusal_is_not_told_as_a_defect(run, monkeypatch):
    def refuses(*_, **__):
        raise RefusedError("The moon is full; another night is accepted.")

    monkeypatch.setattr("commands.audit.run.run_pipeline", refuses)
    assert run("audit", MODEL)[2] == "orbitserve: The moon is full; another night is accepted.\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "refuses what this needs: No space"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/x"),
            "/srv/x cannot be used: Per",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file", "a", None, "b"), "a or b cannot be used"),
        (MemoryError(), "not enough memory"),
        (UnicodeEncodeError("ascii", "\u00e4", 0, 1, "no"), "its encoding, ascii; UTF-8"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), "This is a defect of orbitserve"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch is not installed"),
        (EOFError("the end"), "This is a defect of orbitserve"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(run, monkeypatch, error, sentence):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("audit.proving.prove_file", fails)
    code, out, err = run(*PROVE)
    assert (code, out) == (3, "")
    assert sentence in one_sentence(err)


def test_no_file_takes_the_place_of_a_stream_that_was_closed():
    """What libraries write to standard error would go into it."""
    code = (
        "import os; os.close(1); os.close(2); import orbitserve; orbitserve._take_streams(); "
        "os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode > 2


def test_a_command_whose_standard_errors_are_closed_does_its_work():
    said = shlex.join([*PROGRAM, *PROVE])
    assert subprocess.run(["/bin/sh", "-c", f"exec {said} 2>&-"], check=False).returncode == 0
    code = "import sys, orbitserve; orbitserve._take_streams(); sys.exit(sys.stderr.isatty())"
    said = shlex.join([sys.executable, "-c", code])
    assert subprocess.run(["/bin/sh", "-c", f"exec {said} 2>&-"], check=False).returncode == 0


def test_a_name_that_is_no_utf_8_is_printed_with_escapes():
    code = "import orbitserve; orbitserve._take_streams(); print('\\udcff')"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert ended.stdout == b"\\udcff\n"


def test_a_name_moves_no_terminal(run):
    code, _, err = run("classify", "a\x1b[2J\u202eb.png")
    assert (code, err) == (3, "orbitserve: There is no a\\u001b[2J\\u202eb.png.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", MODEL, "--ledger", ""], "The value of --ledger is empty"),
        (["audit", MODEL, "--ledger="], "The value of --ledger is empty"),
        (["classify", ""], "A word of this call is empty"),
        (["evaluate", MODEL, "--", ""], "A word of this call is empty"),
    ],
)
def test_an_empty_word_is_no_folder_and_no_ledger(run, words, said):
    """A variable of the shell that is not set: the folder one is in was read, nothing was kept."""
    code, out, err = run(*words)
    assert (code, out) == (3, "")
    assert said in one_sentence(err)


def test_ctrl_c_is_no_verdict_and_no_traceback(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("commands.audit.run.run_pipeline", interrupted)
    assert run("audit", MODEL) == (130, "", "")


@pytest.mark.slow
def test_a_command_that_is_interrupted_ends_at_once():
    process = start(["audit", "rotmnist-cnn", "--angles", "360", "--progress", "plain"])
    try:
        process.stderr.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.end()
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_behind(number, tmp_path):
    asked = ["audit", MODEL, "--angles", "3600", "--progress", "plain"]
    process = start([*asked, "--scratch", str(tmp_path)])
    try:
        process.stderr.readline()  # it is at work
        assert [*tmp_path.iterdir()]
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    finally:
        process.end()
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert not [*tmp_path.iterdir()]


DROPPED = {
    "in a callback": """
    class Dropping:
        def __del__(self):
            interrupt()
    Dropping()""",
    "by whoever catches it": """
    with contextlib.suppress(BaseException):
        interrupt()""",
    "in an import": """
    sys.path[:0] = sys.argv[1:]
    import interrupting""",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("dropped", DROPPED)
def test_an_interrupt_that_is_lost_comes_once_more(number, dropped, tmp_path):
    """The command went on for seconds, and left its files; or it told of a defect, or aborted."""
    interrupt = f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(0.01)\n"
    (tmp_path / "interrupting.py").write_text(interrupt)
    code = f"""
import contextlib, sys, time, orbitserve
def interrupt():
    {interrupt}
def run():{DROPPED[dropped]}
    try:
        print("dropped")
        time.sleep(60)
    finally:
        print("let go")
orbitserve._run, orbitserve._SECONDS_TO_END = run, 60
orbitserve.main()"""
    called = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(called, timeout=40, capture_output=True)
    assert (ended.returncode, ended.stdout) == (128 + number, b"dropped\nlet go\n")
    assert ended.stderr == b""


def test_an_interrupt_of_the_first_imports_ends_the_command_without_a_traceback():
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import orbitserve; orbitserve.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code, *PROVE], timeout=40, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


def test_a_command_that_an_interrupt_does_not_end_ends_all_the_same():
    """Libraries that compute for long do not see one."""
    code = (
        "import os, signal, time, orbitserve\n"
        "def run():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(1)\n"
        "    except KeyboardInterrupt:\n"
        "        time.sleep(60)\n"
        "orbitserve._run, orbitserve._SECONDS_TO_END = run, 0.5\n"
        "orbitserve.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=40, capture_output=True)
    assert ended.returncode == 143


def test_a_hangup_that_is_ignored_ends_nothing(run):
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("--version")[0] == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_product_that_is_not_installed_audits_and_serves_all_the_same(run, monkeypatch):
    version = importlib.metadata.version

    def missing(name):
        if name == "orbitserve":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    code, out, err = run("audit", MODEL, *FEW, "--json")
    assert (code, err) == (2, "")
    assert '"orbitserve": "unknown"' in out
    from service.app import create_app
    from service.settings import Settings

    assert create_app(Settings()).version == "unknown"


class TestOutput:
    """Output that cannot be written is no success, and no FAIL."""

    ARGUMENTS = ("prove", f"model_repository/{MODEL}/1/model.onnx", "--json")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "arguments",
        [ARGUMENTS, ("--version",), ("classify", "examples/seven.png", "--model", MODEL)],
    )
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_a_full_disk(self, arguments, unbuffered, monkeypatch):
        monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
        with Path("/dev/full").open("w") as full:
            done = command(*arguments, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 3
        assert "standard output cannot be used: No space" in one_sentence(done.stderr)

    @pytest.mark.slow
    def test_work_goes_on_where_what_is_told_of_it_fits_nowhere(self):
        """An audit of hours was lost where its log did not fit on a disk."""
        asked = ("audit", MODEL, *FEW, "--progress", "plain", "--fail-on", "never")
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as closed, Path("/dev/full").open("w") as full:
            for told in (full, closed):
                done = command(*asked, stdout=subprocess.PIPE, stderr=told)
                assert done.returncode == 0
                assert "INCONCLUSIVE" in done.stdout

    @pytest.mark.parametrize("lossy", [False, True])
    def test_every_precision_is_made_though_none_can_be_printed(self, run, monkeypatch, lossy):
        """The first line ended the command, and the other precisions were not made."""
        made = []

        def derive(*_):
            for precision in ("int8", "fp16"):
                made.append(precision)
                yield Path(precision)
            if lossy:
                raise RefusedError("Too much is lost; less is accepted.")

        def full(*_, err=False, **__):
            if not err:
                raise OSError(errno.ENOSPC, "No space left on device", "The standard output")

        for name, fake in {
            "export.derive.derive": derive,
            "export.derive.latest_float": lambda *_: Path(),
            "export.derive.Source.open": lambda *_: None,
            "commands.export._data": lambda *_: None,
            "typer.echo": full,
        }.items():
            monkeypatch.setattr(name, fake)
        assert run("export", "parts", "--precision", "int8,fp16")[0] == 3
        assert made == ["int8", "fp16"]

    @pytest.mark.slow
    @pytest.mark.parametrize("arguments", [ARGUMENTS, ("--help",), ("audit", "--help")])
    def test_a_reader_that_left(self, arguments):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as closed:
            done = command(*arguments, stdout=closed, stderr=subprocess.PIPE)
        assert done.returncode == 3
        assert "The output was closed" in one_sentence(done.stderr)

    @pytest.mark.slow
    def test_nobody_reads_the_sentence_either(self):
        with Path("/dev/full").open("w") as full:
            done = command(*self.ARGUMENTS, stdout=full, stderr=full)
        assert done.returncode == 3

    def test_a_report_file_on_a_full_disk(self, run, monkeypatch, tmp_path):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("imaging.writing.NamedTemporaryFile", full)
        code, _, err = run("audit", MODEL, *FEW, "--output", tmp_path / "report.json")
        assert code == 3
        assert "report.json cannot be written: No space left" in one_sentence(err)


class TestPermissions:
    def test_a_folder_that_may_not_be_written(self, run, tmp_path):
        tmp_path.chmod(0o500)
        with held_to_permissions():
            code, _, err = run("audit", MODEL, "--resume", tmp_path / "answers")
        tmp_path.chmod(0o700)
        assert code == 3
        assert "answers cannot be used: Permission denied" in one_sentence(err)

    def test_a_repository_that_may_not_be_read(self, run, tmp_path):
        shutil.copytree(f"model_repository/{MODEL}", tmp_path / MODEL)
        (tmp_path / MODEL).chmod(0o000)
        with held_to_permissions():
            code, _, err = run("audit", MODEL, "--repository", tmp_path)
        (tmp_path / MODEL).chmod(0o700)
        assert code == 3
        assert "cannot be read: Permission denied" in one_sentence(err)

    @pytest.mark.parametrize("command", [["prove"], ["audit", MODEL, "--images"]])
    def test_a_file_that_may_not_be_read(self, run, tmp_path, command):
        (tmp_path / "it.png").touch(0o000)
        with held_to_permissions():
            code, out, err = run(*command, tmp_path / "it.png")
        assert (code, out) == (3, "")
        assert "it.png cannot be read: Permission denied" in one_sentence(err)


def test_an_audit_set_that_was_changed_is_a_refusal(run, tmp_path):
    shutil.copytree(f"model_repository/{MODEL}", tmp_path / MODEL)

    def changed(target, settings):
        opened = open_model(target, settings)
        (tmp_path / MODEL / "1" / "audit.npz").write_bytes(b"other images")
        return opened

    from commands.audit import target

    open_model = target.open_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "open_model", changed)
        code, out, err = run("audit", MODEL, "--repository", tmp_path)
    assert (code, out) == (3, "")
    assert "audit.npz has the SHA-256" in one_sentence(err)
