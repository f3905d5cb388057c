"""What a card claims is shown by its file and by what runs, or the version is not served."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from artifact.audit_set import load_audit_set
from artifact.card import load_card
from artifact.contract import INPUT, LOGITS, PROBABILITIES
from artifact.figures import Exactness
from artifact.session import open_session
from audit.card import proof_figures
from audit.proof import Limits, prove
from audit.proof.limits import DEFAULT_LIMITS
from export.quantize import to_half
from service.audits.targets import version_under_test
from service.engine import ProviderCandidates
from service.engine.providers import CPU
from service.repository import verification
from service.repository.folder import ModelRejectedError
from service.repository.local import open_model
from service.repository.verification import affordable, verify
from service.repository.version import ServedModel, load_version
from service.settings import ConfigurationError, ProofMode, Settings
from tests.artifact.test_session import ending

SELECTION = ProviderCandidates((CPU,))


def exact(claimed: bool) -> Exactness:
    return Exactness(
        images=1,
        elements=("identity",),
        batch_sizes=(1,),
        sessions=("onnxruntime",),
        exact=claimed,
        max_logit_deviation=0.0,
    )


@pytest.fixture
def load(tmp_path: Path, write_version: Any) -> Callable[..., ServedModel]:
    def loaded(
        graph: bytes, mode: ProofMode, limits: Limits = DEFAULT_LIMITS, **claims: Any
    ) -> ServedModel:
        folder = write_version(tmp_path, "turning", len(list(tmp_path.rglob("*.onnx"))) + 1, graph)
        card = folder / "card.json"
        version = int(folder.name)
        folder = write_version(tmp_path / "claiming", "turning", version, graph, **claims)
        assert card.exists()
        return load_version(folder, SELECTION, 2, mode=mode, proof_limits=limits)

    return loaded


def test_what_the_file_shows_is_served(load: Callable[..., ServedModel], turning: bytes) -> None:
    claim = proof_figures(prove(turning, "C4"))
    found = load(turning, "enforce", proof=claim).verification
    assert found.differences == ()
    assert found.proof is not None and found.proof.outcome == "PROVED"
    assert found.exactness is not None and found.exactness.elements[1:] == ("r90", "r180", "r270")
    assert found.exactness.sessions == ("CPUExecutionProvider",)


def test_a_claimed_proof_that_the_bytes_do_not_give_is_refused(
    load: Callable[..., ServedModel], turning: bytes, plain: bytes
) -> None:
    claim = proof_figures(prove(turning, "C4"))
    with pytest.raises(ModelRejectedError, match="says PROVED and its file is NOT PROVED"):
        load(plain, "enforce", proof=claim)
    found = load(plain, "report", proof=claim).verification
    assert found.differences == ("The card says PROVED and its file is NOT PROVED.",)
    assert load(plain, "off", proof=claim).verification.differences == ()


def test_a_proof_of_fewer_symmetries_than_the_card_says_is_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    """Whatever place of the card says them."""
    claim = proof_figures(prove(turning, "C4"))
    more = claim.model_copy(update={"subgroup": "D4"})
    with pytest.raises(ModelRejectedError, match="says PROVED over D4; it is over C4"):
        load(turning, "enforce", proof=more)
    with pytest.raises(ModelRejectedError, match="says D4, and that C4 was audited"):
        load(turning, "enforce", proof=claim, group="D4")
    measured = exact(True).model_copy(update={"elements": ("identity", "m0")})
    found = load(turning, "report", proof=claim, exactness=measured, group="C4").verification
    assert any("that m0 changes no bit, and C4 does not" in each for each in found.differences)


def test_a_bound_that_the_proof_does_not_give_is_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    """Parameters that tie as nearly as the card says, and outputs that change by more."""
    near = onnx.load_model_from_string(turning)
    stored = next(t for t in near.graph.initializer if len(t.dims) == 4)
    weights = numpy_helper.to_array(stored).copy()
    weights[0, 0, 0, 0] *= 1 + 1e-6
    stored.CopyFrom(numpy_helper.from_array(weights, stored.name))
    data = near.SerializeToString()
    claim = proof_figures(prove(data, "C4"))
    assert claim.outcome == "PROVED WITHIN" and claim.residual is not None
    assert load(data, "enforce", proof=claim).verification.differences == ()
    deviation = {name: most / 2 for name, most in claim.residual.deviation.items()}
    less = claim.residual.model_copy(update={"deviation": deviation})
    with pytest.raises(ModelRejectedError, match="changes by at most"):
        load(data, "enforce", proof=claim.model_copy(update={"residual": less}))


def test_half_precision_that_the_file_does_not_hold_is_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    """A logit may move a hundred times as far in it."""
    with pytest.raises(ModelRejectedError, match="says fp16, and its file holds no number"):
        load(turning, "enforce", precision="fp16")
    half = to_half(onnx.load_model_from_string(turning), {}).SerializeToString()
    assert load(half, "enforce", precision="fp16").verification.differences == ()


def test_a_file_that_takes_two_images_for_one_is_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    """onnxruntime computes the number of images from a shape that the file notes."""
    model = onnx.load_model_from_string(turning)
    made = next(node for node in model.graph.node if LOGITS in node.output)
    made.output[0] = "each"
    text = f"""<ir_version: 10, opset_import: ["" : 20]> g (uint8[N, 1, 9, 9] {INPUT}) => () {{
        c = Cast<to = 1>({INPUT}) v = Relu(c) s = Shape(v) n = Slice(s, ZERO, ONE)
        some = Slice(each, ZERO, n, ZERO) none = Mul(each, NIL) {LOGITS} = Add(some, none) }}"""
    place = list(model.graph.node).index(made) + 1
    for node in reversed(onnx.parser.parse_model(text).graph.node):
        model.graph.node.insert(place, node)
    for name, value in (("ZERO", [0]), ("ONE", [1]), ("NIL", np.float32(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    assert load(model.SerializeToString(), "enforce").verification.rewritten is None
    noted = onnx.helper.make_tensor_value_info("v", onnx.TensorProto.FLOAT, [1, None, None, None])
    model.graph.value_info.append(noted)
    with pytest.raises(ModelRejectedError, match="rewrites the graph before it runs it"):
        load(model.SerializeToString(), "enforce")


@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
def test_probabilities_that_are_not_those_of_the_logits_are_refused(
    load: Callable[..., ServedModel], turning: bytes, mode: ProofMode
) -> None:
    """Proofs and audits look at logits alone, and answers are probabilities."""
    model = onnx.load_model_from_string(turning)
    made = next(node for node in model.graph.node if PROBABILITIES in node.output)
    made.input[0] = "others"
    backwards = onnx.helper.make_node("Neg", [LOGITS], ["others"])
    model.graph.node.insert(list(model.graph.node).index(made), backwards)
    with pytest.raises(ModelRejectedError, match=r"are not the softmax of its logits: .* up to 0"):
        load(model.SerializeToString(), mode)


def test_bits_that_the_proof_does_not_give_are_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    claim = proof_figures(prove(turning, "C4")).model_copy(update={"exact_bits": True})
    with pytest.raises(ModelRejectedError, match="proved the same in every bit"):
        load(turning, "enforce", proof=claim)


@pytest.mark.parametrize("arithmetic", ["quantised", "repeated", "integer"])
def test_arithmetic_that_the_proof_does_not_give_is_refused(
    load: Callable[..., ServedModel], turning: bytes, arithmetic: Any
) -> None:
    """An audit takes it for the condition under which bits repeat."""
    proved = proof_figures(prove(turning, "C4"))
    assert proved.arithmetic == "float"
    claim = proved.model_copy(update={"arithmetic": arithmetic})
    with pytest.raises(
        ModelRejectedError, match=f"says that sums are {arithmetic}; they are float"
    ):
        load(turning, "enforce", proof=claim)
    for less in ("float", None):
        claim = proved.model_copy(update={"arithmetic": less})
        assert load(turning, "enforce", proof=claim).verification.differences == ()


def test_integers_show_what_is_claimed_of_any_arithmetic(tmp_path: Path) -> None:
    folder = tmp_path / "rotmnist-c4-small-int8" / "1"
    shutil.copytree(Path("model_repository/rotmnist-c4-small-int8/1"), folder)
    card = load_card(folder / "card.json")
    assert card.proof is not None and card.proof.arithmetic == "integer"
    claim = card.proof.model_copy(update={"arithmetic": "quantised"})
    changed = card.model_copy(update={"proof": claim})
    (folder / "card.json").write_text(changed.model_dump_json())
    assert load_version(folder, SELECTION, 2, mode="enforce").verification.differences == ()


def test_exactness_that_is_not_measured_here_is_refused(
    load: Callable[..., ServedModel], plain: bytes
) -> None:
    """The float sums of a plain network differ from batch to batch or from turn to turn."""
    with pytest.raises(ModelRejectedError, match="change by up to"):
        load(plain, "enforce", exactness=exact(True), group="C4")
    assert load(plain, "enforce", exactness=exact(False), group="C4").verification.differences == ()


def test_equal_bits_in_batches_that_are_not_tried_are_refused(
    load: Callable[..., ServedModel], whole: Callable[[int], bytes]
) -> None:
    claim = exact(True)
    assert load(whole(1), "enforce", exactness=claim).verification.differences == ()
    more = claim.model_copy(update={"batch_sizes": (1, 1000)})
    with pytest.raises(ModelRejectedError, match=r"batches of 1000 .* those of 1, 3, 8, 64 are"):
        load(whole(1), "enforce", exactness=more)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(seconds=1e-6), "takes more than the 1e-06 s"),
        (Limits(memory=9), "and may take 0"),
    ],
)
def test_a_proof_past_its_limits_is_a_difference(
    load: Callable[..., ServedModel], turning: bytes, limits: Limits, sentence: str
) -> None:
    claim = proof_figures(prove(turning, "C4"))
    found = load(turning, "report", limits, proof=claim).verification
    assert (found.proof, found.differences) == (None, (found.unproved,))
    assert found.unproved is not None and sentence in found.unproved
    assert found.exactness is not None  # which is measured nevertheless
    for claimed in (claim, None):
        with pytest.raises(ModelRejectedError, match=sentence):
            load(turning, "enforce", limits, proof=claimed)
    assert load(turning, "off", limits, proof=claim).verification.unproved is None


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("a\nb"), MemoryError()])
def test_an_error_of_the_proof_is_a_difference(
    load: Callable[..., ServedModel],
    turning: bytes,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("audit.proving.prove", broken)
    found = load(turning, "report").verification
    assert found.differences == (found.unproved,)
    assert f"an error of its own ({type(error).__name__}" in found.differences[0]
    with pytest.raises(ModelRejectedError, match="an error of its own"):
        load(turning, "enforce")


def test_constants_are_computed_by_the_runtime_too(
    load: Callable[..., ServedModel], turning: bytes, doubtful: Callable[[bytes], bytes]
) -> None:
    file = doubtful(turning)
    assert prove(file, "C4").outcome == "NOT PROVED"  # without a runtime
    found = load(file, "report").verification
    assert found.proof is not None and found.proof.outcome == "PROVED"


@pytest.mark.anyio
async def test_the_metadata_show_what_was_verified(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/models/turning")).json()["verification"]
    assert shown["mode"] == "report"
    assert shown["proof"]["outcome"] == "PROVED"
    assert shown["exactness"]["batch_sizes"] == [1, 3, 8, 64]
    assert shown["differences"] == []


@pytest.mark.parametrize(
    "broken",
    [
        "service.repository.folder.parse_card",
        "service.repository.folder.check_operators",
        "service.repository.folder.refuse_other_formats",
        "service.repository.folder.parse_audit_set",
        "service.repository.verification.prove_file",
        "service.repository.verification.measure_exactness",
    ],
)
def test_a_defect_is_no_refusal(
    load: Callable[..., ServedModel],
    turning: bytes,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(broken, fails)
    with pytest.raises(ValueError, match="could not be broadcast") as defect:
        load(turning, "report")
    assert type(defect.value) is ValueError


def test_a_slow_network_is_measured_on_fewer_images() -> None:
    passes = 1 + 8 + 4
    assert affordable(64, "D4", 1e-4, 20.0) == 64
    count = affordable(64, "D4", 0.1, 20.0)
    assert count * passes * 0.1 <= 20 < (count + 1) * passes * 0.1
    assert affordable(64, "D4", 10.0, 20.0) == 2
    assert affordable(1, "D4", 10.0, 20.0) == 1


@pytest.mark.parametrize(("claimed", "count"), [(True, 17), (False, 5)])
def test_so_the_time_at_load_is_bounded(
    turning: bytes,
    write_version: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    claimed: bool,
    count: int,
) -> None:
    """By a third of the time that is left, or less where the card claims nothing of bits."""
    folder = write_version(tmp_path, "turning", 1, turning, exactness=exact(claimed))
    card, audit_set = load_card(folder / "card.json"), load_audit_set(folder / "audit.npz")
    now = [0.0]
    monkeypatch.setattr("service.repository.verification.time.monotonic", lambda: now[0])
    session = open_session(turning, 1)

    def slow(batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        now[0] += 0.125 * len(batch)
        return np.asarray(session.run([LOGITS], {INPUT: batch})[0])

    said: list[tuple[str, int, int]] = []
    found = verify(
        card,
        turning,
        slow,
        audit_set.images,
        "slow",
        "report",
        DEFAULT_LIMITS,
        until=60.0,
        progress=lambda *each: said.append(each),
    )
    assert found.exactness is not None
    assert found.exactness.images == count
    assert now[0] <= (20 if claimed else 5) + 0.125 * count
    assert found.proof is not None
    assert [each[0] for each in said][-1] == "proving"
    assert said[-2] == ("measuring", said[0][2], said[0][2])


def test_a_version_that_ends_the_process_ends_no_command(
    tmp_path: Path, write_version: Any
) -> None:
    write_version(tmp_path, "turning", 1, ending())
    with pytest.raises(ConfigurationError, match=r"model.onnx is refused: .* ends the process"):
        open_model("turning", Settings(repository=tmp_path, device="cpu"))


def test_a_file_of_which_the_runtime_makes_another_function_is_refused(
    load: Callable[..., ServedModel], turning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "rewritten", lambda *_: "Logits are others.")
    with pytest.raises(ModelRejectedError, match="Logits are others"):
        load(turning, "enforce")
    served = load(turning, "report")
    assert served.verification.differences == ("Logits are others.",)
    assert version_under_test(served).prove("C4").reasons == ("Logits are others.",)
    assert load(turning, "off").verification.differences == ()
