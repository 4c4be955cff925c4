"""The two sides of the referee of actors: the engine's command over a project of its own, and ClickHouse in-process."""

import json
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from chdb.session import Session

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = 1_000_000


class Event(NamedTuple):
    """Something an actor did. `us`: microseconds since 1970; `k`: a number or nothing; `g`: a group."""

    actor: str
    us: int
    name: str
    k: float | None
    g: str

    def told(self, since):
        """The event for people, its time in seconds since a moment."""
        return f"{(self.us - since) / SECOND:+.6f}s {self.name}" + ("" if self.k is None else f" k={self.k}")


class Selection(NamedTuple):
    """Events by name, and those only whose `k` is above a number when there is one."""

    names: tuple
    over: int | None = None

    def takes(self, event):
        return event.name in self.names and (self.over is None or (event.k is not None and event.k > self.over))

    def written(self):
        """As definitions have it."""
        names = self.names[0] if len(self.names) == 1 else list(self.names)
        return names if self.over is None else {"event": names, "where": f"k > {self.over}"}

    def sql(self):
        names = f"name in ({', '.join(map(repr, self.names))})"
        return names if self.over is None else f"({names} and ifNull(k > {self.over}, false))"


def yaml(insight, **keys):
    """A definition, a key a line; JSON is YAML."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in keys.items() if value is not None]
    return "\n".join([f"insight: {insight}", *lines]) + "\n"


def moment(us):
    return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Project:
    """A computed project over events, for a `with`."""

    def __init__(self, tidemill, events, definitions):
        """`events`: a list of `Event`, or the path of a file."""
        self.folder = tempfile.TemporaryDirectory()
        self.tidemill, self.home = tidemill, Path(self.folder.name) / "project"
        run(tidemill, "init", self.home)
        for file in (self.home / "insights").glob("*.yaml"):
            file.unlink()
        (self.home / "insights" / "all.yaml").write_text("---\n".join(definitions), "utf-8")
        file = events if isinstance(events, Path) else self.written(events)
        for words in [["import", file], ["apply", "--yes"], ["backfill", "--all"]]:
            run(tidemill, "--project", self.home, *words)

    def written(self, events):
        file = Path(self.folder.name) / "events.ndjson"
        with file.open("w", encoding="utf-8") as out:
            for at, event in enumerate(events):
                # A property that is absent must count as one that is null does.
                properties = {"g": event.g} | ({} if event.k is None and at % 2 else {"k": event.k})
                line = {"id": f"e{at}", "source": "s", "name": event.name, "actor": event.actor,
                        "time": moment(event.us), "properties": properties}
                out.write(json.dumps(line) + "\n")
        return file

    def rows(self, insight, *words):
        answer = json.loads(run(self.tidemill, "--project", self.home, "query", insight, *words, "-o", "json"))
        # An answer over a part of the days could only differ.
        if answer["completeness"]["partial"] or answer["next"]:
            raise SystemExit(f"{insight} {' '.join(words)}: {answer['completeness']['reasons'] or 'more than one page'}")
        return answer["rows"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class ClickHouse:
    """ClickHouse with one table: `e`, the events."""

    COLUMNS = "actor String, us Int64, name String, k Nullable(Float64), g String"

    def __init__(self):
        self.session = Session()

    def load(self, events):
        self.session.query("drop table if exists e")
        self.session.query(f"create table e ({self.COLUMNS}, ts DateTime64(6, 'UTC')) engine Memory")
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
            for event in events:
                file.write(json.dumps(event._asdict()) + "\n")
            file.flush()
            if events:
                self.session.query(f"insert into e select *, fromUnixTimestamp64Micro(us, 'UTC')"
                                   f" from file('{file.name}', JSONEachRow, '{self.COLUMNS}')")

    def rows(self, sql):
        answer = self.session.query(sql, "JSONCompactEachRow").data()
        return [json.loads(line) for line in answer.splitlines()]


def same(ours, theirs):
    """Equal, to the six places the engine rounds to."""
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= 1.000001e-6
    return ours == theirs
