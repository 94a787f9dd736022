"""The signals that ask a command to end: an interruption each, and things are put in order undisturbed."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dockerpty.cli.endings import Endings

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGIO]


@pytest.fixture
def endings() -> Iterator[Endings]:
    endings = Endings()
    yield endings
    endings.forget()


@pytest.mark.parametrize("number", NUMBERS)
def test_each_is_an_interruption_that_says_which_it_was(number: int, endings: Endings) -> None:
    assert endings.number == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert endings.number == number


def test_a_second_one_does_not_disturb_what_is_put_in_order_after_the_first(endings: Endings) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert endings.number == signal.SIGHUP


def test_nor_does_the_first_where_things_are_put_in_order_already(endings: Endings) -> None:
    endings.hold()
    for number in NUMBERS:
        signal.raise_signal(number)
    assert endings.number == signal.SIGINT


def test_one_that_is_ignored_stays_so_and_the_others_get_back_what_they_did() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        endings = Endings()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        endings.forget()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_that_is_asked_for_ends_though_it_was_ignored() -> None:
    before = signal.getsignal(signal.SIGPIPE)
    endings = Endings(signal.SIGPIPE)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGPIPE)
        assert endings.number == signal.SIGPIPE
    finally:
        endings.forget()
    assert signal.getsignal(signal.SIGPIPE) is before
