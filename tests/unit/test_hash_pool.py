"""Where passwords are hashed: how many at a time, who waits, and who is sent away."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from v6srv.errors import Unavailable
from v6srv.hash_pool import HashPool


class Work:
    """Blocks until it is released; knows how much of it runs at once."""

    def __init__(self):
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.running = self.most = 0

    def __call__(self):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun.release()
        assert self.release.wait(20)
        with self.lock:
            self.running -= 1
        return "done"


def wait_for(pool, number):
    """Until so many callers are in the pool."""
    for _ in range(2000):
        if len(pool._waiting) + pool._working >= number:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{pool._waiting} wait, {pool._working} work")


def test_no_more_than_its_threads_work_at_once_and_beyond_the_queue_callers_are_sent_away():
    pool, work = HashPool(threads=2, queue=3), Work()
    with ThreadPoolExecutor(5) as callers:
        answers = [callers.submit(pool.run, work) for _ in range(5)]
        for _ in range(2):
            assert work.begun.acquire(timeout=20)
        wait_for(pool, 5)
        with pytest.raises(Unavailable, match="try again") as sent_away:
            pool.run(work)
        assert sent_away.value.retry_after_s > 0
        work.release.set()
        assert [answer.result(20) for answer in answers] == ["done"] * 5
    assert work.most == 2
    assert pool.run(lambda: "room again") == "room again"


def test_callers_are_served_in_their_order_and_those_that_yield_after_all_others():
    pool, work, order = HashPool(threads=1, queue=8), Work(), []
    with ThreadPoolExecutor(7) as callers:
        answers = [callers.submit(pool.run, work)]
        assert work.begun.acquire(timeout=20)
        for number, yielding in enumerate((True, False, True, True, False)):
            name = f"{'node' if yielding else 'person'} {number}"
            answers.append(callers.submit(pool.run, order.append, name, yielding=yielding))
            wait_for(pool, 2 + number)
        with pytest.raises(Unavailable):  # half of the queue is for people
            pool.run(order.append, "one node too many", yielding=True)
        answers.append(callers.submit(pool.run, order.append, "person 5"))
        wait_for(pool, 7)
        work.release.set()
        for answer in answers:
            answer.result(20)
    assert order == ["person 1", "person 4", "person 5", "node 0", "node 2", "node 3"]


def test_an_error_gives_the_place_back():
    pool = HashPool(threads=1, queue=1)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            pool.run(lambda: 1 // 0)
    assert pool.run(divmod, 7, 3) == (2, 1)


def test_who_is_stopped_while_waiting_leaves_the_queue():
    pool, work = HashPool(threads=1, queue=2), Work()

    def stop():
        raise KeyboardInterrupt  # as a killed greenlet is, in the midst of its wait

    with ThreadPoolExecutor(1) as callers:
        busy = callers.submit(pool.run, work)
        assert work.begun.acquire(timeout=20)
        pool._changed.wait_for = lambda _predicate: stop()
        with pytest.raises(KeyboardInterrupt):
            pool.run(work)
        del pool._changed.wait_for
        work.release.set()
        assert busy.result(20) == "done"
        assert not pool._waiting  # else the next one would wait for ever
        assert callers.submit(pool.run, lambda: "next").result(20) == "next"


def test_by_default_one_core_is_left_to_the_event_loop(monkeypatch):
    for cores, threads in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr("v6srv.hash_pool._cores", lambda cores=cores: cores)
        assert HashPool()._threads == threads


_UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import os, threading
import gevent
from gevent import get_hub
from v6srv.errors import Unavailable
from v6srv.hash_pool import HashPool

pool = HashPool(threads=1, queue=2)
gate, gate_in = os.pipe()

def work():
    os.read(gate, 1)  # a real wait of a real thread
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), threading.get_native_id()

callers = [gevent.spawn(pool.run, work) for _ in range(3)]
gevent.sleep(0.05)
try:
    pool.run(work)
    print("not sent away")
except Unavailable:
    print("sent away")
print("hub", get_hub().threadpool.apply(lambda: "free"))  # where names are looked up
os.write(gate_in, b"xxx")
results = [caller.get(timeout=20) for caller in callers]
print("priority", {p for p, _ in results}, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
print("elsewhere", threading.get_native_id() not in {t for _, t in results})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a priority")
def test_under_gevent_the_work_is_in_threads_of_the_pool_that_give_way():
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_GEVENT], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said["sent"] == "away"
    assert said["hub"] == "free"
    assert said["elsewhere"] == "True"
    hashing, loop = said["priority"].split("} ")
    assert int(hashing.strip("{")) == max(10, int(loop))
