"""What else is done from the page: audits, the ledger, several files, models; with a key, too."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.axe import violations
from tests.service.access.test_keys import ADMIN, FILE, INFER
from tests.service.console.conftest import PHONE, STATIC, Console, Open, check_with_axe
from tests.service.processes import Server, serving

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SEVEN, TWO = STATIC / "sample-7.png", STATIC / "sample-2.png"
FORMATS = ("json", "text", "html", "junit", "sarif", "in-toto", "cyclonedx")


@pytest.fixture(scope="module")
def server(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a ledger, where nobody may change which models are served."""
    ledger = tmp_path_factory.mktemp("ledger")
    with serving(shipped, ledger=ledger, poll_seconds=0) as server:
        yield server


@pytest.fixture(scope="module")
def locked(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with keys, and without a ledger."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(FILE)
    with serving(shipped, api_keys=keys, poll_seconds=0) as server:
        yield server


def download(console: Console, button: str) -> tuple[str, bytes]:
    with console.page.expect_download() as found:
        console.page.locator(button).click()
    return found.value.suggested_filename, Path(found.value.path()).read_bytes()


def audit(console: Console, model: str) -> None:
    console.page.check("#audit-quick")
    console.page.select_option("#audit-model", model)
    console.press("audit-run")


class TestAudit:
    def test_its_verdict_is_read_and_every_format_is_had(self, console: Console) -> None:
        audit(console, "rotmnist-c4")
        assert console.text("#report .verdict") == "PASS"
        assert "100 of 100 images keep their label" in console.text("#report")
        assert console.page.evaluate("document.activeElement.id") == "report"
        for name in FORMATS:
            file, content = download(console, f"#report button:text-is('{name}')")
            assert file.startswith("audit-rotmnist-c4-1.")
            assert b"rotmnist-c4" in content
            if name == "json":
                assert json.loads(content)["verdict"] == "PASS"
        console.page.locator("#report button:text-is('dsse')").click()
        console.wait_for("#report .refusal", "ORBITSERVE_SIGNING_KEY")
        with console.page.context.expect_page() as opened:
            console.page.locator("#report a").click()
        opened.value.wait_for_selector("svg.chart")
        audit(console, "rotmnist-cnn")
        assert console.text("#report .verdict") == "FAIL"

    def test_images_of_ones_own(self, console: Console) -> None:
        console.page.set_input_files("#audit-files", [SEVEN, TWO])
        assert console.text("#audit-images") == "2 images of yours"
        console.press("audit-run")
        assert "2 images are too few" in console.text("#report")
        console.drop(b"hello", "a.png", "image/png", "#audit")
        assert console.text("#audit-images") == "1 image of yours"
        console.press("audit-run")
        console.wait_for("#audit-refusal", "The file is not an image of a known format")
        assert not console.text("#report")

    def test_it_is_cancelled(self, console: Console) -> None:
        console.page.select_option("#audit-angles", "72")
        console.page.check("#audit-every")
        console.page.locator("#audit-run").click()
        console.wait_for("#audit-said", "images")
        assert console.page.locator("#audit-progress").is_visible()
        console.page.locator("#audit-cancel").click()
        console.wait_for("#audit-refusal", "The audit was cancelled.")
        assert not console.page.locator("#audit-cancel").is_visible()
        assert console.page.evaluate("document.activeElement.id") == "audit-run"

    def test_by_keyboard_alone(self, console: Console) -> None:
        console.page.locator("#audit-quick").focus()
        console.page.keyboard.press("Space")
        for _ in range(3):
            console.page.keyboard.press("Tab")
        console.page.keyboard.press("Enter")
        console.wait_for("#report .verdict", "PASS")

    def test_rarer_options(self, console: Console) -> None:
        console.page.locator("#audit summary").click()
        console.page.fill("#audit-agreement", "0.4")
        console.page.fill("#audit-confidence", "0.6")
        audit(console, "rotmnist-cnn")
        _, content = download(console, "#report button:text-is('json')")
        asked = json.loads(content)["thresholds"]
        assert (asked["agreement"], asked["confidence"]) == (0.4, 0.6)
        console.page.fill("#audit-agreement", "most")
        console.press("audit-run")
        console.wait_for("#audit-refusal", "agreement")

    def test_what_own_images_show(self, console: Console) -> None:
        console.page.set_input_files("#audit-files", [SEVEN, TWO])
        console.page.locator("#audit summary").click()
        console.page.fill("#audit-labels", "7, 2")
        console.press("audit-run")
        _, content = download(console, "#report button:text-is('json')")
        assert json.loads(content)["figures"]["accuracy"] is not None
        console.page.fill("#audit-labels", "7")
        console.press("audit-run")
        console.wait_for("#audit-refusal", "There are 1 labels for 2 images")


class TestLedger:
    def test_it_is_browsed_and_two_are_compared(self, console: Console) -> None:
        for model in ("rotmnist-cnn", "rotmnist-c4"):
            audit(console, model)
        console.press("ledger-list")
        newest, before = (
            console.page.locator("#ledger-table tbody tr").nth(place) for place in (0, 1)
        )
        assert "rotmnist-c4/1" in newest.inner_text()
        assert "PASS" in newest.inner_text()
        assert "FAIL" in before.inner_text()
        console.press("ledger-compare")
        console.wait_for("#ledger-refusal", "Choose two audits")
        before.locator("input[name=a]").check()
        newest.locator("input[name=b]").check()
        console.press("ledger-compare")
        assert console.text("#ledger-report .verdict") in ("PASS", "INCONCLUSIVE")
        file, content = download(console, "#ledger-report button:text-is('html')")
        assert (file, content[:15].lower()) == ("comparison.html", b"<!doctype html>")
        before.locator("button").click()
        console.wait_for("#ledger-report .verdict", "FAIL")

    def test_reports_of_ones_own(self, console: Console, tmp_path: Path) -> None:
        for side, model in (("a", "rotmnist-cnn"), ("b", "rotmnist-c4")):
            audit(console, model)
            _, content = download(console, "#report button:text-is('json')")
            (tmp_path / side).write_bytes(content)
        console.page.locator("#ledger summary").click()
        console.press("sent-compare")
        console.wait_for("#ledger-refusal", "Choose two reports")
        for side in "ab":
            console.page.set_input_files(f"#sent-{side}", tmp_path / side)
        console.press("sent-compare")
        assert console.text("#ledger-report .verdict") in ("PASS", "INCONCLUSIVE")

    def test_how_the_audits_of_a_model_went(self, console: Console) -> None:
        for _ in range(2):
            audit(console, "rotmnist-cnn")
        console.page.select_option("#history-model", "rotmnist-cnn")
        console.press("ledger-history")
        rows = console.page.locator("#ledger-report tbody tr").all_inner_texts()
        numbers = [int(row.split("\t")[0]) for row in rows]
        assert len(numbers) >= 2
        assert numbers == sorted(numbers)
        assert all("FAIL" in row for row in rows)
        file, content = download(console, "#ledger-report button:text-is('html')")
        assert (file, content[:15].lower()) == ("history-rotmnist-cnn.html", b"<!doctype html>")

    def test_there_is_none(self, open_console: Open, locked: Server) -> None:
        console = open_console(locked.url, ready=False)
        unlock(console, ADMIN)
        for button in ("ledger-list", "ledger-history"):
            console.press(button)
            console.wait_for("#ledger-refusal", "ORBITSERVE_LEDGER")


class TestFiles:
    def test_a_table_and_a_file_of_it(self, console: Console, tmp_path: Path) -> None:
        evil = tmp_path / '=cmd, or "none".png'
        evil.write_bytes(TWO.read_bytes())
        broken = tmp_path / "broken.png"
        broken.write_bytes(SEVEN.read_bytes()[:-20])
        console.page.set_input_files("#files", [SEVEN, evil, broken])
        console.page.wait_for_selector("#files-csv:visible")
        rows = console.page.locator("#files-table tbody tr").all_inner_texts()
        assert [row.split("\t")[1] for row in rows] == ["sample-7.png", evil.name, "broken.png"]
        assert "The image is broken or cut off" in rows[2]
        named = console.page.locator("#files-table canvas").evaluate_all(
            "all => all.map((each) => each.getAttribute('aria-label'))"
        )
        assert named[0] == "Thumbnail of sample-7.png"
        inked = console.page.locator("#files-table canvas").first.evaluate(
            "each => each.getContext('2d').getImageData(0, 0, 48, 48).data.some((v) => v > 200)"
        )
        assert inked
        _, content = download(console, "#files-csv")
        found = [*csv.DictReader(io.StringIO(content.decode(), newline=""))]
        assert [row["label"] for row in found] == ["7", "2", ""]
        assert [row["file"] for row in found] == ["sample-7.png", f"'{evil.name}", "broken.png"]
        assert found[0]["model"] == "rotmnist-c4"
        assert found[0]["digest"].startswith("sha256:")
        assert 0.5 < float(found[0]["probability"]) < 1
        assert "broken" in found[2]["error"]


class TestGlance:
    def test_what_is_served_and_what_was_asked(self, console: Console) -> None:
        console.press("glance-look")
        cells = console.page.locator("#glance-table tbody tr").first.locator("th, td")
        assert cells.nth(0).inner_text() == "rotmnist-c4"
        before = int(cells.nth(3).inner_text())
        assert before >= 1
        assert cells.nth(4).inner_text().startswith("≤ ")
        console.page.locator("[data-sample='sample-2.png']").click()
        console.wait_for("#chosen .label", "2")
        console.press("glance-look")
        assert int(cells.nth(3).inner_text()) == before + 1

    def test_nobody_may_change_what_is_served(self, console: Console) -> None:
        console.press("glance-look")
        console.page.locator("[aria-label='Unload rotmnist-cnn']").click()
        console.wait_for("#glance-refusal", "ORBITSERVE_MODEL_CONTROL=true")

    def test_a_model_goes_and_comes(self, open_console: Open, locked: Server) -> None:
        console = open_console(locked.url, ready=False)
        unlock(console, ADMIN)
        console.press("glance-look")
        console.page.locator("[aria-label='Unload rotmnist-cnn']").click()
        console.page.wait_for_selector("[aria-label='Load rotmnist-cnn']")
        console.page.wait_for_function(
            "() => document.querySelectorAll('#chosen-model option').length === 1"
        )
        console.page.locator("[aria-label='Load rotmnist-cnn']").click()
        console.page.wait_for_selector("[aria-label='Unload rotmnist-cnn']")


def unlock(console: Console, key: str) -> None:
    """Give the page a key, as the service asks for one."""
    console.page.wait_for_selector("#key-box[open]")
    console.page.locator("#key").fill(key)
    console.page.keyboard.press("Enter")
    console.page.wait_for_selector("#chosen-model option", state="attached")


def test_axe_finds_nothing_in_what_was_answered(console: Console) -> None:
    audit(console, "rotmnist-c4")
    with console.page.context.expect_page() as opened:
        console.page.locator("#report a").click()
    opened.value.wait_for_selector("svg.chart")
    assert violations(opened.value) == []
    opened.value.close()
    console.press("ledger-list")
    console.page.locator("#ledger-table button").first.click()
    console.page.wait_for_selector("#ledger-report .verdict")
    console.page.set_input_files("#files", [SEVEN, Path(__file__)])
    console.page.wait_for_selector("#files-csv:visible")
    console.press("glance-look")
    console.page.locator("#report summary").click()
    console.page.locator("#ledger-report summary").click()
    check_with_axe(console)
    console.page.set_viewport_size(PHONE["viewport"])
    assert console.page.evaluate("document.documentElement.scrollWidth") == 390


def test_axe_finds_nothing_in_a_history(console: Console) -> None:
    audit(console, "rotmnist-c4")
    console.press("ledger-history")
    for summary in console.page.locator("summary:visible").all():
        summary.click()
    check_with_axe(console)
    console.page.set_viewport_size(PHONE["viewport"])
    assert console.page.evaluate("document.documentElement.scrollWidth") == 390


def test_axe_finds_nothing_in_the_help(console: Console) -> None:
    console.page.locator("nav a", has_text="Help").click()
    console.page.wait_for_url("**/help")
    check_with_axe(console)
    console.page.set_viewport_size(PHONE["viewport"])
    assert console.page.evaluate("document.documentElement.scrollWidth") == 390


class TestKeys:
    def test_one_is_asked_for_and_is_kept_in_memory_alone(
        self, open_console: Open, locked: Server
    ) -> None:
        console = open_console(locked.url, ready=False)
        console.wait_for("#models-refusal", "This call needs an API key")
        console.page.locator("#key").fill("a-key-that-nobody-gave")
        console.page.keyboard.press("Enter")
        console.wait_for("#models-refusal", "is not one of those accepted")
        unlock(console, INFER)
        console.page.wait_for_selector("#chosen .label:not(:empty)")
        kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
        assert INFER not in console.page.evaluate(kept)
        console.page.reload()
        console.wait_for("#models-refusal", "This call needs an API key")

    def test_one_that_does_not_suffice(self, open_console: Open, locked: Server) -> None:
        console = open_console(locked.url, ready=False)
        unlock(console, INFER)
        console.page.wait_for_selector("#chosen .label:not(:empty)")
        for button, place in (
            ("certify", "turn"),
            ("audit-run", "audit"),
            ("ledger-list", "ledger"),
        ):
            console.press(button)
            console.wait_for(f"#{place}-refusal", "a key with the scope 'admin' is accepted")

    def test_documents_are_had_with_it(self, open_console: Open, locked: Server) -> None:
        console = open_console(locked.url, ready=False)
        unlock(console, ADMIN)
        console.page.wait_for_selector("#proved:not(:empty)")
        file, content = download(console, "#proof-link")
        assert (file, json.loads(content)["outcome"]) == ("proof-link.json", "PROVED")
        audit(console, "rotmnist-c4")
        assert not console.page.locator("#report a").count()  # it would not send the key
        _, content = download(console, "#report button:text-is('html')")
        assert content.lower().startswith(b"<!doctype html>")
