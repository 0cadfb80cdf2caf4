from io import StringIO

import pytest
from rich.console import Console

from xdr.sharding import progress
from xdr.sharding.progress import counting, shown_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_file_gets_a_line_every_thirty_seconds_and_a_last_one(clock: Clock) -> None:
    file = StringIO()
    with counting("passages", Console(file=file), total=1440) as show:
        for second in range(1, 73):
            clock.now += 1
            show(20 * second)
        clock.now += 100  # a search follows, which is no part of the counted work
    assert file.getvalue().splitlines() == [
        "600 of 1,440 (42%) passages, 20/s, 42 seconds left",
        "1,200 of 1,440 (83%) passages, 20/s, 12 seconds left",
        "1,440 of 1,440 (100%) passages, 20/s, took 72 seconds",
    ]


def test_without_a_total_a_log_file_gets_number_and_rate(clock: Clock) -> None:
    file = StringIO()
    with counting("passages", Console(file=file)) as show:
        clock.now += 40
        show(10)
    assert file.getvalue().splitlines() == ["10 passages, 0.25/s", "10 passages, 0.25/s, took 40 seconds"]


def test_where_nothing_is_counted_nothing_is_shown() -> None:
    file = StringIO()
    with counting("passages", Console(file=file), total=0):
        pass
    assert file.getvalue() == ""


def test_a_terminal_shows_a_bar() -> None:
    file = StringIO()
    with counting("passages", Console(file=file, force_terminal=True, width=100), total=144) as show:
        show(144)
    assert "144 passages" in file.getvalue() and "━━━" in file.getvalue() and "100%" in file.getvalue()


def test_durations_are_in_the_unit_that_is_read_most_easily() -> None:
    assert [shown_seconds(s) for s in (0.0314, 42, 120, 7200, 864000)] == [
        "0.0314 s",
        "42 seconds",
        "2.0 minutes",
        "2.0 hours",
        "10.0 days",
    ]
