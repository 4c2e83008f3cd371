"""A transaction at its most delicate point: the receiving homeserver has taken it in, and its reply has not come back yet."""

import time

from outages import reads_once
from scenario import used

SEND = b"PUT /_matrix/federation/v1/send/"


def catch_a_transaction(pair, room):
    """Returns when hs2 has answered a transaction, and its reply is held back. A message and a to-device message are in it, or wait behind it."""
    pair.alice.say(room, "before")
    pair.bob.hears(room, "before")
    pair.bob.to_device.clear()
    pair.seen = len(pair.hs2.received())
    pair.hs2.beside.hold(SEND)
    note = {pair.bob.id: {pair.bob.device: {"text": "caught"}}}
    pair.alice.put(f"/v3/sendToDevice/org.example.note/{time.time_ns()}", {"messages": note})
    pair.alice.say(room, "caught")
    assert pair.hs2.beside.held.wait(20), "hs2 was sent no transaction"


def check_arrivals(pair, room):
    """Everything has come through, each once."""
    pair.alice.say(room, "after")
    pair.bob.hears(room, "after", within=60.0)
    reads_once(pair.bob, room, ["before", "caught", "after"])
    notes = [event for event in pair.bob.to_device if event["content"] == {"text": "caught"}]
    assert len(notes) == 1, notes


def most_repeated_transaction(pair):
    """How often hs2 has answered the transaction that it answered most."""
    sent = [target for _, target, _ in pair.hs2.received()[pair.seen :] if used("send", target)]
    return max(map(sent.count, sent))
