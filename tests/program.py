"""The `orbitserve` command in processes of its own, forked from one that has imported it already.

A process that begins with `python -c` spends some two seconds on imports. What differs between the
two is tried in tests/service/test_server.py and tests/commands/test_failures.py, which begin so.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PROGRAM = [sys.executable, "-c", "import orbitserve; orbitserve.main()"]
"""The command as its own process, which imports all that it needs."""

_ROOT = Path(__file__).parent.parent
_CODE = (
    "import sys; sys.path[:] = {path!r}; from tests.program import fork_for_ever\n"
    "fork_for_ever({number})\n"
    "import orbitserve; orbitserve.main()"
)
_IMPORTED = (
    *("commands.app", "audit", "audit.comparison", "audit.options", "audit.proving"),
    *("audit.render", "audit.render.comparison", "audit.render.formats", "audit.render.history"),
    *("fastapi", "fastapi.openapi.utils", "fsspec", "msgspec", "multiprocessing.forkserver"),
    *("prometheus_client", "pydantic_settings", "python_multipart"),
    *("rich.console", "rich.progress", "structlog", "typer"),
    *("uvicorn", "uvicorn.protocols.http.httptools_impl", "uvloop", "yaml"),
)
"""Of what the command imports, that which takes long and starts no threads."""

_NUMBER = struct.Struct("!i")
_LENGTH = struct.Struct("!I")


class Process:
    """A command that was started; its methods are those of `subprocess.Popen`."""

    def __init__(self, status: socket.socket, stdout: int, stderr: int) -> None:
        self._status = status
        (self.pid,) = _NUMBER.unpack(status.recv(_NUMBER.size))
        self.stdout, self.stderr = os.fdopen(stdout), os.fdopen(stderr)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the status that it ended with; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the status that it ends with; minus the number of a signal that ended it."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                (self.returncode,) = _NUMBER.unpack(self._status.recv(_NUMBER.size))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("orbitserve", timeout or 0) from None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; return what is left of what it wrote."""
        written = ["", ""]

        def read(place: int) -> None:
            written[place] = (self.stdout, self.stderr)[place].read()

        readers = [threading.Thread(target=read, args=(place,), daemon=True) for place in (0, 1)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired("orbitserve", timeout or 0)
        self.wait(timeout)
        return written[0], written[1]

    def end(self) -> None:
        """Kill it if it runs, and let go of what it wrote."""
        self.kill()
        self.wait()
        for each in (self.stdout, self.stderr, self._status):
            each.close()


def start(
    arguments: list[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Process:
    """Start the command; whoever does, has to `end` the process."""
    asked = json.dumps(
        {
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "folder": str(folder or Path.cwd()),
        }
    ).encode()
    (out, their_out), (err, their_err), (status, theirs) = os.pipe(), os.pipe(), socket.socketpair()
    control = _forking()
    numbers = [their_out, their_err, theirs.fileno()]
    socket.send_fds(control, [_LENGTH.pack(len(asked))], numbers)
    control.sendall(asked)
    os.close(their_out)
    os.close(their_err)
    theirs.close()
    return Process(status, out, err)


def run(
    arguments: list[str],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = start(arguments, environment, folder)
    try:
        out, err = process.communicate(timeout)
        return subprocess.CompletedProcess(arguments, process.wait(), out, err)
    finally:
        process.end()


@functools.cache
def _forking() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        code = _CODE.format(path=[str(_ROOT), *sys.path], number=theirs.fileno())
        process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def fork_for_ever(number: int) -> None:
    """Fork for each command that comes over the socket of this number; return in the forks alone.

    A parent of each waits for it, as nobody else may, and tells its number and then its status.
    """
    for name in _IMPORTED:
        importlib.import_module(name)
    assert "onnxruntime" not in sys.modules  # its threads do not outlive a fork, and are asked to
    gc.freeze()
    control = socket.socket(fileno=number)
    while True:
        head, numbers, _, _ = socket.recv_fds(control, _LENGTH.size, 3)
        if not head:
            os._exit(0)
        asked = b""
        while len(asked) < _LENGTH.unpack(head)[0]:
            asked += control.recv(_LENGTH.unpack(head)[0] - len(asked))
        if _fork() == 0:
            control.close()
            _become(json.loads(asked), *numbers)
            return
        for each in numbers:
            os.close(each)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have waited
                pass


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which there are none of
        return os.fork()


def _become(asked: dict[str, object], out: int, err: int, status: int) -> None:
    child = _fork()
    if child:
        os.close(out)
        os.close(err)
        os.write(status, _NUMBER.pack(child))
        os.write(status, _NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        os._exit(0)
    os.close(status)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    # Those of before remember whether one can go back in what they wrote to, as in a file.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    # A shell that starts something in the background has it ignore the first, nohup the second.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    sys.argv[:] = ["orbitserve", *asked["arguments"]]  # type: ignore[misc]
