"""Images wait for memory that others hold; what no memory suffices for is refused by its header."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from cvgl.errors import ConfigError
from cvgl.imaging import TooLargeImageError, decode, memory, open_rgb, opened_rgb
from cvgl.imaging.memory import MemoryBudget


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return stream.getvalue()


def test_threads_never_hold_more_than_the_budget() -> None:
    budget, held, most, lock = MemoryBudget(100), 0, 0, threading.Lock()

    def work(need: int) -> None:
        nonlocal held, most
        for _ in range(50):
            with budget.reserve(need):
                with lock:
                    held += need
                    most = max(most, held)
                with lock:
                    held -= need

    threads = [threading.Thread(target=work, args=(need,)) for need in (30, 40, 50, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 100


def test_what_is_larger_than_the_budget_goes_alone() -> None:
    budget, entered = MemoryBudget(100), threading.Event()

    def work() -> None:
        with budget.reserve(500):
            entered.set()

    with budget.reserve(1):
        thread = threading.Thread(target=work)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(10)
    assert entered.is_set()


def test_a_thread_does_not_wait_for_itself() -> None:
    budget = MemoryBudget(100)
    with budget.reserve(80), budget.reserve(80):
        pass
    with budget.reserve(100):
        pass


def test_a_failure_gives_memory_back() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(RuntimeError), budget.reserve(100):
        raise RuntimeError
    with budget.reserve(100):
        pass


def test_an_image_that_there_is_no_memory_for_is_refused_undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_shared", MemoryBudget(1000))
    monkeypatch.setattr(memory, "ceiling", lambda: 100_000)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(TooLargeImageError, match="MiB"):
        open_rgb(png(500, 500))


def test_memory_that_runs_out_is_told_as_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(TooLargeImageError, match="ran out"):
        decode(io.BytesIO(png(8, 8)), 1000, "here")


def test_the_environment_sets_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_shared", None)
    monkeypatch.setenv(memory.ENVIRONMENT, "7")
    assert memory.budget().total == 7 << 20
    monkeypatch.setattr(memory, "_shared", None)
    monkeypatch.setenv(memory.ENVIRONMENT, "much")
    with pytest.raises(ConfigError):
        memory.budget()
    monkeypatch.setattr(memory, "_shared", None)


def test_the_memory_of_a_control_group_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 100\n")
    assert list(memory._left(tmp_path, "memory.max", "memory.current", "inactive_file ")) == [400]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(memory._left(tmp_path, "memory.max", "memory.current", "inactive_file ")) == []
    assert memory.available_bytes() > 0


def test_an_image_is_in_memory_no_longer_than_it_is_used() -> None:
    with opened_rgb(png(30, 30)) as image:
        assert image.size == (30, 30)
    with pytest.raises((AssertionError, OSError)):
        image.getpixel((0, 0))
    assert open_rgb(png(30, 30)).getpixel((0, 0)) == (255, 0, 0)


_MANY = """
import io
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from cvgl.imaging import decoded
from cvgl.imaging import memory
stream = io.BytesIO()
Image.new("RGB", (4200, 4200), "red").save(stream, "PNG", compress_level=1)
data = stream.getvalue()
del stream
memory._shared = memory.MemoryBudget(100 << 20)
def look(number):
    with decoded(io.BytesIO(data), 10**9, number) as image:
        return image.size

with ThreadPoolExecutor(8) as threads:
    assert set(threads.map(look, range(8))) == {(4200, 4200)}
# Not ru_maxrss, which a process has from the one that started it.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_many_threads_hold_one_large_image_at_a_time() -> None:
    """Each of 8 threads would keep 70 MiB for itself, as glibc has it."""
    done = subprocess.run([sys.executable, "-c", _MANY], check=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 250
