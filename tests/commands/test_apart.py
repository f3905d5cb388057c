"""What a command writes takes the place of nothing that it reads, nor of a model's file."""

import shutil
from pathlib import Path

import pytest

from commands.writing import check_apart
from imaging import RefusedError

MODEL = "rotmnist-c4-small-int8"
DIGIT = Path("examples/seven.png")


def refused(run, *words):
    code, out, err = run(*words)
    assert (code, out) == (3, "")
    assert err.startswith("orbitserve: ") and err.count("\n") == 1
    return err


READ = {
    "audit --images": ("audit", MODEL, "--format", "json", "--images", "{it}"),
    "audit --labels": (
        "audit",
        MODEL,
        "--format",
        "json",
        "--images",
        "examples",
        "--labels",
        "{it}",
    ),
    "audit --group-by": ("audit", MODEL, "--format", "json", "--group-by", "{it}"),
    "audit --about": ("audit", MODEL, "--format", "json", "--about", "{it}"),
    "audit --resume": ("audit", MODEL, "--format", "json", "--resume", "{it}"),
    "audit FILE": ("audit", "{it}", "--format", "json"),
    "evaluate --labels": ("evaluate", MODEL, "examples", "--labels", "{it}"),
    "evaluate --group-by": ("evaluate", MODEL, "examples", "--group-by", "{it}"),
    "evaluate FILE": ("evaluate", "{it}", "examples"),
    "compare A": ("compare", "{it}", "other.json"),
    "compare B": ("compare", "other.json", "{it}"),
    "compare --group-by": ("compare", MODEL, MODEL, "--group-by", "{it}"),
    "classify": ("classify", "{it}", "--format", "csv"),
}


@pytest.mark.parametrize("words", READ.values(), ids=READ)
def test_a_file_that_is_read_is_not_written_over(run, tmp_path, words):
    it = tmp_path / "it.json"
    it.write_bytes(DIGIT.read_bytes())
    asked = [word.format(it=it) for word in words]
    assert "is read by this command" in refused(run, *asked, "--output", it)
    assert it.read_bytes() == DIGIT.read_bytes()


def test_nor_is_a_key(run, tmp_path):
    pytest.importorskip("model_signing", reason="the extra `signing` is not installed")
    from tests.service.signing import make_key

    key = make_key(tmp_path, "signer").private
    held = key.read_bytes()
    asked = ["audit", MODEL, "--sign", key, "--format", "dsse", "--output", key]
    assert "is read by this command" in refused(run, *asked)
    assert key.read_bytes() == held


URLS = ["file://{}", "local://{}", "simplecache::file://{}", "zip://a.png::local://{}"]


@pytest.mark.parametrize("option", ["--output", "--resume"])
@pytest.mark.parametrize("url", ["{}", *URLS, "file:{}", "dir::{}"])
def test_nor_is_an_entry_of_the_ledger(run, tmp_path, url, option):
    ledger = tmp_path / "ledger"
    entry = ledger / "entries" / "0000000001.json"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(b"{}")
    asked = ["audit", MODEL, "--ledger", url.format(ledger), option, entry]
    assert "lies in the ledger" in refused(run, *asked)
    assert entry.read_bytes() == b"{}"


def test_a_ledger_of_the_home_folder_is_found_there(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "audits").mkdir()
    asked = ["audit", MODEL, "--ledger", "~/audits", "--output", tmp_path / "audits" / "a.json"]
    assert "lies in the ledger" in refused(run, *asked)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("link", [False, True])
def test_nor_is_what_a_url_names(run, tmp_path, url, link):
    image = it = tmp_path / "it.csv"
    image.write_bytes(DIGIT.read_bytes())
    if link:
        it = tmp_path / "link.csv"
        it.symlink_to(image)
    named = url.format(it)
    assert "is read by this command" in refused(run, "classify", named, "--output", image)
    asked = ["audit", MODEL, "--format", "json", "--images", named]
    assert "is read by this command" in refused(run, *asked, "--output", image)
    assert image.read_bytes() == DIGIT.read_bytes()


def test_nor_is_a_table_below_a_url(run, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    from pyarrow import parquet

    table = tmp_path / "it.parquet"
    parquet.write_table(pyarrow.table({"image": [DIGIT.read_bytes()]}), table)
    before = table.read_bytes()
    asked = ["classify", f"local://{tmp_path}", "--model", MODEL, "--output", table]
    assert "is read by this command" in refused(run, *asked)
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    "words", [["classify", "--format", "csv"], ["audit", MODEL, "--format", "json", "--images"]]
)
def test_nor_is_an_image_of_a_folder_that_is_read(run, tmp_path, words):
    image = tmp_path / "deep" / "seven.png"
    image.parent.mkdir()
    shutil.copy(DIGIT, image)
    assert "is read by this command" in refused(run, *words, tmp_path, "--output", image)
    assert image.read_bytes() == DIGIT.read_bytes()


def test_names_and_links_of_one_file_are_one(tmp_path):
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "labels.csv", tmp_path / "link.csv"
    file.touch()
    link.symlink_to(file)
    with pytest.raises(RefusedError, match="is read"):
        check_apart([tmp_path / "folder" / ".." / "labels.csv"], [file])
    with pytest.raises(RefusedError, match="is read"):
        check_apart([file], [link])
    check_apart([link], [file])  # the link is replaced, and the file stays
    check_apart([file], [None, "", "s3://bucket/labels.csv", "a::memory://b", tmp_path])


def test_one_output_is_not_another(run, tmp_path):
    report = tmp_path / "report.json"
    twice = ["--output", report, "--output", tmp_path / "." / "report.json"]
    assert "named twice" in refused(run, "audit", MODEL, *twice)


def test_a_version_of_a_model_stays_as_it_is(run, tmp_path):
    version = tmp_path / MODEL / "1"
    shutil.copytree(f"model_repository/{MODEL}/1", version)
    asked = ["audit", MODEL, "--repository", tmp_path, "--output", version / "card.json"]
    assert "never changes" in refused(run, *asked)
