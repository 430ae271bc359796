"""What a log shows of a run: that it began; if it lasts, how far it is and how long it will take; never a flood."""

from types import SimpleNamespace

import pytest

from cartsim.commands.progress import FIRST_S, NEXT_S, LogLines, in_words

STAGE = "simulating subjects"


class Log:
    """Lines as they are said, on a clock that goes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self._tell = LogLines(self.lines.append, lambda: self.now)

    def tell(self, done: int, total: int, after: float = 0.0, stage: str = STAGE) -> None:
        self.now += after
        self._tell(SimpleNamespace(stage=stage, done=done, total=total))  # type: ignore[arg-type]


def test_a_short_stage_is_one_line() -> None:
    log = Log()
    for done in range(0, 1001, 100):
        log.tell(done, 1000, after=0.9 * FIRST_S / 11)
    log.tell(0, 1, stage="summarising")
    log.tell(1, 1, after=100.0, stage="summarising")
    assert log.lines == [f"{STAGE} ...", "summarising ..."]


def test_a_long_stage_says_how_far_it_is_and_when_it_ends() -> None:
    log = Log()
    log.tell(0, 100_000)
    for done in range(1, 101):
        log.tell(1000 * done, 100_000, after=2.0)
    assert log.lines == [
        f"{STAGE} ...",
        f"{STAGE}: 3,000 of 100,000 (3 %), about 3 min left",
        f"{STAGE}: 18,000 of 100,000 (18 %), about 3 min left",
        f"{STAGE}: 33,000 of 100,000 (33 %), about 2 min left",
        f"{STAGE}: 48,000 of 100,000 (48 %), about 2 min left",
        f"{STAGE}: 63,000 of 100,000 (63 %), about 74 s left",
        f"{STAGE}: 78,000 of 100,000 (78 %), about 44 s left",
        f"{STAGE}: 93,000 of 100,000 (93 %), about 14 s left",
        f"{STAGE}: 100,000 of 100,000, took 3 min",
    ]


def test_many_reports_make_no_more_lines() -> None:
    log = Log()
    for done in range(100_001):
        log.tell(done, 100_000, after=0.003)
    assert len(log.lines) == 2 + 1 + int((300.0 - FIRST_S) // NEXT_S)


def test_what_was_done_before_does_not_count_as_speed() -> None:
    log = Log()
    log.tell(90_000, 100_000)
    log.tell(91_000, 100_000, after=8.0)
    assert log.lines[-1] == f"{STAGE}: 91,000 of 100,000 (91 %), about 72 s left"


def test_a_run_that_grows_is_measured_anew() -> None:
    log = Log()
    log.tell(0, 2000)
    log.tell(2000, 2000, after=20.0)
    log.tell(2000, 10_000, after=1.0)
    log.tell(4000, 10_000, after=10.0)
    log.tell(10_000, 10_000, after=30.0)
    assert log.lines == [
        f"{STAGE} ...",
        f"{STAGE}: 2,000 of 10,000 (20 %)",
        f"{STAGE}: 10,000 of 10,000, took 61 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (40.4, "40 s"), (89.0, "89 s"), (90.0, "2 min"), (3600.0, "60 min"), (7200.0, "2 h")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
