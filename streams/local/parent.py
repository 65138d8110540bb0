"""Processes that end when the one that started them ends, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` for `subprocess.Popen`; None where the kernel offers no such thing (it does on Linux).

    The kernel watches the *thread* that starts the child: it has to last as long as the child may.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork: little is safe after it
    set_parent_death_signal = 1
    parent = os.getpid()

    def in_child() -> None:
        prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
