"""Whatever a user names in place of a file is one sentence and status 3, without waiting."""

import os
from pathlib import Path

import pytest

MODEL = "model_repository/rotmnist-cnn/1"
CLASSES = "0,1,2,3,4,5,6,7,8,9"
IMPORT = ["import", f"{MODEL}/model.onnx", "--name", "x", "--repository", "{tmp}/r"]
COMMANDS = {
    "prove": ["prove", "{it}"],
    "import": ["import", "{it}", "--name", "x", "--classes", CLASSES, "--audit-images", "examples"],
    "import --classes": [*IMPORT, "--classes", "{it}", "--audit-images", "examples"],
    "import --audit-images": [*IMPORT, "--classes", CLASSES, "--audit-images", "{it}"],
    "classify": ["classify", "{it}"],
    "audit": ["audit", "{it}"],
    "audit --images": ["audit", "rotmnist-cnn", "--images", "{it}"],
    "audit --group-by": ["audit", "rotmnist-cnn", "--images", "examples", "--group-by", "{it}"],
    "audit --resume": ["audit", "rotmnist-cnn", "--resume", "{it}"],
    "sign": ["sign", "rotmnist-cnn", "--private-key", "{it}"],
    "pack --base": ["pack", "rotmnist-cnn", "--output", "{tmp}/image", "--base", "{it}"],
    "train": ["train", "{it}"],
    "train --teacher": ["train", "rotmnist-c4", "--teacher", "{it}", "--data", "{tmp}"],
    "data --source": ["data", "--source", "{it}"],
    "export": ["export", "{it}", "--runs", "/"],
}
KINDS = {
    "FIFO": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "huge": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 100 * 2**30),
    "missing": lambda path: None,
    "folder": Path.mkdir,
    "binary": lambda path: path.write_bytes(b"\xff\x00\xfe"),
}
# Of these, some is what is asked for: a journal that is not there yet is made.
MEANT = {("audit --resume", "missing")}
# To these, the line of a file says why it has no label.
LINES = {("classify", kind) for kind in ("FIFO", "device", "huge", "binary")}
CASES = [(command, kind) for command in COMMANDS for kind in KINDS if (command, kind) not in MEANT]


def quick(command, kind):
    """Each kind and each command once: an audit opens its model first, which takes a second."""
    return command == "prove" or (kind == "FIFO" and not command.startswith("audit --"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("command", "kind"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (not quick(*case))) for case in CASES],
)
def test_what_is_no_such_file_is_a_sentence(run, tmp_path, command, kind):
    KINDS[kind](tmp_path / "it.npz")
    words = [word.format(it=tmp_path / "it.npz", tmp=tmp_path) for word in COMMANDS[command]]
    code, out, err = run(*words)
    assert code == 3, err
    assert out.count("\n") == ((command, kind) in LINES)
    assert err.startswith("orbitserve: ")
    assert err.count("\n") == 1
    assert "defect" not in err
