"""What Lambda would see of the function binary: size, time to start, memory, under the runtime's own protocol.

In: the binary, how often it is started, and an event file per role (`events=FILE` …; none: it is only started). Out: a
table. The environment names an emulator's endpoint and the stores, as `tests/aws/emulator.py` and the stack do. Nothing
is judged here.
"""

import argparse
import http.server
import json
import os
import pathlib
import queue
import statistics
import subprocess
import threading
import time

ROLES = ["api", "events", "changes", "seal", "dispatcher", "engine", "upkeep"]
# What a function needs to start; where an event is given, the environment's own values stand.
NAMES = {
    "TIDEMILL_EVENTS_TABLE": "events",
    "TIDEMILL_ITEMS_TABLE": "items",
    "TIDEMILL_BUCKET": "bucket",
    "TIDEMILL_REQUESTS_URL": "http://127.0.0.1:9/requests",
    "TIDEMILL_DEAD_LETTERS_URL": "http://127.0.0.1:9/dead",
    "TIDEMILL_SCHEDULE_GROUP": "group",
    "TIDEMILL_SCHEDULE_ROLE_ARN": "arn:aws:iam::000000000000:role/scheduler",
    "TIDEMILL_DISPATCHER_ARN": "arn:aws:lambda:us-east-1:000000000000:function:dispatcher",
    "TIDEMILL_UPKEEP_ARN": "arn:aws:lambda:us-east-1:000000000000:function:upkeep",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


class Runtime(http.server.BaseHTTPRequestHandler):
    """Lambda's runtime interface: hands out one event at a time."""

    def do_GET(self) -> None:
        self.server.asked.put(time.perf_counter())
        event = self.server.events.get()
        if event is None:
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 120_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.answered.put((self.path.rsplit("/", 1)[1], body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def peak_mib(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def start(binary: str, role: str, event: bytes | None) -> tuple[float, float, float, str]:
    """Milliseconds until it asks for an event, MiB at its height, milliseconds of the call, what it answered."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.events, server.asked, server.answered = queue.Queue(), queue.Queue(), queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**NAMES, **os.environ}
    environment.update(
        TIDEMILL_ROLE=role,
        AWS_LAMBDA_RUNTIME_API="%s:%s" % server.server_address,
        AWS_LAMBDA_FUNCTION_NAME=role,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1024",
        AWS_LAMBDA_FUNCTION_VERSION="1",
        AWS_LAMBDA_LOG_GROUP_NAME="g",
        AWS_LAMBDA_LOG_STREAM_NAME="s",
    )
    began = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ready = (server.asked.get(timeout=60) - began) * 1000
        took, said = 0.0, ""
        if event is not None:
            called = time.perf_counter()
            server.events.put(event)
            kind, body = server.answered.get(timeout=120)
            took, said = (time.perf_counter() - called) * 1000, f"{kind}: {body[:120].decode(errors='replace')}"
        return ready, peak_mib(process.pid), took, said
    finally:
        process.kill()
        process.wait()
        server.events.put(None)
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("events", nargs="*", metavar="ROLE=FILE")
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    events = dict(event.split("=", 1) for event in arguments.events)
    print(f"{arguments.binary}: {os.path.getsize(arguments.binary) / 1e6:.1f} MB")
    print(f"{'role':12}{'init ms':>10}{'peak MiB':>10}{'call ms':>10}  answer")
    for role in ROLES:
        event = pathlib.Path(events[role]).read_bytes() if role in events else None
        if event is not None:
            json.loads(event)
        runs = [start(arguments.binary, role, event) for _ in range(arguments.starts)]
        middle = [statistics.median(column) for column in list(zip(*runs))[:3]]
        print(f"{role:12}{middle[0]:10.1f}{middle[1]:10.1f}{middle[2]:10.1f}  {runs[-1][3]}")


if __name__ == "__main__":
    main()
