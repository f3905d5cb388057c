"""Processes are started with what was installed, whatever lies in the folder that one is in."""

import os
import subprocess
import sys
from pathlib import Path

STARTS = """
import multiprocessing
from imaging.process import start_fork_server

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["models"])
    start_fork_server()
    process = context.Process(target=len, args=("",))
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
"""


def test_no_process_that_forks_others_imports_what_lies_in_the_folder_that_one_is_in(
    tmp_path: Path,
) -> None:
    here, script = tmp_path / "here", tmp_path / "start.py"
    (here / "models").mkdir(parents=True)
    for module in ("models/__init__.py", "selectors.py"):
        (here / module).write_text("open('imported', 'w').close(); raise ImportError")
    script.write_text(STARTS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("PYTHONSAFEPATH", None)
    ended = subprocess.run([sys.executable, script], cwd=here, env=environment, check=False)
    assert ended.returncode == 0
    assert not (here / "imported").exists()
