"""What users of two servers do with one another. Each scenario says what the *other* side's user has to see.

The same list runs whatever is between the servers; which of its calls must have crossed is named with `over`.
"""

import time
from urllib.parse import quote

from client import Refused
from scenario import over
from waiting import until


@over("query/directory", "make_join", "send_join")
def a_public_room_is_found_by_its_alias_and_joined(pair):
    localpart = f"public-{time.time_ns()}"
    room = pair.alice.create_room("Public ünïcode room", room_alias_name=localpart, topic="spaces & emoji 🎉")
    assert pair.bob.join(f"#{localpart}:{pair.hs1.server_name}") == room
    pair.alice.waits_until("sees bob in the room", lambda: pair.alice.membership(room, pair.bob) == "join")
    pair.bob.waits_until("knows the topic", lambda: pair.bob.in_room(room).state.get(("m.room.topic", "")))
    assert pair.bob.in_room(room).state["m.room.topic", ""]["topic"] == "spaces & emoji 🎉"
    members = pair.bob.get(f"/v3/rooms/{quote(room, safe='')}/joined_members")["joined"]
    assert members[pair.alice.id]["display_name"] == 'Älice 世界 🎉 "quoted" & <b>', members


@over("publicRooms")
def the_list_of_public_rooms_is_read_and_searched(pair):
    word = f"needle{time.time_ns()}"
    room = pair.alice.create_room(f"A {word} in the list", visibility="public")
    listed = pair.bob.get("/v3/publicRooms", server=pair.hs1.server_name, limit=100)["chunk"]
    assert room in [entry["room_id"] for entry in listed], listed
    search = {"filter": {"generic_search_term": word}, "limit": 10}
    found = pair.bob.post("/v3/publicRooms", search, [("server", pair.hs1.server_name)])["chunk"]
    assert [entry["room_id"] for entry in found] == [room], found


@over("send")
def messages_go_both_ways(pair):
    room = pair.shared_room()
    for n in range(3):
        pair.alice.say(room, f"alice says {n}: \"quotes\" \\ / ünïcode 世界 🎉")
        pair.bob.say(room, f"bob says {n}")
    for n in range(3):
        pair.bob.hears(room, f"alice says {n}: \"quotes\" \\ / ünïcode 世界 🎉")
        pair.alice.hears(room, f"bob says {n}")


@over("invite", "make_join", "send_join")
def an_invitation_is_seen_and_accepted(pair):
    room = pair.alice.create_room("By invitation", preset="private_chat")
    pair.alice.invite(room, pair.bob)
    state = pair.bob.waits_until("sees the invitation", lambda: pair.bob.invites.get(room))
    names = [event["content"].get("name") for event in state if event["type"] == "m.room.name"]
    assert names == ["By invitation"], state
    pair.bob.join(room)
    pair.alice.waits_until("sees bob in the room", lambda: pair.alice.membership(room, pair.bob) == "join")


@over("invite", "make_leave", "send_leave")
def an_invitation_is_rejected(pair):
    room = pair.alice.create_room("Rejected", preset="private_chat")
    pair.alice.invite(room, pair.bob)
    pair.bob.waits_until("sees the invitation", lambda: room in pair.bob.invites)
    pair.bob.leave(room)
    pair.alice.waits_until("sees that bob rejected it", lambda: pair.alice.membership(room, pair.bob) == "leave")
    try:
        pair.bob.join(room, via=pair.hs1.server_name)
    except Refused as refused:
        assert refused.status == 403 and refused.errcode == "M_FORBIDDEN", refused
    else:
        raise AssertionError("bob joined a private room after he had rejected the invitation")


@over("make_knock", "send_knock", "invite", "make_join", "send_join")
def a_knock_is_heard_and_let_in(pair):
    room = pair.alice.create_room("Knock first", preset="private_chat", initial_state=[_join_rule("knock")])
    pair.bob.knock(room, pair.hs1.server_name, "let me in")
    pair.alice.waits_until("hears the knock", lambda: pair.alice.membership(room, pair.bob) == "knock")
    pair.alice.invite(room, pair.bob)
    pair.bob.waits_until("is invited", lambda: room in pair.bob.invites)
    pair.bob.join(room)
    pair.alice.waits_until("sees bob in the room", lambda: pair.alice.membership(room, pair.bob) == "join")


@over("send")
def a_user_leaves(pair):
    room = pair.shared_room()
    pair.bob.leave(room)
    pair.alice.waits_until("sees that bob left", lambda: pair.alice.membership(room, pair.bob) == "leave")


@over("make_join", "send_join")
def a_restricted_room_lets_in_the_members_of_its_space_and_nobody_else(pair):
    space = pair.alice.create_room("Club", creation_content={"type": "m.space"})
    members_only = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = pair.alice.create_room(
        "Members only",
        preset="private_chat",
        initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": members_only}],
    )
    stranger = pair.newcomer(pair.hs2, "stranger")
    try:
        stranger.join(room, via=pair.hs1.server_name)
    except Refused as refused:
        assert refused.status == 403, refused
    else:
        raise AssertionError("someone from outside the space joined")
    pair.bob.join(space, via=pair.hs1.server_name)
    pair.bob.join(room, via=pair.hs1.server_name)
    pair.alice.waits_until("sees bob in the room", lambda: pair.alice.membership(room, pair.bob) == "join")
    content = pair.bob.get(f"/v3/rooms/{quote(room, safe='')}/state/m.room.member/{quote(pair.bob.id, safe='')}")
    assert content["join_authorised_via_users_server"] == pair.alice.id, content


@over("hierarchy")
def the_rooms_of_a_space_are_listed(pair):
    space = pair.alice.create_room("Space", creation_content={"type": "m.space"})
    child = pair.alice.create_room("Child of the space")
    pair.alice.set_state(space, "m.space.child", {"via": [pair.hs1.server_name]}, child)
    pair.bob.join(space, via=pair.hs1.server_name)

    def listed():
        rooms = pair.bob.get(f"/v1/rooms/{quote(space, safe='')}/hierarchy")["rooms"]
        return {room["room_id"]: room.get("name") for room in rooms} == {space: "Space", child: "Child of the space"}

    until("bob sees the child, which he has not joined", listed)


@over("query/profile")
def a_profile_is_read(pair):
    for reader, server, name in ((pair.bob, pair.hs1, "Zoë / = + 100%"), (pair.alice, pair.hs2, "Ωmega")):
        subject = server.user(f"profile{time.time_ns()}", name)
        profile = reader.get(f"/v3/profile/{quote(subject.id, safe='')}")
        assert profile["displayname"] == name, profile


@over("user/keys/query")
def device_keys_are_queried(pair):
    newcomer = pair.newcomer(pair.hs1)
    newcomer.upload_keys()
    reply = pair.bob.query_keys(newcomer)
    assert not reply["failures"], reply
    keys = reply["device_keys"][newcomer.id][newcomer.device]
    assert keys["keys"][f"ed25519:{newcomer.device}"] == "A" * 43, keys


@over("user/keys/claim")
def each_one_time_key_is_claimed_once(pair):
    newcomer = pair.newcomer(pair.hs1)
    assert newcomer.upload_keys(one_time=3) == 3
    claimed = set()
    for left in (2, 1, 0):
        reply = pair.bob.claim(newcomer)
        assert not reply["failures"], reply
        claimed |= set(reply["one_time_keys"][newcomer.id][newcomer.device])
        assert newcomer.one_time_keys() == left
    assert claimed == {f"signed_curve25519:AAAA{n:02}" for n in range(3)}, claimed


@over("send")
def a_new_device_is_announced_to_those_who_share_a_room(pair):
    pair.shared_room()
    pair.bob.sync()
    pair.bob.changed_devices.clear()
    pair.alice.upload_keys()
    pair.bob.waits_until("learns that alice's devices changed", lambda: pair.alice.id in pair.bob.changed_devices)
    keys = pair.bob.query_keys(pair.alice)["device_keys"][pair.alice.id]
    assert pair.alice.device in keys, keys


@over("send")
def a_to_device_message_arrives_once(pair):
    text = f"psst {time.time_ns()}"
    content = {pair.bob.id: {pair.bob.device: {"text": text}}}
    pair.alice.put(f"/v3/sendToDevice/org.example.note/{time.time_ns()}", {"messages": content})

    def arrived():
        return [event for event in pair.bob.to_device if event["content"] == {"text": text}]

    assert len(pair.bob.waits_until("gets the to-device message", arrived)) == 1
    # What comes behind it has overtaken nothing, so that a second copy would be here by now.
    room = pair.shared_room()
    pair.alice.say(room, "after it")
    pair.bob.hears(room, "after it")
    assert len(arrived()) == 1, pair.bob.to_device
    assert arrived()[0]["sender"] == pair.alice.id


@over("send")
def typing_is_seen(pair):
    room = pair.shared_room()
    for writer, reader in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        path = f"/v3/rooms/{quote(room, safe='')}/typing/{quote(writer.id, safe='')}"
        writer.put(path, {"typing": True, "timeout": 30000})
        reader.waits_until(f"sees {writer} typing", lambda: writer.id in reader.in_room(room).typing)
        writer.put(path, {"typing": False})
        reader.waits_until(f"sees that {writer} stopped", lambda: writer.id not in reader.in_room(room).typing)


@over("send")
def a_read_receipt_is_seen(pair):
    room = pair.shared_room()
    event = pair.alice.say(room, "read this")
    pair.bob.hears(room, "read this")
    pair.bob.post(f"/v3/rooms/{quote(room, safe='')}/receipt/m.read/{quote(event, safe='')}")
    pair.alice.waits_until("sees bob's receipt", lambda: pair.alice.in_room(room).receipts.get(pair.bob.id) == event)


@over("send")
def presence_is_seen(pair):
    pair.shared_room()
    for who, watcher in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        status = f"status {time.time_ns()}"
        path = f"/v3/presence/{quote(who.id, safe='')}/status"
        who.put(path, {"presence": "online", "status_msg": status})
        watcher.waits_until(
            f"sees the presence of {who}", lambda: watcher.presence.get(who.id, {}).get("status_msg") == status
        )


@over("send")
def a_redaction_removes_the_text_on_the_other_side(pair):
    room = pair.shared_room()
    event = pair.alice.say(room, "regretted")
    pair.bob.hears(room, "regretted")
    pair.alice.redact(room, event, "second thoughts")

    def redacted():
        seen = pair.bob.event(room, event)
        return seen["content"] == {} and seen["unsigned"]["redacted_because"]["content"]["reason"] == "second thoughts"

    pair.bob.waits_until("sees nothing of the text", redacted)


@over("media/download")
def media_is_downloaded_both_ways(pair):
    for owner, reader in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        for content, kind, name in (
            (bytes(range(256)) * 2000, "application/octet-stream", "ünïcode \"name\".bin"),
            ("\r\n--boundary\r\nzażółć\r\n".encode() * 50, "text/plain", "text.txt"),
        ):
            media = owner.upload(content, kind, name)
            got = reader.download(owner.server_name, media)
            assert got == content, f"{len(got)} bytes of {len(content)}"
    try:
        pair.bob.download(pair.hs1.server_name, "doesnotexist")
    except Refused as refused:
        assert refused.status == 404 and refused.errcode == "M_NOT_FOUND", refused
    else:
        raise AssertionError("media was found that was never uploaded")


@over("make_join", "send_join", "backfill")
def the_history_before_a_join_is_backfilled(pair):
    room = pair.alice.create_room("History")
    said = [f"before {n}" for n in range(40)]
    for text in said:
        pair.alice.say(room, text)
    pair.bob.join(room, via=pair.hs1.server_name)
    until("bob reads every message once and in order", lambda: pair.bob.bodies(room) == said)


@over("timestamp_to_event")
def a_point_in_time_is_looked_up_before_the_join(pair):
    room = pair.alice.create_room("Diary")
    events = [pair.alice.say(room, f"day {n}") for n in range(20)]
    when = pair.alice.event(room, events[3])["origin_server_ts"]
    # Synapse looks for the first event at or after the time, and several may have been sent in one millisecond.
    same = [event for event in events if pair.alice.event(room, event)["origin_server_ts"] == when]
    pair.bob.join(room, via=pair.hs1.server_name)
    found = pair.bob.get(f"/v1/rooms/{quote(room, safe='')}/timestamp_to_event", ts=when, dir="f")
    assert found["event_id"] in same and found["origin_server_ts"] == when, (found, same)


@over("query/profile", "make_join", "send_join", "invite", "user/keys/query", "send")
def a_user_id_with_slash_equals_and_plus_is_as_good_as_any(pair):
    odd = pair.hs2.user(f"odd/{time.time_ns()}=x+y._-", "Odd")
    odd.upload_keys()
    assert pair.alice.get(f"/v3/profile/{quote(odd.id, safe='')}")["displayname"] == "Odd"
    assert odd.id in pair.alice.query_keys(odd)["device_keys"]
    room = pair.shared_room(odd)
    odd.say(room, "odd says")
    pair.alice.hears(room, "odd says")
    private = pair.alice.create_room("For odd", preset="private_chat")
    pair.alice.invite(private, odd)
    odd.waits_until("sees the invitation", lambda: private in odd.invites)
    odd.join(private)
    pair.alice.waits_until("sees odd in the room", lambda: pair.alice.membership(private, odd) == "join")


def _join_rule(rule):
    return {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": rule}}


# In this order: those who come first meet the other server for the first time, and its keys are fetched.
ALL = [
    a_profile_is_read,
    device_keys_are_queried,
    each_one_time_key_is_claimed_once,
    a_public_room_is_found_by_its_alias_and_joined,
    the_list_of_public_rooms_is_read_and_searched,
    messages_go_both_ways,
    an_invitation_is_seen_and_accepted,
    an_invitation_is_rejected,
    a_knock_is_heard_and_let_in,
    a_user_leaves,
    a_restricted_room_lets_in_the_members_of_its_space_and_nobody_else,
    the_rooms_of_a_space_are_listed,
    a_new_device_is_announced_to_those_who_share_a_room,
    a_to_device_message_arrives_once,
    typing_is_seen,
    a_read_receipt_is_seen,
    presence_is_seen,
    a_redaction_removes_the_text_on_the_other_side,
    media_is_downloaded_both_ways,
    the_history_before_a_join_is_backfilled,
    a_point_in_time_is_looked_up_before_the_join,
    a_user_id_with_slash_equals_and_plus_is_as_good_as_any,
]
