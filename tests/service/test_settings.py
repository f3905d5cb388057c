"""Settings come from the environment, options precede it, and a wrong one is named."""

from pathlib import Path

import pytest

from service.settings import ConfigurationError, Settings, read_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ORBITSERVE_{name.upper()}", raising=False)


def test_options_precede_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITSERVE_PORT", "9000")
    monkeypatch.setenv("ORBITSERVE_REPOSITORY", "/models")
    settings = read_settings(port=9001, host=None, repository=None)
    assert (settings.port, settings.repository) == (9001, Path("/models"))
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("PORT", "http", "integer"),
        ("PORT", "70000", "65535"),
        ("DEVICE", "gpu", "'auto', 'cpu', 'cuda' or 'tensorrt'"),
        ("THREADS", "0", "greater than 0"),
        ("HOST", "", "it names no address; '127.0.0.1', '0.0.0.0' or '::' is accepted"),
        ("HOST", " ", "it names no address"),
        ("ROOT_PATH", "inspection", "begins with '/' and ends without it"),
        ("ROOT_PATH", "/inspection/", "begins with '/' and ends without it"),
        ("ROOT_PATH", "//host", "begins with '/' and ends without it"),
        ("KEEP_ALIVE_SECONDS", "0", "greater than 0"),
        ("MAX_QUEUE_SIZE", "63", "should hold one request, of up to 64 images"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, names: str
) -> None:
    monkeypatch.setenv(f"ORBITSERVE_{name}", value)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    sentence = str(refused.value)
    assert sentence.startswith(f"The setting ORBITSERVE_{name} is '{value}': ")
    assert names in sentence


def test_a_connection_may_be_idle_for_longer_than_balancers_keep_theirs() -> None:
    assert read_settings().keep_alive_seconds > 60


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match="ORBITSERVE_PORT is -1"):
        read_settings(port=-1)
    with pytest.raises(ConfigurationError, match="ORBITSERVE_PROT"):
        read_settings(prot=8000)


def test_every_setting_is_documented() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    for name in Settings.model_fields:
        assert f"`ORBITSERVE_{name.upper()}`" in guide
