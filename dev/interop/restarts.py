"""A gateway ends while a transaction is on its way, and comes back.

The transaction is caught at its most delicate point: the receiving homeserver has taken it in, and its reply has not come back yet.
"""

from broken_grpc import repair
from in_the_middle import catch_a_transaction, check_arrivals, most_repeated_transaction
from scenario import over


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


ALL = [
    the_receiving_gateway_is_killed_in_the_middle_of_a_transaction,
    the_sending_gateway_is_killed_in_the_middle_of_a_transaction,
    a_gateway_that_is_told_to_end_first_finishes_the_transaction,
]
