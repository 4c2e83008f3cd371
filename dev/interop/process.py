"""Programs that a run starts: each ended by its own id, each with a log that is kept and shown when something fails."""

import atexit
import os
import signal
import socket
import subprocess

from waiting import until

# How long a program may take to end after SIGTERM before it is killed: longer than a gateway drains.
GRACE = 40.0


class Program:
    """A program with its log. Started at once by the constructor."""

    # Those that have not ended, and all that a part of the run has started: the report shows the logs of these.
    running = []
    started = []

    def __init__(self, name, command, log, cwd=None, env=None, pass_fds=()):
        self.name = name
        self.log = log
        self.asked = False
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=env,
                pass_fds=pass_fds,
            )
        Program.running.append(self)
        Program.started.append(self)

    def alive(self):
        return self.child.poll() is None

    def wait_for(self, what, condition, within=60.0):
        """Waits for a condition; the program's early end is the error, not the wait's limit."""

        def still():
            if not self.alive():
                raise ProgramEnded(f"{self.name} ended with {self.child.returncode} before {what}:\n{self.tail()}")
            return condition()

        return until(f"{self.name}: {what}", still, within)

    def signal(self, number):
        os.kill(self.child.pid, number)

    def ask_to_end(self):
        """SIGTERM, once: a program that is asked twice may take it that it is to hurry."""
        if self.alive() and not self.asked:
            self.asked = True
            self.child.send_signal(signal.SIGTERM)

    def stop(self):
        """Asks it to end, and waits. What does not end by itself is killed, and that is an error."""
        self.ask_to_end()
        try:
            self.child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProgramEnded(f"{self.name} did not end within {GRACE:g} s of SIGTERM") from None
        self._forget()
        return self.child.returncode

    def kill(self):
        """Ends it at once, as a power cut would."""
        if self.alive():
            self.child.kill()
        self.child.wait(GRACE)
        self._forget()

    def _forget(self):
        if self in Program.running:
            Program.running.remove(self)

    def tail(self, lines=40):
        """The end of its log."""
        with open(self.log, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 64 * 1024))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class ProgramEnded(AssertionError):
    """A program ended when it should not have, or did not when it should."""


@atexit.register
def end_all():
    """No program outlives the run."""
    for program in list(Program.running):
        program.kill()


def free_port():
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
        return True
    except OSError:
        return False
