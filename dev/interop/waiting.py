"""Waiting for something to become true. Nothing here, or anywhere in this folder, sleeps a fixed time and hopes."""

import time

# Long enough for a busy machine with two cores; whoever waits for more says so.
PATIENCE = 20.0


class NeverCame(AssertionError):
    """What was waited for did not come in time."""


def until(what, condition, within=PATIENCE, every=0.03):
    """Asks `condition` again and again until it gives something true, and returns that.

    `what` is a clause for the error: "bob sees the message". A condition that raises `NotYet` counts as not true.
    """
    end = time.monotonic() + within
    why = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except NotYet as reason:
            why = reason
        if time.monotonic() > end:
            raise NeverCame(f"{what}: not within {within:g} s" + (f"; at last: {why}" if why else ""))
        time.sleep(every)


class NotYet(Exception):
    """Raised by a condition that is not true yet and can say why."""
