"""What may end the process, tried in one of its own."""

import signal
import subprocess
import sys
from typing import Final

_FIRST: Final = """
import contextlib, pathlib, sys; sys.path[:] = {path!r}
with contextlib.suppress(OSError):
    pathlib.Path("/proc/self/oom_score_adj").write_text("1000")
"""
"""Where memory runs out, it is the first that the kernel ends."""


def ended_by(program: str, data: bytes) -> str | None:
    """Run a program of Python that reads ``data``; say by which signal it was ended, if by one."""
    code = subprocess.run(  # noqa: S603 # nothing here comes from outside
        # What lies in the folder that one is in, as beside a model from elsewhere, is not imported.
        [sys.executable, "-P", "-c", _FIRST.format(path=sys.path) + program],
        input=data,
        capture_output=True,
        check=False,
    ).returncode
    return signal.strsignal(-code) if code < 0 else None
