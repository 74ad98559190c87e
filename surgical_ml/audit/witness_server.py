"""The witness as a program on another host: four requests over HTTP, answered by the standard library's server.

POST /add-checkpoint            C2SP tlog-witness: `old <size>`, hashes, an empty line, the signed checkpoint
POST /add-key                   a case key's certificate, or the rotation of a device's key: the note as it lies in keys/
GET  /checkpoint?origin=<name>  the last checkpoint that was signed, with both signatures
GET  /key                       the witness's own key, as a vkey
"""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from surgical_ml.audit.note import LARGEST_NOTE
from surgical_ml.audit.witness import Answer, Witness

LARGEST_REQUEST = 2 * LARGEST_NOTE
SLOWEST_S = 10.0
"""A caller that sends nothing for so long is let go."""


def witness_server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """A server that answers for the witness once `serve_forever` is called; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened at.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SLOWEST_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_REQUEST:
                self._say(Answer(413, f"at most {LARGEST_REQUEST} bytes, and their number\n".encode()))
                return
            body = self.rfile.read(int(length))
            if self.path == "/add-checkpoint":
                self._say(witness.add_checkpoint(body, int(time.time())))
            elif self.path == "/add-key":
                self._say(witness.add_key(body))
            else:
                self._say(Answer(404, b"no such request\n"))

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            origin = parse_qs(asked.query).get("origin", [""])[0]
            if asked.path == "/checkpoint":
                self._say(witness.latest(origin))
            elif asked.path == "/key":
                self._say(Answer(200, f"{witness.key.text}\n".encode()))
            else:
                self._say(Answer(404, b"no such request\n"))

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: whoever runs the witness sees what it signed in its folder."""

    return ThreadingHTTPServer((host, port), Handler)
