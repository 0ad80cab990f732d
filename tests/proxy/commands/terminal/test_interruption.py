"""Ctrl-C during an import. `tests/proxy/commands/test_start.py` interrupts the program itself."""

import signal

from proxy.commands.terminal.interruption import quiet_interruption


def test_the_handler_is_that_of_before_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with quiet_interruption():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_who_ignores_the_signal_goes_on_to_do_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with quiet_interruption():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
