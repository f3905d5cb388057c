"""Memory of sessions that have ended: freed at once, and given back to the system."""

import gc
import os
import platform
import weakref
from pathlib import Path

import pytest

from service.engine import Session, Signature, select
from service.repository.memory import give_back

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_session_that_is_closed_is_freed_without_the_collector(
    turning: bytes, signature: Signature
) -> None:
    """Reloads would leave dead sessions, and a GPU's memory with them, until it comes by."""
    gc.disable()
    try:
        session = Session(turning, signature, select("cpu"), threads=1)
        runtime = weakref.ref(session.graph._runtime)
        assert runtime() is not None
        session.close()
        assert runtime() is None
    finally:
        gc.enable()


@glibc
def test_what_is_free_below_what_is_used_is_given_back() -> None:
    blocks = [b"x" * 100_000 for _ in range(1000)]  # too small to be mapped one by one
    last = b"x" * 100_000
    blocks.clear()
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > 50 * 2**20
    assert last
