"""A network over images that are not square: imported, symmetrised, proved, audited, served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from artifact.audit_set import load_audit_set
from artifact.card import Card, load_card
from audit.options import AuditOptions
from audit.pipeline import ResolvedOptions, run_pipeline
from audit.proof import prove
from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.importer import Request, import_onnx
from export.onnx_import.options import read_size
from export.onnx_import.symmetrise import symmetrise
from export.runtime import open_model
from imaging import FitPolicy, GridSymmetry, RefusedError, fit, grid_symmetries
from service.audits.targets import open_file, version_under_test
from service.environment import read_settings
from service.repository.local import open_model as served_model

SIDES = (12, 40)
TEXT = """<ir_version: 8, opset_import: ["" : 17]> net (uint8[N, 1, 12, 40] image)
    => (float[N, 3] logits) {
    x = Cast<to = 1>(image) c = Conv<pads = [1, 1, 1, 1]>(x, W) r = Relu(c) f = Flatten(r)
    logits = Gemm(f, H)
}"""


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """Return a network that tells every place of its image apart, with logits of about 1."""
    random, model = np.random.default_rng(0), onnx.parser.parse_model(TEXT)
    for name, shape, scale in (("W", (4, 1, 3, 3), 0.01), ("H", (4 * 12 * 40, 3), 0.01)):
        values = (scale * random.standard_normal(shape)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


@pytest.fixture(scope="module")
def request_for(
    network: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Request]:
    folder = tmp_path_factory.mktemp("oblong")
    onnx.save(network, folder / "net.onnx")
    (folder / "pictures").mkdir()
    random = np.random.default_rng(1)
    for place in range(6):
        pixels = random.integers(0, 256, (20 + place, 50), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{place}.png")

    def request(**options: Any) -> Request:
        return Request(folder / "net.onnx", "lines", tuple("abc"), folder / "pictures", **options)

    return request


@pytest.mark.parametrize(
    ("group", "outcome"), [(None, "NOT PROVED"), ("C2", "PROVED"), ("D2", "PROVED")]
)
def test_the_card_claims_what_is_proved_of_an_oblong(
    tmp_path: Path, request_for: Callable[..., Request], group: str | None, outcome: str
) -> None:
    folder = import_onnx(request_for(symmetrise=group, fit="stretch"), tmp_path)
    card = load_card(folder / "card.json")
    assert card.input.fit == FitPolicy(12, "stretch", width=40)
    assert card.group == (group or "trivial")
    assert card.proof is not None
    assert (card.proof.outcome, card.proof.subgroup) == (outcome, group or "C2")
    assert card.audit.group == (group or "C2")
    images = load_audit_set(folder / "audit.npz").images
    assert images.shape == (6, 1, *SIDES)
    data = (folder / "model.onnx").read_bytes()
    assert prove(data).subgroup == (group or "C2")
    assert prove(data, "C4").outcome == "NOT PROVED"
    _, spec, tried = open_file(folder / "model.onnx", read_settings(repository=tmp_path))
    assert (spec.shape, tried) == ((1, *SIDES), group or "C2")
    if group:
        classify = open_model(data)
        upright = classify(images).view(np.uint32)
        for element in grid_symmetries(group):
            rotated = classify(np.ascontiguousarray(element(images)))
            assert np.array_equal(rotated.view(np.uint32), upright), element.name


def test_a_rotated_picture_comes_to_the_input_as_the_rotated_input(
    request_for: Callable[..., Request],
) -> None:
    policy = FitPolicy(*SIDES[:1], "pad", width=SIDES[1])
    with Image.open(request_for().pictures / "3.png") as picture:
        image = np.asarray(picture)[None]
    for element in grid_symmetries("D2"):
        assert np.array_equal(fit(element(image), policy), element(fit(image, policy)))


@pytest.mark.slow
def test_it_is_served_with_its_claims_enforced(
    tmp_path: Path, request_for: Callable[..., Request]
) -> None:
    folder = import_onnx(request_for(symmetrise="D2"), tmp_path)
    served = served_model("lines", read_settings(repository=tmp_path, proof="enforce"))
    images = load_audit_set(folder / "audit.npz").images
    assert served.ends.image == images.shape[1:]
    logits = served.session.run(images).logits
    assert np.array_equal(served.session.run(images[..., ::-1, ::-1].copy()).logits, logits)
    under_test = version_under_test(served)
    options = AuditOptions().resolve("fp32", served.card.audit.group, 0)
    report = run_pipeline(under_test, served.audit_set(), options, source="six pictures")
    assert report.figures.max_logit_deviation == 0
    assert [each.element for each in report.figures.elements] == ["r180", "m", "m r180"]
    assert report.proof is not None
    assert (report.proof.outcome, report.proof.covers) == ("PROVED", True)


@pytest.mark.parametrize("group", ["C4", "D4", "C8"])
@pytest.mark.parametrize("option", ["group", "symmetrise"])
def test_quarter_turns_are_no_symmetries_of_an_oblong(
    tmp_path: Path, request_for: Callable[..., Request], group: str, option: str
) -> None:
    with pytest.raises(
        RefusedError, match=f"12 x 40 pixels .*{group} has quarter turns; C2 and D2"
    ):
        import_onnx(request_for(**{option: group}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_graph_averages_over_quarter_turns_of_an_oblong(network: onnx.ModelProto) -> None:
    with pytest.raises(RefusedError, match="C4 has quarter turns"):
        symmetrise(network, "C4")


@pytest.mark.parametrize("place", ["group", "audit"])
def test_no_card_claims_them(place: str) -> None:
    fields = load_card(Path("model_repository/rotmnist-cnn/1/card.json")).model_dump()
    fields["input"]["fit"]["width"] = 40
    fields["audit"]["group"] = "D2"
    assert Card.model_validate(fields).input.shape == (1, 28, 40)
    if place == "group":
        fields["group"] = "D4"
    else:
        fields["audit"]["group"] = "C4"
    with pytest.raises(ValueError, match="quarter turns"):
        Card.model_validate(fields)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"group": "C4"}, "quarter turns"),
        ({"group": "D8"}, "quarter turns"),
        ({"angles": 8}, "angles in between"),
        ({"exhaustive_angles": True}, "angles in between"),
    ],
)
def test_no_audit_offers_them_or_other_angles(asked: dict[str, Any], sentence: str) -> None:
    options: ResolvedOptions = AuditOptions(**asked).resolve("fp32", "C2", 0)
    options.check(12, 12)
    with pytest.raises(RefusedError, match=sentence):
        options.check(*SIDES)


def test_an_upright_mutant_of_the_average_is_not_proved(network: onnx.ModelProto) -> None:
    """A branch that reads the image upright where it should read it upside down."""
    data = symmetrise(network, "C2")
    assert prove(data.SerializeToString(), "C2").outcome == "PROVED"
    assert prove(data.SerializeToString(), "D2").outcome == "NOT PROVED"
    places = next(each for each in data.graph.initializer if each.name == "orbit.r180.turn")
    upright = np.arange(np.prod(SIDES), dtype=np.int32)
    assert np.array_equal(numpy_helper.to_array(places), upright[::-1])
    places.CopyFrom(numpy_helper.from_array(upright, places.name))
    assert prove(data.SerializeToString(), "C2").outcome == "NOT PROVED"


def test_half_turns_and_mirror_images_alone_keep_the_grid() -> None:
    pixels = np.zeros(SIDES)
    for element in grid_symmetries("D4"):
        assert (element(pixels).shape == SIDES) == (not element.swaps_sides)
    assert {e for e in grid_symmetries("D4") if not e.swaps_sides} == set(grid_symmetries("D2"))
    assert GridSymmetry(True, 3).swaps_sides


@pytest.mark.parametrize(
    "text", ["", "0", "12x", "12x0", "1x2x3", "-12", "1.5", "9" * 7, "9" * 5000]
)
def test_what_is_no_size_is_one_short_sentence(text: str) -> None:
    """That of thousands of digits was a defect: Python makes no number of them."""
    with pytest.raises(OnnxImportError, match=r"^--size has '.{0,40}'; a side as 224, or"):
        read_size(text)
    assert read_size("224") == (224, 224)
    assert read_size("48X192") == read_size("48 x 192") == (48, 192)
