"""AWS on this machine: ministack, with the numbers of DynamoDB and a clock that can be put forward.

In: nothing. Out: two lines, the endpoint and the URL that puts the clock forward (`?seconds=N`), once it answers. It
serves until its standard input ends, so that it never outlives whoever started it.
"""

import decimal
import http.server
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# DynamoDB's numbers have 38 digits; Python's decimals have 28 unless told.
decimal.DefaultContext.prec = 38
decimal.setcontext(decimal.DefaultContext.copy())

ahead = 0.0
real_time = time.time
time.time = lambda: real_time() + ahead


class Clock(http.server.BaseHTTPRequestHandler):
    """Puts the clock forward."""

    def do_GET(self) -> None:
        global ahead
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        ahead += float(query["seconds"][0])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tell(endpoint: str, clock: str, out) -> None:
    deadline = real_time() + 60
    while real_time() < deadline:
        try:
            urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1).read()
            print(endpoint, clock, sep="\n", file=out, flush=True)
            return
        except (urllib.error.URLError, OSError):
            threading.Event().wait(0.05)
    os._exit(1)


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    os.environ.update(
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        AWS_ENDPOINT_URL=endpoint,
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "ERROR"),
    )
    # What it logs is for stderr: stdout is for the two lines.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    clock = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Clock)
    threading.Thread(target=clock.serve_forever, daemon=True).start()
    threading.Thread(target=end_with_input, daemon=True).start()
    clock_url = "http://%s:%s/" % clock.server_address
    threading.Thread(target=tell, args=(endpoint, clock_url, out), daemon=True).start()
    sys.argv = sys.argv[:1]
    from ministack.app import main as serve

    serve()


if __name__ == "__main__":
    main()
