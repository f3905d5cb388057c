"""Instances behind nginx under load: updated, killed and made slow, and no request is lost."""

import io
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.deploy.balanced import CONFIGURATION, Load, balancer, instances, tries
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

MODEL = "rotmnist-c4-int8"
COUNT = 3
CLIENTS = 6


@pytest.fixture(scope="module")
def images():
    with np.load(f"model_repository/{MODEL}/1/audit.npz") as audit_set:
        pictures = audit_set["images"][:20, 0]
    files = []
    for pixels in pictures:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    repository = folder / "repository"
    repository.mkdir()
    (repository / MODEL).symlink_to(Path(f"model_repository/{MODEL}").absolute())
    with instances(repository, COUNT) as made, balancer(folder, made) as url:
        yield folder, made, url


def sent_again(folder: Path) -> list[str]:
    """The requests that were sent to more than one instance."""
    return [name for name, statuses in tries(folder).items() if len(statuses) > 1]


def timeouts(folder: Path) -> int:
    return (folder / "error.log").read_text().count("upstream timed out")


def check(name: str, folder: Path, load: Load, *, least: int) -> None:
    """Every request was answered, and alike, whoever answered it at whichever try."""
    assert load.statuses() == {200: len(load.answers)}, (folder / "error.log").read_text()
    wait_until(lambda: load.answers.keys() <= tries(folder).keys())  # nginx logs after it answers
    again = sent_again(folder)
    bodies = [load.bodies(number) for number in range(len(load.images))]
    assert {len(each) for each in bodies} == {1}
    assert len(set.union(*bodies)) > 1
    assert len(again) >= least
    (folder / "access.log").write_text("")  # to which nginx appends
    print(f"\n{name}: {len(load.answers):,} requests, {len(again)} sent twice, 0 lost")


def test_a_rolling_update_loses_no_request(running, images):
    folder, made, url = running
    with Load(url, images).running(CLIENTS) as load:
        load.more(100)
        for each in made:
            each.replace()
            load.more(100)
    check("each replaced in turn", folder, load, least=0)


def test_an_instance_that_is_killed_loses_no_request(running, images):
    folder, made, url = running
    with Load(url, images).running(CLIENTS) as load:
        load.more(100)
        made[1].signal(signal.SIGKILL)
        wait_until(lambda: sent_again(folder))  # at once, or once an earlier failure is forgotten
        load.more(200)
        made[1].end()
        made[1].start()
        load.more(100)
    check("one killed, and started anew", folder, load, least=1)


def test_an_instance_that_answers_nothing_any_more_loses_no_request(running, images):
    folder, made, url = running
    with Load(url, images).running(CLIENTS) as load:
        load.more(100)
        made[0].signal(signal.SIGSTOP)
        wait_until(lambda: sent_again(folder))
        load.more(100)
        made[0].signal(signal.SIGCONT)
        load.more(100)
    check("one stopped, and let go on", folder, load, least=1)


def test_when_all_have_just_failed_a_request_waits_for_one_of_them(running, images):
    folder, made, url = running
    with Load(url, images).running(CLIENTS) as load:
        load.more(100)
        before = timeouts(folder)
        for each in made:
            each.signal(signal.SIGSTOP)
        wait_until(lambda: timeouts(folder) >= before + COUNT)
        for each in made:
            each.signal(signal.SIGCONT)
        load.more(100)
    check("all stopped, and let go on", folder, load, least=1)


def test_an_instance_that_is_slow_gets_less_and_loses_nothing(running, images):
    folder, made, url = running
    with Load(url, images).running(CLIENTS) as load:
        for _ in range(20):  # it stands still for most of the time, and never for too long
            made[0].signal(signal.SIGSTOP)
            load.more(20)
            made[0].signal(signal.SIGCONT)
            load.more(2)
    check("one slow", folder, load, least=0)


def test_without_another_try_requests_would_be_lost(running, images, tmp_path, monkeypatch):
    """What the other tests show is the configuration's doing."""
    _, made, _ = running
    text = CONFIGURATION.read_text().replace(" non_idempotent;", ";")
    (tmp_path / "other.conf").write_text(text)
    monkeypatch.setattr("tests.deploy.balanced.CONFIGURATION", tmp_path / "other.conf")
    with balancer(tmp_path, made) as url, Load(url, images).running(CLIENTS) as load:
        load.more(50)
        made[0].signal(signal.SIGSTOP)
        wait_until(lambda: set(load.statuses()) - {200})
        made[0].signal(signal.SIGCONT)
    assert load.statuses()[504] > 0
