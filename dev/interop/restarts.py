"""A gateway ends while a transaction is on its way, and comes back.

The transaction is caught at its most delicate point: the receiving homeserver has taken it in, and its reply has not come back yet.
"""

import time

from outages import reads_once
from broken_grpc import repair
from scenario import over, used

SEND = b"PUT /_matrix/federation/v1/send/"


@over("send")
def the_receiving_gateway_is_killed_in_the_middle_of_a_transaction(pair):
    killed_in_the_middle(pair, pair.hs2)


@over("send")
def the_sending_gateway_is_killed_in_the_middle_of_a_transaction(pair):
    killed_in_the_middle(pair, pair.hs1)


def killed_in_the_middle(pair, victim):
    repair(pair)
    room = pair.shared_room()
    catch_a_transaction(pair, room)
    victim.gateway.kill()
    pair.hs2.beside.release()
    victim.gateway.start()
    check_arrivals(pair, room)
    # hs1 had no answer, so it asked again, with the same transaction ID: this is what could have been doubled.
    assert most_repeated_transaction(pair) >= 2, "no transaction was repeated, so none was caught in the middle"


@over("send")
def a_gateway_that_is_told_to_end_first_finishes_the_transaction(pair):
    repair(pair)
    room = pair.shared_room()
    catch_a_transaction(pair, room)
    gateway = pair.hs1.gateway
    gateway.program.ask_to_end()
    gateway.wait_until_it_drains()
    assert gateway.program.alive(), "it ended with a call in flight"
    pair.hs2.beside.release()
    gateway.stop()
    gateway.start()
    check_arrivals(pair, room)
    assert most_repeated_transaction(pair) == 1, "a transaction was sent twice, though its reply had been waited for"


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


ALL = [
    the_receiving_gateway_is_killed_in_the_middle_of_a_transaction,
    the_sending_gateway_is_killed_in_the_middle_of_a_transaction,
    a_gateway_that_is_told_to_end_first_finishes_the_transaction,
]
