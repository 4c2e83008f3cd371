"""The client-server API, as far as the scenarios need it, and a user who remembers what `/sync` has told."""

import http.client
import json
import threading
from urllib.parse import quote, urlencode, urlsplit

from waiting import NotYet, until

# Longer than Synapse waits for another server (60 s), so that its error is what a scenario sees, not ours.
TIMEOUT = 75.0


class Refused(AssertionError):
    """A homeserver's answer that is not 2xx."""

    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body}")
        self.status = status
        self.errcode = body.get("errcode") if isinstance(body, dict) else None


def request(base, method, path, token=None, query=(), body=None, headers=None):
    """One request; its JSON, or its bytes if it is none. `path` is percent-encoded already."""
    url = urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=TIMEOUT)
    target = path + ("?" + urlencode(query) if query else "")
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, target, body, headers)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    if reply.headers.get_content_type() == "application/json":
        content = json.loads(content)
    if not 200 <= reply.status < 300:
        raise Refused(method, target, reply.status, content)
    return content


class User:
    """An account on one server. What `/sync` tells is collected, so that a scenario can ask whether something was seen."""

    def __init__(self, label, url, server_name, localpart, displayname=None):
        self.label = label
        self.url = url
        self.server_name = server_name
        self.transactions = 0
        self.lock = threading.Lock()
        account = request(
            url,
            "POST",
            "/_matrix/client/v3/register",
            body={"username": localpart, "password": "correct horse", "auth": {"type": "m.login.dummy"}},
        )
        self.id = account["user_id"]
        self.token = account["access_token"]
        self.device = account["device_id"]
        self.since = None
        self.rooms = {}
        self.invites = {}
        self.to_device = []
        self.presence = {}
        self.changed_devices = set()
        if displayname:
            self.put(f"/v3/profile/{quote(self.id, safe='')}/displayname", {"displayname": displayname})

    def __str__(self):
        return self.id

    # Requests, below /_matrix/client.

    def get(self, path, **query):
        return request(self.url, "GET", "/_matrix/client" + path, self.token, query)

    def post(self, path, body=None, query=()):
        return request(self.url, "POST", "/_matrix/client" + path, self.token, query, {} if body is None else body)

    def put(self, path, body):
        return request(self.url, "PUT", "/_matrix/client" + path, self.token, (), body)

    def _transaction(self):
        with self.lock:
            self.transactions += 1
            return f"t{self.transactions}"

    # Rooms.

    def create_room(self, name, **settings):
        """Creates a room and returns its ID. `preset` is `public_chat` unless something else is asked for."""
        return self.post("/v3/createRoom", {"preset": "public_chat", "name": name, **settings})["room_id"]

    def join(self, room, via=None):
        """Joins by ID or alias."""
        query = [("via", server) for server in ([via] if via else [])]
        return self.post(f"/v3/join/{quote(room, safe='')}", query=query)["room_id"]

    def knock(self, room, via, reason):
        return self.post(f"/v3/knock/{quote(room, safe='')}", {"reason": reason}, [("via", via)])["room_id"]

    def invite(self, room, user):
        self.post(f"/v3/rooms/{quote(room, safe='')}/invite", {"user_id": user.id})

    def leave(self, room):
        self.post(f"/v3/rooms/{quote(room, safe='')}/leave")

    def say(self, room, text):
        """Sends a message and returns its event ID."""
        path = f"/v3/rooms/{quote(room, safe='')}/send/m.room.message/{self._transaction()}"
        return self.put(path, {"msgtype": "m.text", "body": text})["event_id"]

    def set_state(self, room, kind, content, key=""):
        return self.put(f"/v3/rooms/{quote(room, safe='')}/state/{kind}/{quote(key, safe='')}", content)["event_id"]

    def redact(self, room, event, reason):
        path = f"/v3/rooms/{quote(room, safe='')}/redact/{quote(event, safe='')}/{self._transaction()}"
        return self.put(path, {"reason": reason})["event_id"]

    def event(self, room, event):
        return self.get(f"/v3/rooms/{quote(room, safe='')}/event/{quote(event, safe='')}")

    def membership(self, room, user):
        """What this user's server holds to be the other user's membership; `None` without one."""
        try:
            path = f"/v3/rooms/{quote(room, safe='')}/state/m.room.member/{quote(user.id, safe='')}"
            return self.get(path)["membership"]
        except Refused as refused:
            if refused.status in (403, 404):
                return None
            raise

    def history(self, room):
        """Every event of the room that this user may see, newest first, to the very beginning."""
        events, token = [], None
        while True:
            query = {"dir": "b", "limit": 100, **({"from": token} if token else {})}
            page = self.get(f"/v3/rooms/{quote(room, safe='')}/messages", **query)
            events += page["chunk"]
            token = page.get("end")
            if not token:
                return events

    def bodies(self, room):
        """The texts of the messages in `history`, oldest first: a doubled message is in it twice, a lost one not at all."""
        messages = [event for event in reversed(self.history(room)) if event["type"] == "m.room.message"]
        return [message["content"].get("body") for message in messages]

    # What /sync tells.

    def sync(self, wait=0):
        """Takes what is new, waiting up to `wait` ms for it."""
        query = {"timeout": wait, "set_presence": "offline"}
        if self.since:
            query["since"] = self.since
        news = self.get("/v3/sync", **query)
        self.since = news["next_batch"]
        rooms = news.get("rooms", {})
        for room, update in rooms.get("join", {}).items():
            self._room(room).take(update)
        for room, update in rooms.get("leave", {}).items():
            self._room(room).take(update)
            self.invites.pop(room, None)
        for room, update in rooms.get("invite", {}).items():
            self.invites[room] = update["invite_state"]["events"]
        self.to_device += news.get("to_device", {}).get("events", [])
        for event in news.get("presence", {}).get("events", []):
            self.presence[event["sender"]] = event["content"]
        self.changed_devices |= set(news.get("device_lists", {}).get("changed", []))

    def waits_until(self, what, condition, within=None):
        """Syncs until the condition holds, and returns what it gave."""

        def told():
            self.sync(wait=200)
            return condition()

        limits = {} if within is None else {"within": within}
        return until(f"{self.id} {what}", told, every=0.0, **limits)

    def hears(self, room, text, within=None):
        """Waits for a message of this text in `/sync`, and returns its event."""

        def heard():
            said = [event["content"].get("body") for event in self._room(room).timeline if event["type"] == "m.room.message"]
            for event in self._room(room).timeline:
                if event["type"] == "m.room.message" and event["content"].get("body") == text:
                    return event
            raise NotYet(f"heard {said[-3:]}")

        return self.waits_until(f"hears {text!r}", heard, within)

    def _room(self, room):
        return self.rooms.setdefault(room, Room())

    def in_room(self, room):
        return self._room(room)

    # Keys and devices.

    def upload_keys(self, one_time=0):
        """Device keys, and so many one-time keys. They only have to look like keys: no server reads them."""
        keys = {
            "user_id": self.id,
            "device_id": self.device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {f"ed25519:{self.device}": "A" * 43, f"curve25519:{self.device}": "B" * 43},
            "signatures": {self.id: {f"ed25519:{self.device}": "C" * 86}},
        }
        body = {
            "device_keys": keys,
            "one_time_keys": {f"signed_curve25519:AAAA{n:02}": {"key": f"{n:02}" + "D" * 41, "signatures": {}} for n in range(one_time)},
        }
        return self.post("/v3/keys/upload", body)["one_time_key_counts"].get("signed_curve25519", 0)

    def one_time_keys(self):
        """How many are left on the server."""
        return self.post("/v3/keys/upload", {})["one_time_key_counts"].get("signed_curve25519", 0)

    def claim(self, user):
        """Claims one of the other user's one-time keys: the whole reply."""
        return self.post("/v3/keys/claim", {"one_time_keys": {user.id: {user.device: "signed_curve25519"}}, "timeout": 30000})

    def query_keys(self, user):
        return self.post("/v3/keys/query", {"device_keys": {user.id: []}, "timeout": 30000})

    # Media.

    def upload(self, content, kind, name):
        """Stores a file and returns its ID."""
        path = "/_matrix/media/v3/upload"
        reply = request(self.url, "POST", path, self.token, [("filename", name)], content, {"Content-Type": kind})
        return reply["content_uri"].rsplit("/", 1)[1]

    def download(self, server, media):
        return request(self.url, "GET", f"/_matrix/client/v1/media/download/{server}/{media}", self.token)


class Room:
    """What `/sync` has told of a room."""

    def __init__(self):
        self.timeline = []
        self.state = {}
        self.typing = []
        self.receipts = {}

    def take(self, update):
        for event in update.get("state", {}).get("events", []):
            self.state[event["type"], event["state_key"]] = event["content"]
        for event in update.get("timeline", {}).get("events", []):
            self.timeline.append(event)
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event["content"]
        for event in update.get("ephemeral", {}).get("events", []):
            if event["type"] == "m.typing":
                self.typing = event["content"]["user_ids"]
            elif event["type"] == "m.receipt":
                for target, kinds in event["content"].items():
                    for user in kinds.get("m.read", {}):
                        self.receipts[user] = target
