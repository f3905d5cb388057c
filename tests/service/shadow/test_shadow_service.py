"""Shadow audits of a service that answers over sockets, with digits and the models that ship."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog

from artifact.audit_set import load_audit_set
from audit import evaluate_orbit
from imaging import grid_symmetries
from service.settings import ConfigurationError, Settings
from service.shadow import open_shadow
from tests.service.observability.scrape import Scrape
from tests.service.processes import NPY, npy
from tests.waiting import wait_until

MODELS = Path(__file__).parents[3] / "model_repository"
PLAIN, EXACT, FLOAT = "rotmnist-cnn", "rotmnist-c4-int8", "rotmnist-c4"

Listen = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in (PLAIN, EXACT, FLOAT):
        (root / name).symlink_to(MODELS / name)
    return root


@pytest.fixture
def serve(listen: Listen, models: Path) -> Callable[..., AbstractContextManager[Any]]:
    def serving(**options: Any) -> AbstractContextManager[Any]:
        options = {"shadow_time": 1} | options
        return listen(models, default_model=FLOAT, proof="off", log_requests=0, **options)

    return serving


def model_of(server: Any, name: str) -> Any:
    return server.app.state.data_plane.repository.find(name)


def digits(name: str) -> Any:
    return load_audit_set(MODELS / name / "1" / "audit.npz").images


def classify(server: Any, name: str, images: Any, size: int = 1) -> None:
    with httpx.Client(base_url=server.url) as client:
        for start in range(0, len(images), size):
            body = npy(images[start : start + size])
            answer = client.post(f"/models/{name}/classify", content=body, headers=NPY)
            assert answer.status_code == 200


def settled(server: Any, name: str, chosen: int) -> Scrape:
    """Scrape once as many images were tried, or dropped, as were chosen."""
    tally = model_of(server, name).shadow.tally
    wait_until(lambda: tally.trials + sum(tally.dropped.values()) == chosen)
    found = Scrape(httpx.get(f"{server.url}/metrics").text)
    tried = found("orbitserve_shadow_trials_total", model=name)
    assert tried + found("orbitserve_shadow_dropped_total", model=name) == chosen
    return found


@pytest.mark.slow
def test_a_plain_network_is_caught_over_digits_that_it_confuses(serve: Any, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with serve(shadow_share=1, shadow_keep=keep) as server:
        logits, images = model_of(server, PLAIN).session.logits, digits(PLAIN)
        orbit = evaluate_orbit(logits, images, grid_symmetries("C4"))
        confused = images[orbit.label_changed.any(axis=0)]
        assert 5 < len(confused) < 20
        # Each is caught at least once in three times: none of 90 would be an error of 2e-16.
        classify(server, PLAIN, np.concatenate([confused] * 10))
        found = settled(server, PLAIN, 10 * len(confused))
        model_of(server, PLAIN).shadow._recorder.wait()
    trials = found("orbitserve_shadow_trials_total", model=PLAIN)
    disagreements = found("orbitserve_shadow_disagreements_total", model=PLAIN)
    assert trials > 5 * len(confused)
    assert 0 < disagreements < trials
    assert found("orbitserve_shadow_deviations_total", model=PLAIN) == trials
    assert found("orbitserve_shadow_largest_deviation", model=PLAIN) > 0.01
    low = found("orbitserve_shadow_agreement_lower", model=PLAIN)
    high = found("orbitserve_shadow_agreement_upper", model=PLAIN)
    assert low < 1 - disagreements / trials < high < 0.99
    assert (
        abs(found("orbitserve_shadow_last_trial_timestamp_seconds", model=PLAIN) - time.time()) < 60
    )
    kept = [path for path in keep.iterdir() if path.suffix == ".png"]
    assert kept
    assert {path.name.rsplit("-", 3)[0] for path in kept} == {PLAIN}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tolerance"), [(EXACT, 0.0), (FLOAT, 1e-4)])
def test_a_network_with_a_group_is_not_however_images_come(
    serve: Any, name: str, tolerance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serve(shadow_share=1) as server:
        images = digits(name)
        classify(server, name, images[:60])
        classify(server, name, images[:64], size=32)  # these logits come from another batch size
        found = settled(server, name, 124)
    assert found("orbitserve_shadow_trials_total", model=name) > 60
    assert found("orbitserve_shadow_disagreements_total", model=name) == 0
    assert found("orbitserve_shadow_deviations_total", model=name) == 0
    assert found("orbitserve_shadow_largest_deviation", model=name) <= tolerance
    assert found("orbitserve_shadow_agreement_upper", model=name) == 1
    assert found("orbitserve_shadow_agreement_lower", model=name) > 0.9
    assert found("orbitserve_shadow_seconds_total", model=name) > 0
    # Neither trials nor their images are requests, or audits that somebody asked for.
    assert found("nv_inference_count", model=name) == 124
    assert found("nv_inference_request_success", model=name) == 62
    assert found("orbitserve_audit_images_total", model=name) == 0
    assert found("orbitserve_inference_seconds_count", model=name) == 62
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_protocol_s_requests_are_chosen_too(serve: Any) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [3, 1, 28, 28]}
    body = {"inputs": [tensor | {"data": digits(EXACT)[:3].ravel().tolist()}]}
    with serve(shadow_share=1) as server:
        assert httpx.post(f"{server.url}/v2/models/{EXACT}/infer", json=body).status_code == 200
        found = settled(server, EXACT, 3)
    assert found("orbitserve_shadow_trials_total", model=EXACT) == 3


@pytest.mark.slow
def test_a_part_of_the_images_is_chosen_and_audits_are_not(serve: Any) -> None:
    with serve(shadow_share=0.25) as server:
        images = digits(EXACT)
        audit = f"{server.url}/models/{EXACT}/audit"
        assert (
            httpx.post(audit, content=npy(images[:4]), headers=NPY, timeout=60).status_code == 200
        )
        tally = model_of(server, EXACT).shadow.tally
        assert tally.trials + sum(tally.dropped.values()) == 0
        classify(server, EXACT, np.concatenate([images, images]), size=64)
        model_of(server, EXACT).session.drain()  # each is tried by then, or dropped
        chosen = tally.trials + sum(tally.dropped.values())
        assert abs(chosen - 256) < 5 * 13.9


def test_without_a_share_there_is_no_shadow_and_no_series(serve: Any) -> None:
    with serve() as server:
        classify(server, EXACT, digits(EXACT)[:2])
        assert model_of(server, EXACT).shadow is None
        names = Scrape(httpx.get(f"{server.url}/metrics").text).names
    assert not {name for name in names if "shadow" in name}


@pytest.mark.slow
def test_a_graph_that_fails_on_what_is_turned_harms_no_request(serve: Any) -> None:
    with serve(shadow_share=1) as server:
        model = model_of(server, EXACT)
        image = digits(EXACT)[:1]
        due, session = image.tobytes(), model.session
        compute = session.compute

        def fails(parts: Any) -> Any:
            if any(part.tobytes() != due for part in parts):
                raise RuntimeError("no kernel for this")
            return compute(parts)

        session.compute = fails
        classify(server, EXACT, np.concatenate([image] * 30))
        found = settled(server, EXACT, 30)
        assert session.ready
    assert found("orbitserve_shadow_dropped_total", model=EXACT, reason="failed") > 10
    assert found("orbitserve_shadow_trials_total", model=EXACT) == 0
    assert found("nv_inference_request_failure", model=EXACT) == 0
    assert found("orbitserve_model_ready", model=EXACT) == 1


@pytest.mark.slow
def test_a_version_that_is_loaded_anew_starts_anew(serve: Any) -> None:
    with serve(shadow_share=1, model_control=True) as server:
        classify(server, EXACT, digits(EXACT)[:5])
        settled(server, EXACT, 5)
        for what in ("unload", "load"):
            url = f"{server.url}/v2/repository/models/{EXACT}/{what}"
            assert httpx.post(url, timeout=60).status_code == 200
        found = settled(server, EXACT, 0)
        assert found("orbitserve_shadow_share", model=EXACT) == 1
        assert found("orbitserve_shadow_agreement_lower", model=EXACT) == 0


def test_a_folder_that_cannot_be_written_to_is_refused_at_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match=r"ORBITSERVE_SHADOW_KEEP: .* cannot be made"):
        open_shadow(Settings(shadow_share=0.1, shadow_keep=file))
    assert open_shadow(Settings(shadow_keep=file)) is None  # nothing is asked for


def test_what_a_killed_process_left_of_an_image_is_not_kept(tmp_path: Path) -> None:
    left, fresh, kept = (tmp_path / name for name in (".a.partial", ".b.partial", "c.png"))
    for file in (left, fresh, kept):
        file.write_bytes(b"some of an image")
    for file in (left, kept):
        os.utime(file, (0, 0))
    open_shadow(Settings(shadow_share=0.1, shadow_keep=tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([fresh, kept])


def test_the_salt_is_the_setting_s_or_a_new_one() -> None:
    image = np.zeros((1, 2, 2), np.uint8)

    def digest(**options: Any) -> str:
        audits = open_shadow(Settings(shadow_share=0.1, **options))
        assert audits is not None
        return audits.recorder.digest(image)

    salt = "as long as it should be"
    assert digest(shadow_salt=salt) == digest(shadow_salt=salt) != digest(shadow_salt=salt + "!")
    assert digest() != digest()
    assert salt not in repr(Settings(shadow_salt=salt))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("share", -0.1), ("share", 1.1), ("share", float("nan"))),
        *(("time", 0), ("time", 1.1), ("salt", "short")),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"shadow_{name}"):
        Settings(**{f"shadow_{name}": value})  # type: ignore[arg-type]
