"""The process that forks a child a trial, as the service sees it: started, asked and ended."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from typing import Final, Protocol

from imaging.files import MEBIBYTE
from imaging.process import ENDING, fork
from service.repository.trials import server
from service.repository.trials.attempt import Attempt

_CODE: Final = (
    "import sys; sys.path[:] = {path!r}; "
    "from service.repository.trials.server import main; main({number})"
)


class _Process(Protocol):
    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


class ForkServer:
    """The process that forks, started when it is needed."""

    def __init__(self) -> None:
        self._process: _Process | None = None
        self._control: socket.socket | None = None

    def start(self, *, fork: bool = False) -> socket.socket:
        """Start it if it does not run, and return the socket that it listens to."""
        if self._control is None or self._process is None or self._process.poll() is not None:
            self.kill()
            self._control, theirs = socket.socketpair()
            with theirs:
                if fork:
                    self._process = _Forked(theirs, self._control)
                else:
                    self._process = _spawn(theirs)
        return self._control

    @property
    def forked(self) -> bool:
        """Whether the process that runs is a fork of this one."""
        return isinstance(self._process, _Forked)

    def begin(self, attempt: Attempt) -> socket.socket:
        """Have a child forked for an attempt; return the trial: closing it ends the child."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        data, memory = pickle.dumps(attempt), attempt.settings.load_memory * MEBIBYTE
        with theirs:
            try:
                self._send(data, memory, theirs)
            except OSError:  # it died a moment ago
                self.kill()
                self._send(data, memory, theirs)
        return ours

    def end(self) -> None:
        """Let it end its children, if there are any left, and itself."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            threading.Thread(target=self._process.wait, daemon=True).start()
        self._control = self._process = None

    def kill(self) -> None:
        """End it and its children, now."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None

    def _send(self, data: bytes, memory: int, trial: socket.socket) -> None:
        control = self.start()
        socket.send_fds(control, [server.HEAD.pack(len(data), memory)], [trial.fileno()])
        control.sendall(data)


def _spawn(control: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 # nothing here comes from outside
        [sys.executable, "-c", _CODE.format(path=sys.path, number=control.fileno())],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # a terminal sends its signals to the service alone
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )


class _Forked:
    """A copy of this process as it is now, which imports nothing a second time."""

    def __init__(self, control: socket.socket, ours: socket.socket) -> None:
        self._pid = fork()
        self._status: int | None = None
        if self._pid == 0:
            try:
                ours.close()
                os.setpgid(0, 0)
                nothing = os.open(os.devnull, os.O_RDWR)
                for stream in range(3):
                    os.dup2(nothing, stream)
                for number in ENDING:
                    signal.signal(number, signal.SIG_DFL)
                server.main(control.detach())
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        return self._collect(os.WNOHANG)

    def wait(self) -> int:
        status = self._collect(0)
        return 0 if status is None else status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def _collect(self, how: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self._pid, how)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status
