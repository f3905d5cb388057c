"""`orbitserve compare`: what it compares, where it goes, what its exit status says."""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from audit.comparison import Comparison
from audit.render.comparison import COMPARISON_FORMATS

MODEL = "model_repository/rotmnist-c4-int8/1"
QUIET = ["--progress", "none"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit set of sixty digits, with their labels."""
    whole = load_audit_set(Path(MODEL) / "audit.npz")
    assert whole.labels is not None
    path = tmp_path_factory.mktemp("few") / "few.npz"
    save_audit_set(path, AuditSet(whole.images[:60], whole.labels[:60]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(load_audit_set(Path(MODEL) / "audit.npz").images[:12]):
        Image.fromarray(image[0]).save(folder / f"part-{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports that were asked for before."""
    return tmp_path_factory.mktemp("audited")


@pytest.fixture
def report(run: Any, few: Path, audited: Path, tmp_path: Path) -> Any:
    def made(model: str, images: Path = few) -> Path:
        path = audited / f"{model}-{images.stem}.json"
        if not path.exists():
            run("audit", model, "--images", images, "--output", path, *QUIET)
        return Path(shutil.copy(path, tmp_path / f"{model}.json"))

    return made


@pytest.mark.slow
def test_two_models_are_those_of_their_two_reports(run: Any, report: Any, few: Path) -> None:
    models = ["rotmnist-c4", "rotmnist-cnn"]
    code, out, _ = run("compare", *models, "--images", few, "--json", *QUIET)
    here = Comparison.model_validate_json(out)
    there = Comparison.model_validate_json(run("compare", *map(report, models), "--json")[1])
    assert code == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}[here.verdict]
    plain = {"worse", "baseline", "candidate", "claim"}
    assert here.model_dump(exclude=plain) == there.model_dump(exclude=plain)
    assert [each.name for each in here.worse] == [each.name for each in there.worse]
    assert all(each.png for each in here.worse[:24])


@pytest.mark.slow
def test_a_report_and_a_model_are_on_the_images_that_are_named(
    run: Any, report: Any, few: Path
) -> None:
    before = report("rotmnist-c4")
    code, out, _ = run("compare", before, "rotmnist-c4-int8", "--images", few, "--json", *QUIET)
    assert code == 2  # sixty images show no margin of 1 %
    assert Comparison.model_validate_json(out).matching.images == 60
    code, out, _ = run("compare", before, "rotmnist-c4-int8", *QUIET)
    assert code == 2
    assert "the 60 that both have were matched" in " ".join(out.split())  # of its own 512


@pytest.mark.parametrize(
    ("margin", "fail_on", "code"),
    [("0.2", None, 0), ("0.01", None, 2), ("0.01", "fail", 0), ("0.01", "never", 0)],
)
def test_the_exit_status_is_the_verdict(
    run: Any, report: Any, margin: str, fail_on: str | None, code: int
) -> None:
    sides = [report("rotmnist-c4"), report("rotmnist-c4-int8")]
    more = [] if fail_on is None else ["--fail-on", fail_on]
    assert run("compare", *sides, "--margin", margin, "--no-classes", *more)[0] == code


@pytest.mark.slow
def test_a_candidate_that_is_worse_fails_the_gate(run: Any, report: Any) -> None:
    sides = [report("rotmnist-c4"), report("rotmnist-cnn")]
    code, out, _ = run("compare", *sides, "--fail-on", "fail")
    assert (code, out[:4]) == (1, "FAIL")


def test_it_goes_into_files_of_several_formats(run: Any, report: Any, tmp_path: Path) -> None:
    sides = [report("rotmnist-c4"), report("rotmnist-c4-int8")]
    paths = [tmp_path / f"gate{suffix}" for suffix in (".json", ".html", ".txt")]
    given = [word for path in paths for word in ("--output", path)]
    _, out, _ = run("compare", *sides, *given)
    comparison = Comparison.model_validate_json(paths[0].read_bytes())
    for path, report_format in zip(paths, ("json", "html", "text"), strict=True):
        assert path.read_bytes() == COMPARISON_FORMATS[report_format].write(comparison)  # type: ignore[arg-type]
    assert out.encode() == paths[2].read_bytes()


@pytest.mark.slow
def test_images_are_named_by_their_files(run: Any, folder: Path) -> None:
    code, out, _ = run("compare", "rotmnist-c4", "rotmnist-cnn", "--images", folder, *QUIET)
    assert code in (1, 2)
    assert "part-" in out
    hidden = run(
        *("compare", "rotmnist-c4", "rotmnist-cnn", "--images", folder, "--json"),
        *("--no-pictures", *QUIET),
    )[1]
    assert all(each["png"] is None for each in json.loads(hidden)["worse"])


def test_models_that_number_their_classes_otherwise_are_held_against_names(
    run: Any, few: Path, tmp_path: Path
) -> None:
    """The labels were handed to both as numbers, and refused as two opinions of the images."""
    other, names = onnx.load(f"{MODEL}/model.onnx"), list(map(str, range(10)))
    (classes,) = [each for each in other.metadata_props if each.key == "classes"]
    classes.value = json.dumps(names[::-1])
    onnx.save(other, tmp_path / "other.onnx")
    arguments = "compare", "rotmnist-c4-int8", tmp_path / "other.onnx", "--images", few, "--json"
    code, out, err = run(*arguments, *QUIET)
    assert (code, err) == (1, "")
    correct = Comparison.model_validate_json(out).correct
    assert correct is not None
    assert (correct.baseline >= 58, correct.candidate <= 2) == (True, True)


def test_the_same_model_twice_is_audited_once_and_is_no_worse(run: Any, few: Path) -> None:
    code, out, _ = run(
        *("compare", "rotmnist-c4", "rotmnist-c4", "--images", few, "--margin", "0.1"),
        *("--no-classes", *QUIET),
    )
    assert code == 0
    assert "A and B are the same file" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.json", "none.json"], "The report none.json cannot be read"),
        (["pyproject.toml", "rotmnist-c4"], "has no model 'pyproject.toml'"),
        ([f"{MODEL}/card.json", "rotmnist-c4"], "is no report of an audit"),
        (["rotmnist-c4", "rotmnist-c4", "--format", "sarif"], "There is no format 'sarif'"),
        (["rotmnist-c4", "rotmnist-c4", "--output", "gate.pdf"], "tells no format"),
        (["rotmnist-c4", "rotmnist-c4", "--output", "none/gate.html"], "cannot be written"),
        (["rotmnist-c4", "rotmnist-c4", "--fail-on", "maybe"], "--fail-on is 'maybe'"),
        (["rotmnist-c4", "rotmnist-c4", "--margin", "0"], "'--margin'"),
        (["rotmnist-c4"], "Missing argument 'B'"),
        ([f"{MODEL}/model.onnx", f"{MODEL}/model.onnx"], "has no images of its own"),
        (["rotmnist-c4", "rotmnist-c4", "--json", "--format", "text"], "one may"),
    ],
)
def test_what_goes_wrong_is_one_sentence(run: Any, arguments: list[str], sentence: str) -> None:
    code, out, err = run("compare", *arguments, *QUIET)
    assert (code, out) == (3, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_images_are_not_for_reports(run: Any, report: Any, few: Path) -> None:
    path = report("rotmnist-c4")
    code, _, err = run("compare", path, path, "--images", few)
    assert code == 3
    assert "--images, --group and --group-by are for models" in err


@pytest.mark.slow
def test_reports_on_other_images_are_refused(
    run: Any, report: Any, folder: Path, tmp_path: Path
) -> None:
    before = shutil.copy(report("rotmnist-c4"), tmp_path / "before.json")
    whole = load_audit_set(Path(MODEL) / "audit.npz")
    others = tmp_path / "others.npz"
    save_audit_set(others, AuditSet(whole.images[100:130]))
    code, out, err = run("compare", before, report("rotmnist-c4", others))
    assert (code, out) == (3, "")
    assert "not on the same images: of 60 and 30 images, both have 0" in err
