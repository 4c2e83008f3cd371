"""nginx before a gateway: the recipe of docs/gateway.md, which is read from there."""

import os
import re
import shutil
import subprocess

from process import Program, listens
from recipe import blocks

PROGRAM = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

class Nginx:
    """Serves TLS on `port` and passes on to `backend`, where the gateway is to listen."""

    def __init__(self, lab, folder, port, backend):
        assert PROGRAM, "nginx is not installed; Debian has it in the package nginx-light"
        self.folder = folder
        self.port = port
        self.backend = backend
        folder.mkdir(parents=True)
        certificate, key = lab.authority.certify("nginx")
        (recipe,) = blocks("docs/gateway.md", "nginx")
        for ours, theirs in (
            ("8448", str(port)),
            ("18448", str(backend)),
            ("certificate.pem", str(certificate)),
            ("private.key", str(key)),
        ):
            assert re.search(rf"\b{re.escape(ours)}\b", recipe), f"the recipe in docs/gateway.md has no {ours}"
            recipe = re.sub(rf"\b{re.escape(ours)}\b", theirs, recipe)
        paths = "".join(
            f"{module}_temp_path {folder}/{module};\n" for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # What Debian's nginx.conf has around a site, as far as a test needs it.
        (folder / "nginx.conf").write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log {folder}/access.log;\n{paths}{recipe}\n}}\n"
        )

    def __enter__(self):
        command = [PROGRAM, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", "stderr"]
        self.program = Program("nginx", command, self.folder / "nginx.log")
        self.program.wait_for("it listens", lambda: listens(self.port))
        return self

    def __exit__(self, *_):
        self.program.kill()


def version():
    """What nginx calls itself; `None` where there is none."""
    if PROGRAM is None:
        return None
    return subprocess.run([PROGRAM, "-v"], capture_output=True, text=True, check=True).stderr.strip()
