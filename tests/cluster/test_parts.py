"""Every part of a phase is done even if workers die, and a row that kills its worker is found."""

from collections.abc import Collection

import pytest

from xdr.cluster.parts import MOST_POISONED, Parts, Task


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def work_off(
    parts: Parts, name: str, poisoned: Collection[int], rows: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, ...]]:
    """One worker after the other takes what there is, and dies at a poisoned row that it is not told to leave out. Returns the
    rows that each part was made without."""
    made: dict[int, tuple[int, ...]] = {}
    for number in range(1000):
        done, wanted = parts.progress()
        if done == wanted:
            return made
        task = parts.next(name, worker := f"worker-{number}")
        assert task.kind == "part"
        first, stop = task.rows or rows[task.part]
        if set(poisoned).intersection(range(first, stop)).difference(task.without):
            assert parts.lose(worker) is None
            continue
        if task.rows is None:
            made[task.part] = task.without
        parts.finish(name, task, worker)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("poisoned", [[], [0], [9], [3, 4], [10, 17, 29], [29]])
def test_shards_are_made_without_the_rows_that_kill(poisoned: list[int]) -> None:
    rows = {shard: (10 * shard, 10 * shard + 10) for shard in range(3)}
    parts = Parts(tries=3)
    parts.begin("encode", rows, 3)
    made = work_off(parts, "encode", poisoned, rows)
    assert {shard: sorted(without) for shard, without in made.items()} == {
        shard: [row for row in poisoned if row // 10 == shard] for shard in range(3)
    }


def test_a_shard_of_one_row_can_be_that_row() -> None:
    parts = Parts(tries=1)
    parts.begin("encode", {0: (0, 1)}, 1)
    assert work_off(parts, "encode", [0], {0: (0, 1)}) == {0: (0,)}


def test_what_has_no_rows_is_given_up_after_so_many_deaths() -> None:
    parts = Parts(tries=2)
    parts.begin("search", {0: None}, 1)
    assert parts.next("search", "a").part == 0 and parts.lose("a") is None
    assert parts.next("search", "b").part == 0 and parts.lose("b") == "2 workers died at part 0"


def test_a_shard_that_no_row_kills_alone_is_given_up() -> None:
    """Such as one that needs too much memory."""
    parts = Parts(tries=1)
    parts.begin("encode", {0: (0, 2)}, 1)
    tried, problem = [], None
    while not problem:
        task = parts.next("encode", f"worker-{len(tried)}")
        tried.append(task.rows)
        if task.rows in (None, (0, 2)):
            problem = parts.lose(f"worker-{len(tried) - 1}")
        else:
            parts.finish("encode", task, f"worker-{len(tried) - 1}")
    assert tried == [None, (0, 2), (0, 1), (1, 2), None] and problem == "2 workers died at part 0"


def test_too_many_poisoned_rows_are_another_fault() -> None:
    parts = Parts(tries=1)
    parts.begin("encode", {0: (0, 40)}, 1)
    without: tuple[int, ...] = ()
    for number in range(1000):
        without = parts.next("encode", f"worker-{number}").without
        if problem := parts.lose(f"worker-{number}"):
            break
    assert problem == "1 workers died at part 0" and len(without) == MOST_POISONED


def test_a_worker_that_died_at_nothing_is_told() -> None:
    parts = Parts(tries=1)
    assert parts.lose("unknown") == ""
    parts.begin("encode", {0: (0, 10)}, 1)
    assert parts.lose("unknown") == ""


def test_workers_wait_for_a_phase_and_leave_one_that_is_over() -> None:
    parts = Parts(tries=1)
    assert parts.next("encode", "a") == Task("wait")
    parts.begin("encode", {0: (0, 5), 2: (10, 15)}, 3)
    first, second = parts.next("encode", "a"), parts.next("encode", "b")
    assert (first.part, second.part, first.of) == (0, 2, 3)
    assert parts.next("encode", "c") == Task("wait")
    parts.finish("encode", second, "b", "second")
    parts.finish("encode", first, "a", "first")
    assert parts.progress() == (2, 2) and parts.results() == ["first", "second"]
    assert parts.next("encode", "a") == Task("wait"), "the next phase may need it"
    parts.begin("search", {0: None}, 1)
    assert parts.next("encode", "a") == Task("over")
    assert parts.next("search", "a").part == 0


def test_a_slow_part_is_given_to_a_second_worker_and_the_first_to_end_counts() -> None:
    clock = Clock()
    parts = Parts(tries=1, clock=clock)
    parts.begin("search", {0: None, 1: None}, 2)
    slow, quick = parts.next("search", "slow"), parts.next("search", "quick")
    clock.now = 1.0
    parts.finish("search", quick, "quick")
    assert parts.next("search", "quick") == Task("wait")
    clock.now = 4.0
    again = parts.next("search", "quick")
    assert again.part == slow.part
    assert parts.next("search", "third") == Task("wait"), "two are enough"
    parts.finish("search", again, "quick", "from the second")
    parts.finish("search", slow, "slow", "from the first")
    assert parts.results() == ["from the second", None]


def test_a_part_goes_on_when_one_of_its_two_workers_dies() -> None:
    clock = Clock()
    parts = Parts(tries=2, clock=clock)
    parts.begin("encode", {0: (0, 5), 1: (5, 10)}, 2)
    slow, quick = parts.next("encode", "slow"), parts.next("encode", "quick")
    clock.now = 1.0
    parts.finish("encode", quick, "quick")
    clock.now = 9.0
    again = parts.next("encode", "quick")
    assert parts.lose("slow") is None
    assert slow.part == again.part and parts.next("encode", "third") == Task("wait")
    parts.finish("encode", again, "quick")
    assert parts.progress() == (2, 2)
