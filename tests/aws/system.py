"""The whole system as it runs in an account, beside the same system in one process: every answer must be the same bytes.

In: the command, the functions' binary, a scratch folder, and an emulator in the environment (`tests/aws/emulator.py`).
It deploys the stack, puts 20,000 events through a Kinesis client (plain records and KPL aggregates) and over the
function's URL, some of them twice, lets the functions run from their mappings and schedules, and asks both for digests,
series and rollups. Out: what was compared; exit code 1 when anything differs.
"""

import argparse
import datetime
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.parse

import boto3
from aws_kinesis_agg.aggregator import RecordAggregator

STACK = "system"
EVENTS = 20_000
DAYS = 6
FIRST = datetime.datetime(2026, 3, 26, tzinfo=datetime.timezone.utc)  # a change of clocks in Europe lies within
SECONDS_MAX = 900
SEED = 20_260_326

INSIGHTS = {
    "orders": """insight: orders
type: standard
from: "*"
timezone: Europe/Berlin
refresh: 1m
by: [country]
metrics: {orders: count(*), revenue: sum(amount)}
""",
    "buyers": """insight: buyers
type: standard
from: order
timezone: America/New_York
refresh: 5m
metrics: {buyers: count(distinct actor), mean: avg(amount), share: "percent(amount > 50)"}
""",
    "checkout": """insight: checkout
type: funnel
timezone: Europe/Berlin
refresh: 15m
within: 1d
steps: [view, order]
""",
}


def generate() -> list[dict]:
    chance = random.Random(SEED)
    events = []
    for number in range(EVENTS):
        at = FIRST + datetime.timedelta(microseconds=chance.randrange(DAYS * 86_400_000_000))
        amount = chance.randrange(1, 10_000)
        events.append(
            {
                "id": f"e{number}",
                "source": "shop",
                "name": chance.choice(["view", "view", "order"]),
                "actor": f"a{chance.randrange(2_000)}",
                "time": at.isoformat().replace("+00:00", "Z"),
                "properties": {"country": chance.choice(["DE", "FR", "US", None]), "amount": amount / 100},
            }
        )
    return events


class Deployment:
    def __init__(self, command: str, project: pathlib.Path) -> None:
        self.command, self.project = command, project

    def run(self, *arguments: str, target: str | None = f"aws:{STACK}", seconds: int = SECONDS_MAX) -> str:
        to = ["--target", target] if target else []
        line = [self.command, *to, *arguments]
        done = subprocess.run(line, cwd=self.project, capture_output=True, text=True, timeout=seconds)
        if done.returncode != 0:
            sys.exit(f"{' '.join(line)}\n{done.stdout}{done.stderr}")
        return done.stdout


def write_project(folder: pathlib.Path) -> None:
    (folder / "insights").mkdir(parents=True)
    (folder / "tidemill.toml").write_text("")
    for name, text in INSIGHTS.items():
        (folder / "insights" / f"{name}.yaml").write_text(text)


def lines(events: list[dict]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def put_records(kinesis, stream: str, records: list[dict]) -> None:
    for start in range(0, len(records), 500):
        left = records[start : start + 500]
        while left:
            answer = kinesis.put_records(StreamName=stream, Records=left)
            left = [record for record, said in zip(left, answer["Records"]) if "ErrorCode" in said]


def plain(events: list[dict]) -> list[dict]:
    return [{"Data": json.dumps(event).encode(), "PartitionKey": event["id"]} for event in events]


def aggregated(events: list[dict]) -> list[dict]:
    records, aggregator = [], RecordAggregator(50_000)
    add = lambda made: records.append({"Data": made.get_contents()[2], "PartitionKey": made.get_contents()[0]})
    for event in events:
        made = aggregator.add_user_record(event["id"], json.dumps(event))
        if made:
            add(made)
    made = aggregator.clear_and_get()
    if made:
        add(made)
    return records


def over_url(url: str, key: str, method: str, path: str, body: bytes = b"") -> bytes:
    """A request to the function's URL: it is the emulator that answers for that host."""
    emulator = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL"])
    client = http.client.HTTPConnection(emulator.hostname, emulator.port, timeout=120)
    headers = {"Host": urllib.parse.urlparse(url).hostname, "Authorization": f"Bearer {key}"}
    client.request(method, path, body, {**headers, "Content-Type": "application/json"})
    answer = client.getresponse()
    said = answer.read()
    if answer.status != 200:
        sys.exit(f"{method} {path}: {answer.status} {said[:500]!r}")
    return said


def status(deployment: Deployment) -> dict[str, int]:
    checks = json.loads(deployment.run("doctor", "--json"))["checks"]
    said = {check["check"]: check["said"].replace(",", "") for check in checks}
    return {what: int(said[what]) for what in ["page rows", "quarantined", "totals lag seconds", "dirty days"]}


def wait_for(what: str, done) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {SECONDS_MAX} s")
        time.sleep(1)  # between two looks, not instead of one


def answers(ask) -> dict[str, bytes]:
    last = (FIRST + datetime.timedelta(days=DAYS + 1)).date()
    first = (FIRST - datetime.timedelta(days=1)).date()
    span = f"from={first}&to={last}"
    found = {}
    for insight in INSIGHTS:
        whole = ["breakdown", "digest"] if insight != "checkout" else ["steps", "digest"]
        paths = [f"series?{span}&every={every}" for every in ["day", "week", "month", "quarter", "year"]]
        for path in paths + [f"{route}?{span}" for route in whole]:
            found[f"{insight}/{path}"] = ask(f"/v1/insights/{insight}/{path}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command")
    parser.add_argument("bootstrap")
    parser.add_argument("scratch", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.command, arguments.bootstrap = map(os.path.abspath, (arguments.command, arguments.bootstrap))
    events = generate()
    by_record, by_aggregate, by_url = events[:8_000], events[8_000:14_000], events[14_000:]

    there = arguments.scratch / "there"
    write_project(there)
    deployment = Deployment(arguments.command, there)
    made = json.loads(
        deployment.run(
            "deploy", "--yes", "--json", "--stack", STACK, "--kinesis", "1", "--function", arguments.bootstrap, target=None
        )
    )
    outputs = made["outputs"]
    deployment.run("apply", "--yes")
    key = deployment.run("keys", "add", "--right", "admin", "system").strip().splitlines()[-1]
    kinesis = boto3.client("kinesis", region_name="us-east-1")
    began = time.monotonic()
    # A record that is none, and a tenth of the records twice: one costs itself, the others change nothing.
    put_records(kinesis, outputs["Stream"], plain(by_record) + plain(by_record[::10]) + [{"Data": b"{", "PartitionKey": "x"}])
    put_records(kinesis, outputs["Stream"], aggregated(by_aggregate) + aggregated(by_aggregate[::10]))
    for start in range(0, len(by_url), 1_000):
        batch = lines(by_url[start : start + 1_000])
        receipt = json.loads(over_url(outputs["Url"], key, "POST", "/v1/events", batch))
        assert receipt["accepted"] == 1_000, receipt
    wait_for("events in pages", lambda: status(deployment)["page rows"] >= EVENTS)
    print(f"{EVENTS} events are in pages after {time.monotonic() - began:.0f} s", flush=True)
    seen = status(deployment)
    assert seen["page rows"] == EVENTS and seen["quarantined"] >= 1, seen
    deployment.run("backfill", "--all")
    print(f"all days and longer periods are computed after {time.monotonic() - began:.0f} s", flush=True)

    here = arguments.scratch / "here"
    write_project(here)
    local = Deployment(arguments.command, here)
    (arguments.scratch / "events.ndjson").write_bytes(lines(events))
    local.run("apply", "--yes", target=None)
    local.run("send", "../events.ndjson", target=None)
    local.run("backfill", "--all", target=None)
    server = subprocess.Popen([arguments.command, "up", "--listen", "127.0.0.1:0"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        base = next(word for line in server.stderr for word in line.split() if word.startswith("http://"))
        address = urllib.parse.urlparse(base)

        def ask_here(path: str) -> bytes:
            client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
            client.request("GET", path)
            return client.getresponse().read()

        one = answers(ask_here)
    finally:
        server.kill()
        server.wait()
    two = answers(lambda path: over_url(outputs["Url"], key, "GET", path))
    different = [path for path in one if one[path] != two[path]]
    for path in different[:3]:
        print(f"{path}\n  in one process  {one[path][:1500]!r}\n  in the account  {two[path][:1500]!r}")
    print(f"{len(one)} answers, {sum(map(len, one.values()))} bytes: {len(different)} differ")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
