"""Becomes another program, with sockets handed over as systemd does it (sd_listen_fds(3)).

    pass_sockets.py NUMBER,NUMBER PROGRAM [ARGUMENT ...]

The sockets become file descriptors 3 and up, and LISTEN_PID names this process, which the program then is.
"""

import os
import sys

numbers = [int(number) for number in sys.argv[1].split(",")]
# First out of the way, so that none is overwritten by the next.
copies = [os.dup2(number, 100 + place) for place, number in enumerate(numbers)]
for place, copy in enumerate(copies, 3):
    os.dup2(copy, place, inheritable=True)
    os.close(copy)
os.environ.update(LISTEN_FDS=str(len(numbers)), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
