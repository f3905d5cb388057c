"""Log lines say what happened in one shape, and no more than that."""

import logging
from collections.abc import Callable
from typing import Any

import structlog

Logged = Callable[[], list[dict[str, Any]]]


def test_what_libraries_log_has_the_same_shape(logged: Logged) -> None:
    structlog.get_logger().info("ours", size=3)
    logging.getLogger("uvicorn.error").info("theirs %d", 4)
    ours, theirs = logged()
    assert (ours["event"], ours["size"], theirs["event"]) == ("ours", 3, "theirs 4")
    assert ours.keys() - {"size"} == theirs.keys()


def test_a_traceback_is_logged_without_the_local_variables(logged: Logged) -> None:
    try:
        image_of_a_client = "secret"
        raise ValueError(len(image_of_a_client))
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = logged()
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert "secret" not in str(line)
