"""Settings come from the environment, options precede it, and a wrong one is named."""

from pathlib import Path

import pytest

from service.environment import check_who_may_call, read_settings
from service.settings import ConfigurationError, Settings

FIELDS = Settings.model_fields.items()
PLACES = ["LEDGER", *(name.upper() for name, each in FIELDS if "Path" in str(each.annotation))]
SECONDS = [name.upper() for name, each in FIELDS if "float" in str(each.annotation)]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ORBITSERVE_{name.upper()}", raising=False)
    monkeypatch.delenv("ORBITSERVE_API_KEY", raising=False)


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
        ("THREADS", "4097", "less than or equal to 4096"),
        ("MAX_BATCH_SIZE", str(2**31), "less than or equal to 2147483647"),
        ("LOAD_MEMORY", str(2**40 + 1), "less than or equal to 1099511627776"),
        ("PROOF_MEMORY", str(2**40 + 1), "less than or equal to 1099511627776"),
        ("GPU_MEMORY_BYTES", str(2**63), "less than 9223372036854775808"),
        ("HOST", "", "it names no address; '127.0.0.1', '0.0.0.0' or '::' is accepted"),
        ("HOST", " ", "it names no address"),
        *((name, "", "it names no place; without one, leave it out") for name in PLACES),
        ("DEFAULT_MODEL", "", "it names no model; for the first in the alphabet, leave it out"),
        *((name, "inf", "finite number") for name in SECONDS),
        ("ROOT_PATH", "inspection", "begins with '/' and ends without it"),
        ("ROOT_PATH", "/inspection/", "begins with '/' and ends without it"),
        ("ROOT_PATH", "//host", "begins with '/' and ends without it"),
        ("KEEP_ALIVE_SECONDS", "0", "greater than 0"),
        ("WORKER_TIMEOUT", "1.5", "at least 2 seconds are accepted, or 0"),
        ("MAX_PENDING_BYTES", "1000", "should hold one body, of up to 33554432 bytes"),
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


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ORBITSERVE_APIKEYS", "ORBITSERVE_API_KEYS is accepted"),
        ("ORBITSERVE_MAX_BODY_BYTE", "ORBITSERVE_MAX_BODY_BYTES is accepted"),
        ("orbitserve_workrs", "ORBITSERVE_WORKERS is accepted"),
        ("ORBITSERVE_XYZ", "those that docs/settings.md lists are accepted"),
    ],
)
def test_a_misspelt_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert str(refused.value) == f"The variable {variable} is no setting and changes nothing; " + (
        f"{meant}."
    )


def test_what_kubernetes_sets_for_a_service_of_this_name_is_no_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables of https://kubernetes.io/docs/concepts/services-networking/service."""
    for name in ("ORBITSERVE_GPU", "ORBITSERVE_PREDICTOR_1"):
        monkeypatch.setenv(f"{name}_SERVICE_HOST", "10.0.0.11")
        monkeypatch.setenv(f"{name}_SERVICE_PORT", "8000")
        monkeypatch.setenv(f"{name}_SERVICE_PORT_HTTP", "8000")
        monkeypatch.setenv(f"{name}_PORT", "tcp://10.0.0.11:8000")
        monkeypatch.setenv(f"{name}_PORT_8000_TCP", "tcp://10.0.0.11:8000")
        monkeypatch.setenv(f"{name}_PORT_8000_TCP_PROTO", "tcp")
        monkeypatch.setenv(f"{name}_PORT_8000_TCP_PORT", "8000")
        monkeypatch.setenv(f"{name}_PORT_8000_TCP_ADDR", "10.0.0.11")
    monkeypatch.setenv("ORBITSERVE_SERVICE_HOST", "10.0.0.12")
    read_settings()
    for name in ("ORBITSERVE_PORT", "ORBITSERVE_GRPC_PORT"):  # which are settings
        with monkeypatch.context() as link:
            link.setenv(name, "tcp://10.0.0.11:8000")
            with pytest.raises(ConfigurationError, match=f"{name} is .*`enableServiceLinks"):
                read_settings()
    monkeypatch.setenv("ORBITSERVE_GRPCS_PORT", "8001")
    with pytest.raises(ConfigurationError, match="ORBITSERVE_GRPC_PORT is accepted"):
        read_settings()


def test_a_clients_key_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_who_may_call(read_settings())
    monkeypatch.setenv("ORBITSERVE_API_KEY", "k" * 16)
    with pytest.raises(ConfigurationError, match="keeps nobody from calling"):
        check_who_may_call(read_settings())
    check_who_may_call(read_settings(api_keys=tmp_path / "keys"))


def test_two_protocols_do_not_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITSERVE_PORT", "9000")
    with pytest.raises(ConfigurationError, match="ORBITSERVE_GRPC_PORT is '9000': it is ORBIT"):
        monkeypatch.setenv("ORBITSERVE_GRPC_PORT", "9000")
        read_settings()
    assert read_settings(port=0, grpc_port=0).grpc_port == 0  # a free one each


def test_a_connection_may_be_idle_for_longer_than_balancers_keep_theirs() -> None:
    assert read_settings().keep_alive_seconds > 60


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match="ORBITSERVE_PORT is -1"):
        read_settings(port=-1)
    with pytest.raises(ConfigurationError, match="ORBITSERVE_PROT"):
        read_settings(prot=8000)


def test_every_setting_is_documented() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`ORBITSERVE_{name.upper()}`" in guide


@pytest.mark.parametrize("name", ["ORBITSERVE_PORT", f"ORBITSERVE_{'X' * 10**5}"])
def test_of_a_long_wrong_setting_the_beginning_is_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "9" * 10**5)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert len(str(refused.value)) < 600
