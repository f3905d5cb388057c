"""On a CPU without VNNI too: an emulated one that adds pairs of products in 16 bits."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.audit_set import load_audit_set
from export.quantize import measure_ranges, quantize, read_chain, to_int8
from export.runtime import open_model

EMULATOR = shutil.which("qemu-x86_64")
DIGITS = Path("model_repository/rotmnist-c4/1")
PROGRAM = """
import hashlib, json, sys
import numpy as np
import onnxruntime as ort

images = np.load(sys.argv[2])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rotated = [np.ascontiguousarray(np.rot90(images, k, (2, 3))) for k in range(4)]
answers = [session.run(["logits"], {"image": each})[0].tobytes() for each in rotated]
print(json.dumps([hashlib.sha256(answer).hexdigest() for answer in answers]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates an x86-64 CPU on one"),
    pytest.mark.skipif(EMULATOR is None, reason="needs qemu-x86_64, of Debian's qemu-user"),
]


@pytest.fixture(scope="module")
def digits():
    return load_audit_set(DIGITS / "audit.npz").images[:16]


def network(digits):
    chain = read_chain(onnx.load(DIGITS / "model.onnx"))
    return to_int8(quantize(chain, measure_ranges(chain, digits, "C4")), {}).SerializeToString()


def on_haswell(model, digits, folder):
    """Return the digests of the logits of digits in four rotations: AVX2, and no VNNI."""
    (folder / "model.onnx").write_bytes(model)
    np.save(folder / "digits.npy", digits)
    arguments = [EMULATOR, "-cpu", "Haswell", sys.executable, "-c", PROGRAM]
    files = [folder / "model.onnx", folder / "digits.npy"]
    done = subprocess.run([*arguments, *files], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_pair_of_products_saturates(digits, tmp_path):
    model = network(digits)
    here = hashlib.sha256(open_model(model)(digits).tobytes()).hexdigest()
    assert on_haswell(model, digits, tmp_path) == [here] * 4


def test_weights_of_8_bits_would_saturate(digits, tmp_path, monkeypatch):
    """The mutant: other bits for other rotations."""
    monkeypatch.setattr("export.quantize.network.WEIGHT_LIMIT", 127)
    assert len(set(on_haswell(network(digits), digits, tmp_path))) > 1
