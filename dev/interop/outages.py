"""One of the two homeservers is away for a while."""

from scenario import over


@over("send")
def what_was_said_during_an_outage_arrives_once_the_server_is_back(pair):
    room = settled_room(pair)
    pair.hs2.stop()
    said = [f"during {n}" for n in range(12)]
    for text in said:
        pair.alice.say(room, text)
    restart(pair.hs2)
    pair.bob.hears(room, said[-1], within=30.0)
    reads_once(pair.bob, room, ["before", *said])


@over("send", "get_missing_events")
def after_an_outage_of_both_servers_the_gap_is_filled(pair):
    room = settled_room(pair)
    pair.hs2.stop()
    said = [f"during {n}" for n in range(25)]
    for text in said:
        pair.alice.say(room, text)
    # What waited for hs2 in hs1's memory is forgotten: hs1 only knows that it owes hs2 something.
    pair.hs1.stop()
    restart(pair.hs1)
    restart(pair.hs2)
    # What hs2 sends tells hs1 that it is back, as on the real network; and hs1 is asked for what lies between.
    pair.bob.say(room, "I am back")
    pair.alice.hears(room, "I am back")
    pair.bob.hears(room, said[-1], within=30.0)
    reads_once(pair.bob, room, ["before", *said, "I am back"])


def settled_room(pair):
    """A shared room in which both sides have heard the last event."""
    room = pair.shared_room()
    pair.alice.say(room, "before")
    pair.bob.hears(room, "before")
    return room


def restart(server):
    server.start_again()
    server.wait()


def reads_once(user, room, texts):
    """Waits until the user's history has each of the texts, and checks that it has each once, and nothing else."""
    user.waits_until(f"reads {len(texts)} messages", lambda: set(texts) <= set(user.bodies(room)), within=30.0)
    assert sorted(user.bodies(room)) == sorted(texts), user.bodies(room)


ALL = [
    what_was_said_during_an_outage_arrives_once_the_server_is_back,
    after_an_outage_of_both_servers_the_gap_is_filled,
]
