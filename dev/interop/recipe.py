"""What README.md and docs/gateway.md tell operators to write, so that it is what has been run."""

import pathlib
import re
import subprocess
import tomllib

import yaml

from scenario import over

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/gateway.md")


def blocks(page, language):
    """The fenced blocks of a page in one language, without the indentation of a list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@over()
def what_the_documentation_says_is_what_was_run(pair):
    gateway = pair.hs1.gateway
    ports = {"18081": gateway.inbound_port, "18101": gateway.egress_port}
    for page in PAGES:
        way_in, way_out = (yaml.safe_load(with_ports(text, ports)) for text in blocks(page, "yaml"))
        way_out["worker_replication_secret"] = gateway.secret
        assert {**way_in, **way_out} == gateway.federation(), page

        text = next(text for text in blocks(page, "toml") if text.startswith("server_name"))
        assert settings(tomllib.loads(text)) <= settings(tomllib.loads(gateway.config.read_text())), page
        # It has to be good as it stands; only the files that it names are not at hand.
        folder = gateway.folder / "recipe"
        folder.mkdir(exist_ok=True)
        certificate, key = gateway.lab.authority.certify("recipe")
        for name, source in (("tls.crt", certificate), ("tls.key", key), ("egress.secret", gateway.folder / "egress.secret")):
            (folder / name).write_bytes(source.read_bytes())
            (folder / name).chmod(0o600)
        (folder / "gateway.toml").write_text(text)
        check = [gateway.lab.comity, "gateway", "--check", "--config", folder / "gateway.toml"]
        checked = subprocess.run(check, capture_output=True, text=True, timeout=30)
        assert checked.returncode == 0, f"{page}: {checked.stderr}"


def with_ports(text, ports):
    for ours, theirs in ports.items():
        text = text.replace(ours, str(theirs))
    return text


def settings(tables):
    """The names of the settings, as a set. What stands under a peer is about any peer."""
    names = set()
    for name, value in tables.items():
        if name == "peers":
            value = {key: 0 for peer in value.values() for key in peer}
        names |= {f"{name}.{key}" for key in value} if isinstance(value, dict) else {name}
    return names


ALL = [what_the_documentation_says_is_what_was_run]
