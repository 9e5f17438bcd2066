"""The signals of this process, as every program expects to find them."""

from __future__ import annotations

import signal

__all__ = ["restore_signals"]


def restore_signals() -> None:
    """Let no signal be blocked, and none be ignored but those that Python ignores for itself.

    Whoever started us may ignore some: ``nohup`` and a shell's ``&`` do. Children inherit that, and an agent
    that is deaf to SIGINT or SIGQUIT would only ever end by SIGKILL. Call it in the main thread.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
