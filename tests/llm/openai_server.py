"""A chat endpoint that answers by a script: a process of its own, told what to do on its standard input.

Each line of input is a JSON list of steps, one for each request to come (see `Step` in remote_server.py), or
null, which is answered by "heard". Each line of output is a JSON object that tells what happened.
"""

import argparse
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

_LOCK = threading.Lock()


def tell(script: int, what: str, **facts: object) -> None:
    with _LOCK:
        print(json.dumps({"script": script, "what": what, **facts}), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    steps: ClassVar[list[dict[str, Any]]] = []
    script = 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with _LOCK:
            step, script = Handler.steps.pop(0) if Handler.steps else None, Handler.script
        headers = {name.lower(): value for name, value in self.headers.items()}
        tell(script, "request", path=self.path, headers=headers, body=json.loads(body))
        self.close_connection = True
        if step is None:
            tell(script, "unexpected request")
            return
        try:
            self.play(step, script)
        except OSError:
            tell(script, "gone")

    def play(self, step: dict[str, Any], script: int) -> None:
        if step["status"]:
            self.send_response(step["status"])
            for name, value in step["headers"].items():
                self.send_header(name, value)
            self.end_headers()
        for piece in step["pieces"]:
            self.send(piece, step)
        tell(script, "sent")
        if step["then"] == "end" and "Transfer-Encoding" in step["headers"]:
            self.wfile.write(b"0\r\n\r\n")
        while step["then"] == "forever":
            self.send(step["pieces"][-1], step)
        if step["then"] == "hang":
            self.connection.recv(1)
            tell(script, "gone")

    def send(self, piece: str, step: dict[str, Any]) -> None:
        data = piece.encode(errors="surrogateescape")
        chunked = step["status"] and "Transfer-Encoding" in step["headers"]
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        tell(Handler.script, "gone")  # such as a TLS handshake that the client broke off


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--late", action="store_true", help="bind, but listen only after the first script")
    parser.add_argument("--certificate")
    args = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.server_bind()
    if args.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    if not args.late:
        server.server_activate()
    tell(0, "bound", port=server.server_port)
    for line in sys.stdin:
        steps = json.loads(line)
        if steps is None:
            tell(Handler.script, "heard")
            continue
        with _LOCK:
            Handler.steps, Handler.script = steps, Handler.script + 1
        if Handler.script == 1:
            if args.late:
                server.server_activate()
            threading.Thread(target=server.serve_forever, daemon=True).start()
        tell(Handler.script, "ready")


if __name__ == "__main__":
    main()
