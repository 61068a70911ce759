"""Others are asked in threads: one question at a time each, and who is silent holds nobody up."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from monitoring.sources.questions import Questions
from schemas.errors import VenueError


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_an_answer_is_kept_until_there_is_a_newer_one(pool: ThreadPoolExecutor) -> None:
    """Also while the next question is under way, unless the asker wants to know of the silence."""
    questions, may_answer = Questions[str](pool), threading.Event()
    assert questions.answer("bot") is None
    questions.ask("bot", lambda: "first")
    wait(questions.running)
    assert questions.answer("bot") == "first"
    questions.ask("bot", lambda: "second" if may_answer.wait(30) else "never")
    assert questions.answer("bot") == "first"
    assert questions.answer("bot", "silent") == "silent"
    may_answer.set()
    wait(questions.running)
    assert questions.answer("bot", "silent") == "second"


def test_nobody_is_asked_again_before_he_has_answered(pool: ThreadPoolExecutor) -> None:
    """One who never answers takes one thread, not one more each time."""
    questions, may_answer, asked = Questions[bool](pool), threading.Event(), []
    for number in range(5):
        questions.ask("slow", lambda number=number: asked.append(number) or may_answer.wait(30))  # type: ignore[misc]
    assert len(questions.running) == 1
    may_answer.set()
    wait(questions.running)
    assert questions.answer("slow") is True
    assert asked == [0]


def test_a_question_has_its_interval(pool: ThreadPoolExecutor) -> None:
    """Asked again too early, the answer stays."""
    questions = Questions[int](pool, every_s=3_600)
    for number in range(3):
        questions.ask("one", lambda number=number: number)  # type: ignore[misc]
        wait(questions.running)
    assert questions.answer("one") == 0


@pytest.mark.parametrize("error", [VenueError("The venue is away."), ZeroDivisionError("a fault of the program")])
def test_an_error_is_no_answer(pool: ThreadPoolExecutor, error: Exception) -> None:
    """It ends nothing, and the answer before it is not shown as if it were new."""

    def fails() -> str:
        raise error

    questions = Questions[str](pool)
    questions.ask("one", lambda: "fine")
    wait(questions.running)
    assert questions.answer("one") == "fine"
    questions.ask("one", fails)
    wait(questions.running)
    assert questions.answer("one", "silent") == "silent"
    assert questions.answer("one") is None


def test_a_slow_answer_is_shown_once(pool: ThreadPoolExecutor) -> None:
    """It came after a look had given up, and before the next one: slow is not silent, unless it is too old."""
    for late_s, shown in ((30.0, "slow"), (0.0, "silent")):
        questions, may_answer = Questions[str](pool, late_s=late_s), threading.Event()
        questions.ask("bot", lambda may=may_answer: "slow" if may.wait(30) else "never")  # type: ignore[misc]
        assert questions.answer("bot", "silent") == "silent"
        may_answer.set()
        wait(questions.running)
        may_end = threading.Event()
        questions.ask("bot", lambda may=may_end: "next" if may.wait(30) else "never")  # type: ignore[misc]
        assert [questions.answer("bot", "silent") for _ in range(2)] == [shown, "silent"]
        may_end.set()
        wait(questions.running)


def test_an_error_may_be_made_an_answer(pool: ThreadPoolExecutor) -> None:
    """Where its reason must be shown, and not only logged."""

    def fails() -> str:
        raise VenueError("The venue is away.")

    questions = Questions[str](pool, failed=str)
    questions.ask("one", fails)
    wait(questions.running)
    assert questions.answer("one") == "The venue is away."


def test_who_is_not_watched_any_more_is_forgotten(pool: ThreadPoolExecutor) -> None:
    """His answers leave memory."""
    questions = Questions[str](pool)
    for name in ("stays", "goes"):
        questions.ask(name, lambda: "here")
    wait(questions.running)
    questions.keep_only({"stays"})
    assert [questions.answer(name) for name in ("stays", "goes")] == ["here", None]
