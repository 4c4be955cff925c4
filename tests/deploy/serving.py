"""AWS on this machine: ministack, with numbers of 38 digits as DynamoDB has them.

In: nothing. Out: the endpoint, as one line, once it answers. It serves on the loopback address alone, until its standard
input ends, so that it never outlives whoever started it.
"""

import decimal
import os
import socket
import sys
import threading
import time
import urllib.request

SECONDS_MAX = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def announce(endpoint: str, out) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            direct.open(f"{endpoint}/_ministack/health", timeout=5).read()
            print(endpoint, file=out, flush=True)
            break
        except OSError:
            time.sleep(0.1)
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    os.environ.update(BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port), AWS_ENDPOINT_URL=endpoint)
    # What it logs is for stderr: stdout is for the endpoint.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # ministack adds with 28 digits.
    decimal.DefaultContext.prec = 38
    decimal.setcontext(decimal.DefaultContext.copy())
    threading.Thread(target=announce, args=(endpoint, out), daemon=True).start()
    from ministack.app import main as serve

    sys.argv = sys.argv[:1]
    serve()


if __name__ == "__main__":
    main()
