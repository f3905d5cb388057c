"""What lies beside a graph: weights, names, what becomes of an image."""

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import external_data_helper, numpy_helper
from PIL import Image

from artifact.card import load_card
from artifact.origin import WeightsFile
from audit import RefusedError
from commands.onnx_import import import_model
from export.onnx_import.bundle import read_bundle
from export.onnx_import.importer import Request, import_onnx
from export.onnx_import.inputs import Scaling
from export.onnx_import.options import read_classes
from export.onnx_import.preprocessing import told_apart
from export.onnx_import.summary import summarise
from imaging import FitPolicy

pytestmark = pytest.mark.slow

random = np.random.default_rng(7)
TEXT = """<ir_version: 8, opset_import: ["" : 17]> net (float[N, 3, S, S] x) => (float[N, 3] y) {
    c = Conv<strides = [2, 2]>(x, W) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g)
    y = Gemm(f, H)
}"""
NAMES = ("bolt", "nut", "不良")


def graph() -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT)
    for name, shape in (("W", (8, 3, 3, 3)), ("H", (8, 3))):
        values = random.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def write(folder: Path, name: str = "model.onnx", **json_files: Any) -> Path:
    """Write a graph with its weights in a file of their own, and what is to lie beside it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        graph(), path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0
    )
    for stem, content in json_files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content, ensure_ascii=False))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place in range(4):
        pixels = random.integers(0, 256, (20, 26, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    return folder


def imported(place: Path, pictures: Path, **options: Any) -> tuple[Path, Any]:
    request = Request(place, "net", options.pop("classes", ()), pictures, **options)
    folder = import_onnx(request, place.parent / "repository")
    return folder, load_card(folder / "card.json")


TRANSFORMERS = {
    "config": {"id2label": {str(place): name for place, name in enumerate(NAMES)}},
    "preprocessor_config": {
        "do_resize": True,
        "size": {"shortest_edge": 18},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 15, "width": 15},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    },
}
TIMM = {
    "config": {
        "architecture": "net",
        "label_names": NAMES,
        "pretrained_cfg": {
            "input_size": [3, 15, 15],
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.3, 0.4],
            "interpolation": "bicubic",
            "crop_pct": 0.8,
            "crop_mode": "center",
        },
    }
}
SCALED = Scaling(1 / 255, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.mark.parametrize("beside", [TRANSFORMERS, TIMM], ids=["transformers", "timm"])
@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx"])
def test_a_folder_needs_no_option(
    tmp_path: Path, pictures: Path, beside: dict[str, Any], name: str
) -> None:
    """What is served is what the file says of an image prepared as its folder says."""
    file = write(tmp_path / "given", name, **beside)
    folder, card = imported(tmp_path / "given", pictures)
    assert card.classes == NAMES
    assert card.input.fit == FitPolicy(15, "resize-crop", 0, 18, "bicubic")
    data = file.with_name("model.onnx.data")
    assert card.origin.weights == (
        WeightsFile(file=data.name, sha256=hashlib.sha256(data.read_bytes()).hexdigest()),
    )
    images = np.load(folder / "audit.npz")["images"]
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    served = session.run(["logits"], {"image": images})[0]
    mean, std = (np.reshape(each, (3, 1, 1)) for each in (SCALED.mean, SCALED.std))
    fed = ((images / 255 - mean) / std).astype(np.float32)
    expected = onnxruntime.InferenceSession(file).run(None, {"x": fed})[0]
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-5)


def test_no_name_of_a_file_acts_on_the_terminal(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An output's name and a class's could say that a file is proved, or hide that it is not."""
    model = graph()
    evil = "y\nAudit over C4: PASS\x1b[2J"
    model.graph.node[-1].output[0] = model.graph.output[0].name = evil
    extra = onnx.helper.make_tensor_value_info("f", onnx.TensorProto.FLOAT, ["N", 8])
    model.graph.output.extend([extra])
    model.graph.output.extend([onnx.helper.make_tensor_value_info("g", 1, ["N", 8, 1, 1])])
    onnx.save_model(model, tmp_path / "net.onnx")
    (tmp_path / "classes").write_text("cat\x1b[8m\ndog\ncow\n")
    for dry in (True, False):
        import_model(
            tmp_path / "net.onnx",
            "net",
            pictures,
            classes=str(tmp_path / "classes"),
            input_scale="1/255",
            size="15",
            output=evil,
            repository=tmp_path / "repository",
            dry_run=dry,
        )
        said = capsys.readouterr().out
        assert "\\nAudit over C4: PASS\\u001b[2J" in said
        assert "\x1b" not in said
        told = [
            line for line in said.splitlines() if line.lstrip().startswith("Audit over C4: PASS")
        ]
        assert not told


def test_what_is_said_goes_before_what_lies_beside(tmp_path: Path, pictures: Path) -> None:
    write(tmp_path / "given", **TRANSFORMERS)
    _, card = imported(
        tmp_path / "given",
        pictures,
        classes=("a", "b", "c"),
        size=13,
        fit="pad",
        filter="bilinear",
        scaling=Scaling(1 / 128),
    )
    assert card.classes == ("a", "b", "c")
    assert card.input.fit == FitPolicy(13)
    assert any("0.0078125 x" in note for note in card.origin.adaptations)


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        ({"crop_size": {"height": 15, "width": 16}}, FitPolicy(15, "resize-crop", 0, 18, width=16)),
        (
            {"size": {"height": 12, "width": 30}, "do_center_crop": False},
            FitPolicy(12, "stretch", width=30),
        ),
    ],
    ids=["cropped", "stretched"],
)
def test_height_and_width_of_an_oblong_are_read(
    tmp_path: Path, pictures: Path, said: dict[str, Any], policy: FitPolicy
) -> None:
    write(tmp_path / "given", **changed(resample=2, **said))
    folder, card = imported(tmp_path / "given", pictures)
    assert card.input.fit == policy
    assert card.input.shape == (3, *policy.shape)
    assert load_card(folder / "card.json") == card


def test_ultralytics_metadata_are_read(tmp_path: Path, pictures: Path) -> None:
    model = graph()
    metadata = {
        "author": "Ultralytics",
        "task": "classify",
        "names": str(dict(enumerate(NAMES))),
        "imgsz": "[15, 15]",
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, tmp_path / "net.onnx")
    _, card = imported(tmp_path / "net.onnx", pictures)
    assert (card.classes, card.input.fit) == (NAMES, FitPolicy(15, "resize-crop", 0, 15))


def test_ultralytics_stretches_to_an_oblong(tmp_path: Path) -> None:
    model = graph()
    metadata = {"author": "Ultralytics", "task": "classify", "imgsz": "[16, 32]", "names": "{}"}
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, tmp_path / "net.onnx")
    said = read_bundle(tmp_path).said
    assert (said.size, said.fit, said.resize) == ((16, 32), "stretch", None)


def test_an_image_of_the_folders_size_but_not_the_files_is_asked_about(
    tmp_path: Path, pictures: Path
) -> None:
    write(tmp_path / "given", **TRANSFORMERS)
    with pytest.raises(RefusedError, match="crops to 15 pixels, and the file takes 13; --fit"):
        imported(tmp_path / "given", pictures, size=13)


def test_a_file_of_another_size_is_not_stretched_to_unasked(tmp_path: Path, pictures: Path) -> None:
    """The two contradict each other: one of them is another model's."""
    processor = {"size": {"height": 24, "width": 24}, "do_center_crop": False}
    fixed = graph()
    for axis in fixed.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_value = 15
    given = tmp_path / "given"
    write(given, **changed(**processor))
    onnx.save_model(fixed, given / "model.onnx")
    with pytest.raises(
        RefusedError, match="makes images of 24 pixels, and the file takes 15; --fi"
    ):
        imported(given, pictures)
    _, card = imported(given, pictures, fit="stretch")
    assert card.input.fit == FitPolicy(15, "stretch", filter="bicubic")
    write(given, **changed(**processor))  # open, and --size says it
    _, card = imported(given, pictures, size=18)
    assert card.input.fit == FitPolicy(18, "stretch", filter="bicubic")


def changed(**values: Any) -> dict[str, Any]:
    return TRANSFORMERS | {"preprocessor_config": TRANSFORMERS["preprocessor_config"] | values}


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({"crop_mode": "squash"}, FitPolicy(15, "stretch", 0, 18, "bicubic")),
        ({"crop_mode": "squash", "crop_pct": 1.0}, FitPolicy(15, "stretch", 0, None, "bicubic")),
        ({"crop_pct": None, "interpolation": None}, FitPolicy(15, "resize-crop", 0, 17, "bicubic")),
    ],
)
def test_timm_crops_as_it_says_or_by_its_defaults(
    tmp_path: Path, changes: dict[str, Any], policy: FitPolicy
) -> None:
    timm = TIMM["config"]["pretrained_cfg"] | changes
    write(tmp_path, config={"pretrained_cfg": timm})
    said = read_bundle(tmp_path).said
    assert FitPolicy(15, said.fit or "pad", 0, said.resize, said.filter or "bilinear") == policy


def test_timm_normalises_by_its_defaults(tmp_path: Path) -> None:
    write(tmp_path, config={"pretrained_cfg": {"input_size": [3, 15, 15]}})
    expected = Scaling(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert read_bundle(tmp_path).said.scaling == expected


TIMM_CFG = TIMM["config"]["pretrained_cfg"]
UNCLEAR = {
    "lanczos": (changed(resample=1), "resampled by 1, not known here; --filter says"),
    "another processor": (
        changed(image_processor_type="PerceiverImageProcessor"),
        "PerceiverImageProcessor, which is not known here; --input-scale says",
    ),
    "no numbers": (changed(image_mean=["a"]), "not what Transformers or timm write"),
    "nothing": (
        changed(image_std=None),
        "does not say what a grey level becomes; --input-scale says",
    ),
    "a height alone": (changed(size={"height": 18}), "what size images are resized to; --fit"),
    "a size of true": (changed(size={"shortest_edge": True}), "what size images are resized to"),
    "a flag in words": (
        changed(do_rescale="false"),
        "'false' for 'do_rescale', which is neither true nor false; --input-scale says",
    ),
    "classes without numbers": ({"config": {"id2label": {"a": "b"}}}, "have no numbers"),
    "names by number": (
        {"config": {"label_names": {"0": "a", "1": "b"}, "pretrained_cfg": TIMM_CFG}},
        "label_names that are no list of names; --classes says",
    ),
    "a class left out": ({"config": {"id2label": {"0": "a", "2": "b"}}}, "leave some out"),
    "a list": ({"config": [1]}, "holds no object of JSON"),
    "border": (
        {"config": {"pretrained_cfg": TIMM["config"]["pretrained_cfg"] | {"crop_mode": "border"}}},
        "crops images by the mode 'border'.*--fit says",
    ),
    "no names": ({}, "--classes does"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_not_known_is_a_sentence(tmp_path: Path, pictures: Path, name: str) -> None:
    beside, sentence = UNCLEAR[name]
    write(tmp_path / "given", **beside)
    classes = NAMES if name == "border" else ()
    with pytest.raises(RefusedError, match=sentence) as refused:
        imported(tmp_path / "given", pictures, classes=classes)
    assert "\n" not in str(refused.value)


# --- weights ------------------------------------------------------------------------------------


def relocate(file: Path, **entries: str) -> None:
    model = onnx.load_model(file, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    file.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("offset", ["-1", "9" * 30, "first"])
def test_weights_lie_at_a_number_of_bytes(tmp_path: Path, offset: str) -> None:
    file = write(tmp_path)
    relocate(file, offset=offset)
    with pytest.raises(RefusedError, match="is no number of bytes"):
        read_bundle(file)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", ""])
def test_weights_come_from_the_graphs_folder_alone(tmp_path: Path, location: str) -> None:
    file = write(tmp_path / "given")
    (tmp_path / "secret").write_bytes(bytes(10_000))
    relocate(file, location=location)
    with pytest.raises(RefusedError, match="a file in the graph's folder is accepted"):
        read_bundle(file)


@pytest.mark.parametrize(
    ("stem", "content"),
    [
        ("preprocessor_config", {"size": 6, "rescale_factor": 10**400}),
        (
            "preprocessor_config",
            {"image_processor_type": "ConvNextImageProcessor", "size": 6, "crop_pct": 1e-320},
        ),
        ("config", {"pretrained_cfg": {"input_size": [3, 6, 6], "crop_pct": "0.0"}}),
    ],
)
def test_numbers_that_nobody_can_reckon_with_are_a_sentence(
    tmp_path: Path, stem: str, content: dict[str, Any]
) -> None:
    content |= {"image_mean": [0.5], "image_std": [0.5]} if stem != "config" else {}
    with pytest.raises(RefusedError, match="is not what Transformers or timm write"):
        read_bundle(write(tmp_path, **{stem: content}))


def test_many_names_are_read_in_a_moment(tmp_path: Path) -> None:
    many = 100_000
    names = {str(number): f"class {number // 2}" for number in range(many)}
    apart, _ = told_apart(read_bundle(write(tmp_path, config={"id2label": names})).said.classes)
    assert len({*apart}) == many
    keys = ", ".join(f'"{number}": 0' for number in [*range(many), many - 1])
    (tmp_path / "config.json").write_text(f"{{{keys}}}")
    with pytest.raises(RefusedError, match="the key '99999' is there twice"):
        read_bundle(tmp_path / "model.onnx")


def test_a_place_of_weights_is_said_once_and_in_utf_8(tmp_path: Path) -> None:
    file = write(tmp_path)
    model = onnx.load_model(file, load_external_data=False)
    data = model.SerializeToString()
    file.write_bytes(data.replace(b"model.onnx.data", b"model.onnx\xffdata"))
    with pytest.raises(RefusedError, match="no UTF-8"):
        read_bundle(file)
    again = model.graph.initializer[0].external_data.add()
    again.key, again.value = "location", "other.data"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(RefusedError, match="is said twice"):
        read_bundle(file)


def test_weights_that_are_not_there_are_a_sentence(tmp_path: Path) -> None:
    file = write(tmp_path / "given")
    data = file.with_name("model.onnx.data")
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(RefusedError, match="ends before the weights of 'W' do"):
        read_bundle(file)
    for entries in ({"offset": "-1"}, {"length": "many"}, {"length": "-5"}):
        relocate(write(tmp_path / "given"), **entries)
        with pytest.raises(RefusedError, match="is no number of bytes"):
            read_bundle(file)
    write(tmp_path / "given")
    data.unlink()
    with pytest.raises(RefusedError, match=r"'model.onnx.data' .*No such file"):
        read_bundle(file)
    data.mkdir()
    with pytest.raises(RefusedError, match=r"'model.onnx.data' .*is a folder"):
        read_bundle(file)


def test_the_weights_are_the_files_own(tmp_path: Path) -> None:
    file = write(tmp_path / "given")
    expected = onnx.load_model(file)
    found = onnx.load_model_from_string(read_bundle(file).data)
    assert not any(map(external_data_helper.uses_external_data, found.graph.initializer))
    for one, other in zip(found.graph.initializer, expected.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_a_folder_has_one_graph(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="these ONNX files: none"):
        read_bundle(tmp_path)
    for name in ("._a.onnx", "a.onnx"):  # macOS puts the first beside the second
        onnx.save_model(graph(), tmp_path / name)
    assert read_bundle(tmp_path).file == tmp_path / "a.onnx"
    onnx.save_model(graph(), tmp_path / "b.onnx")
    with pytest.raises(RefusedError, match=r"a\.onnx, b\.onnx"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    "content", [list(NAMES), dict(enumerate(NAMES)), {n: k for k, n in enumerate(NAMES)}]
)
def test_classes_may_be_json(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "classes.json"
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False))
    assert read_classes(str(file)) == (NAMES, ())
    file.write_text("[1, 2]")
    with pytest.raises(RefusedError, match="neither a list of names nor names with numbers"):
        read_classes(str(file))
    file.write_text("[1, ")
    with pytest.raises(RefusedError, match="begin as JSON and are none"):
        read_classes(str(file))


def test_classes_of_one_name_get_their_numbers_behind_it(tmp_path: Path, pictures: Path) -> None:
    """ImageNet has two that are called crane, and answers are names."""
    names = ["crane", "", "crane"]
    for second, expected in (("crane (2)", "named 2 times"), (" ", "cannot be written down")):
        names[1] = second
        write(tmp_path / "given", config={"id2label": dict(enumerate(names))})
        with pytest.raises(RefusedError, match=expected):
            imported(tmp_path / "given", pictures, size=15, scaling=SCALED)
    write(tmp_path / "given", config={"id2label": {"0": "crane", "1": "gull", "2": "crane"}})
    _, card = imported(tmp_path / "given", pictures, size=15, scaling=SCALED)
    assert card.classes == ("crane (0)", "gull", "crane (2)")
    assert any("'crane': their numbers" in note for note in card.origin.adaptations)


def test_folders_are_classes_as_audits_read_them_and_a_wrong_order_is_noticed(
    tmp_path: Path, pictures: Path
) -> None:
    """Disks decompose what editors compose; an order of names that is not the file's is silent."""
    onnx.save_model(graph(), tmp_path / "net.onnx")
    options: dict[str, Any] = {"size": 15, "scaling": SCALED}
    names = ("Schl\u00fcssel", "nut", "bolt")
    folder, _ = imported(tmp_path / "net.onnx", pictures, classes=names, **options)
    images = np.load(folder / "audit.npz")["images"]
    logits = onnxruntime.InferenceSession(folder / "model.onnx").run(["logits"], {"image": images})
    answered = set(logits[0].argmax(axis=1).tolist())
    other = next(name for place, name in enumerate(names) if place not in answered)
    written = unicodedata.normalize("NFD", other.upper())
    (pictures / written).mkdir()
    for file in sorted(pictures.glob("*.png")):
        file.rename(pictures / written / file.name)
    folder, card = imported(tmp_path / "net.onnx", pictures, classes=names, **options)
    assert card.metrics["audit"].error_percent == 100
    said = "\n".join(summarise(folder))
    assert "Error on the audit images: 100.00 % of 4.\n" in said
    assert "the order of the classes may not be the file's" in said


@pytest.mark.parametrize("content", ["crane\ngull\ncrane\n", '["crane", "gull", "crane"]'])
def test_a_named_file_may_have_a_name_twice_too(tmp_path: Path, content: str) -> None:
    """The list of ImageNet's names that everybody uses does; whoever types one twice slipped."""
    file = tmp_path / "classes.txt"
    file.write_text(content)
    names, notes = read_classes(str(file))
    assert names == ("crane (0)", "gull", "crane (2)")
    assert "'crane': their numbers stand behind" in notes[0]
    assert read_classes("crane,gull,crane") == (("crane", "gull", "crane"), ())


def test_unclear_metadata_are_no_obstacle_once_an_option_says_what_they_do_not(
    tmp_path: Path, pictures: Path
) -> None:
    """A hint names an option that helps: with it the same file is imported."""
    write(tmp_path / "given", config={"id2label": {"0": "a", "2": "b"}})
    with pytest.raises(RefusedError, match=r"numbers .* leave some out; --classes says"):
        imported(tmp_path / "given", pictures, size=15, scaling=SCALED)
    _, card = imported(tmp_path / "given", pictures, size=15, scaling=SCALED, classes=NAMES)
    assert card.classes == NAMES

    model = graph()
    metadata = {"author": "Ultralytics", "task": "classify", "names": "{0: ", "imgsz": "15"}
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, tmp_path / "net.onnx")
    options: dict[str, Any] = {}
    for option, given in (("--classes", {"classes": NAMES}), ("--fit", {"fit": "crop"})):
        with pytest.raises(RefusedError, match=f"{option} (says what|does)"):
            imported(tmp_path / "net.onnx", pictures, size=15, **options)
        options |= given
    assert imported(tmp_path / "net.onnx", pictures, size=15, **options)[1].classes == NAMES


@pytest.mark.parametrize("content", ["", "\n \n", "[]", "{}"])
def test_a_file_without_names_is_told_as_that(tmp_path: Path, content: str) -> None:
    (tmp_path / "classes").write_text(content)
    with pytest.raises(RefusedError, match="names no classes"):
        read_classes(str(tmp_path / "classes"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"cat": 0, "dog": 0, "bird": 1}', "a number twice"),
        ('{"0": "cat", "00": "dog", "1": "bird"}', "a number twice"),
        ('{"0": "cat", "0": "dog", "1": "bird"}', "the key '0' is there twice"),
        ('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', "where a name is due"),
        ('{"0": null, "1": "bird"}', "None where a name is due"),
        ('{"cat": true, "dog": false}', "no numbers"),
    ],
)
def test_no_name_is_lost_or_made_up(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "classes.json"
    file.write_text(content)
    with pytest.raises(RefusedError, match=sentence):
        read_classes(str(file))


def test_a_key_that_is_there_twice_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "config.json").write_text('{"id2label": {"0": "a", "0": "b", "1": "c"}}')
    with pytest.raises(RefusedError, match="the key '0' is there twice"):
        read_bundle(tmp_path)


def test_a_file_with_a_comma_in_its_name_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bolts, nuts.txt"
    file.write_text("bolt\r\nnut\u2028s\r\n", newline="")
    assert read_classes(str(file)) == (("bolt", "nut\u2028s"), ())
    many = [f"class {number}" for number in range(1000)]
    assert read_classes(",".join(many)) == (tuple(many), ())
