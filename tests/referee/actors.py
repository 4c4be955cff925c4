"""Insights over actors, through the command, beside ClickHouse in-process.

    actors.py --binaries DIR [--cases N] [--seed S] [--history FILE]

DIR holds `tidemill`. N random small cases, an actor each, are imported into a project of its own and asked for with
definitions of several shapes: funnels beside `windowFunnel(W, 'strict_once')`, patterns beside `sequenceMatch` and
`sequenceCount`, cohorts beside SQL, correlations beside `corr`. Cases lie in a thousand groups, and every group's numbers
are compared. FILE: a history of commits, as NDJSON, compared too. Exits 1 when a number differs, or when there was too
little to compare.

Funnel cases have events at one instant and repeated steps; pattern cases have not: which of two events at one instant
comes first, ClickHouse takes from the order of rows, and tidemill from the definition.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from chdb import session

NAMES = "abcde"
GROUPS = 1000
ORIGIN = 1_772_323_200  # 2026-03-01T00:00:00Z; clocks change in New York a week later.
FIRST, END = "2026-03-01", "2026-04-01"
EVERY_ACTOR = "SELECT actor, any(g) AS g, {value} AS v FROM ev WHERE {where} GROUP BY actor"

# Steps as names, and the window in seconds.
FUNNELS = [
    (["a", "b"], 5),
    (["a", "a"], 10),
    (["a", "b", "a"], 7),
    (["a", "b", "c"], 20),
    (["ab", "b", "c"], 12),
    (["a", "a", "b", "c"], 40),
    (["ab", "ab", "c"], 9),
    (["a", "bc", "bc", "a", "d"], 30),
]
# The pattern, its events, and ClickHouse's, where anything may lie between two events only with `.*` or a bound on time.
PATTERNS = [
    ("a b", "ab", "(?1).*(?2)"),
    ("a !* b", "ab", "(?1)(?2)"),
    ("a !* b", "abc", "(?1)(?2)"),
    ("a b c", "abc", "(?1).*(?2).*(?3)"),
    ("a !* a", "ab", "(?1)(?1)"),
    ("a {0,4s} b", "abd", "(?1)(?t<=4)(?2)"),
    ("a {6s,} b", "abd", "(?1)(?t>=6)(?2)"),
    ("a b !* c", "abcd", "(?1).*(?2)(?3)"),
]
COHORTS = [
    (every, mode, measure, zone)
    for every in ["day", "week", "month"]
    for mode, measure in [("first_time", "on"), ("first_time", "on_or_after"), ("recurring", "on")]
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"]
]
PERIODS = 5


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Project:
    """A project with events and definitions, computed."""

    def __init__(self, tidemill, home, events, definitions):
        self.command = [tidemill, "--project", home]
        run(tidemill, "init", home)
        for file in (home / "insights").glob("*.yaml"):
            file.unlink()
        (home / "insights" / "all.yaml").write_text("---\n".join(definitions), "utf-8")
        run(*self.command, "import", events)
        run(*self.command, "apply", "--yes")
        run(*self.command, "backfill", "--all")

    def rows(self, insight, *arguments):
        answer = json.loads(run(*self.command, "query", insight, *arguments, "-o", "json"))
        assert not answer["completeness"]["partial"], answer["completeness"]
        return answer["rows"]


class ClickHouse:
    def __init__(self):
        self.session = session.Session()

    def ask(self, statement):
        settings = " SETTINGS output_format_json_quote_64bit_integers = 0"
        return json.loads(str(self.session.query(statement + settings, "JSONCompact")))["data"]

    def load(self, events):
        fields = "source String, actor String, name String, t Int64, g String, k Int64"
        self.session.query(f"CREATE OR REPLACE TABLE ev ({fields}) ENGINE = Memory")
        for at in range(0, len(events), 50_000):
            values = ", ".join(
                f"('{e['source']}', '{e['actor']}', '{e['name']}', {e['t']}, '{e['g']}', {e['k']})" for e in events[at : at + 50_000]
            )
            self.session.query(f"INSERT INTO ev VALUES {values}")


def cases(rng, count):
    """Events of two sources: `ties`, for funnels, and `apart`, whose instants differ within an actor."""
    events = []
    for case in range(count):
        tied = case % 2 == 0
        start = ORIGIN + rng.randrange(30 * 86_400) if rng.random() < 0.5 else ORIGIN + 86_400 * rng.randrange(1, 30) - 20
        span = range(41)
        howmany = rng.randrange(11)
        seconds = [rng.choice(span) for _ in range(howmany)] if tied else rng.sample(span, howmany)
        for second in seconds:
            events.append({
                "source": "ties" if tied else "apart",
                "actor": f"u{case}",
                "name": rng.choice(NAMES),
                "t": start + second,
                "g": f"g{case % (2 * GROUPS) // 2}",
                "k": rng.randrange(5),
            })
    return events


def write(events, path):
    with path.open("w") as out:
        for at, event in enumerate(events):
            properties = {"g": event["g"], "k": event["k"]}
            record = {"id": f"e{at}", "source": event["source"], "name": event["name"], "actor": event["actor"]}
            record |= {"time": stamp(event["t"]), "properties": properties}
            out.write(json.dumps(record) + "\n")


def stamp(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def definitions():
    texts = []
    for at, (steps, within) in enumerate(FUNNELS):
        listed = ", ".join(f"[{', '.join(step)}]" for step in steps)
        texts.append(f"insight: f{at}\ntype: funnel\nsource: ties\nsteps: [{listed}]\nwithin: {within}s\nby: g\ntop: 1000\n")
    for at, (pattern, events, _) in enumerate(PATTERNS):
        named = ", ".join(f"{event}: {event}" for event in events)
        texts.append(
            f"insight: p{at}\ntype: event_sequence\nsource: apart\nevents: {{ {named} }}\npattern: '{pattern}'\n"
            "within: 366d\nby: g\ntop: 1000\n"
        )
    for at, (every, mode, measure, zone) in enumerate(COHORTS):
        texts.append(
            f"insight: c{at}\ntype: cohort\nborn: a\nreturns: b\nevery: {every}\nperiods: {PERIODS}\nmode: {mode}\n"
            f"measure: {measure}\ntimezone: {zone}\n"
        )
    texts.append(
        "insight: r\ntype: correlation\nlookback: 31d\ntarget: { from: a, metric: count(*) }\n"
        "with: { x: { from: b, metric: count(*) }, y: { from: c, metric: sum(k) } }\nmax_lag: 3\n"
    )
    return texts


def among(names):
    return "name IN (" + ", ".join(f"'{name}'" for name in names) + ")"


class Compared:
    """What was compared, and what differs."""

    def __init__(self, seed):
        self.seed, self.count, self.differ = seed, {}, 0

    def tables(self, kind, what, ours, theirs):
        """Two mappings of the same keys; zeros on either side are nothing."""
        ours = {key: value for key, value in ours.items() if value}
        theirs = {key: value for key, value in theirs.items() if value}
        self.count[kind] = self.count.get(kind, 0) + len(theirs)
        for key in sorted(set(ours) | set(theirs), key=str):
            if ours.get(key, 0) != theirs.get(key, 0):
                self.differ += 1
                if self.differ <= 20:
                    print(f"seed {self.seed}: {what} {key}: tidemill {ours.get(key, 0)}, ClickHouse {theirs.get(key, 0)}")


def funnels(project, clickhouse, compared):
    for at, (steps, within) in enumerate(FUNNELS):
        ours = {(row["g"], row["step"]): row["actors"] for row in project.rows(f"f{at}", "--from", FIRST, "--to", END, "--by", "g")}
        conditions = ", ".join(among(step) for step in steps)
        value = f"windowFunnel({within}, 'strict_once')(toUInt64(t), {conditions})"
        inner = EVERY_ACTOR.format(value=value, where="source = 'ties'")
        levels = clickhouse.ask(f"SELECT g, arrayJoin(range(1, v + 1)) AS level, count() FROM ({inner}) GROUP BY g, level")
        compared.tables("funnel", f"{steps} within {within}s", ours, {(g, level): count for g, level, count in levels})


def patterns(project, clickhouse, compared):
    for at, (pattern, events, theirs) in enumerate(PATTERNS):
        ours = {row["g"]: (row["matches"], row["actors"]) for row in project.rows(f"p{at}", "--from", FIRST, "--to", END, "--by", "g")}
        conditions = ", ".join(f"name = '{event}'" for event in events)
        count = f"sequenceCount('{theirs}')(toUInt64(t), {conditions})"
        match = f"sequenceMatch('{theirs}')(toUInt64(t), {conditions})"
        inner = EVERY_ACTOR.format(value=f"({count}, {match})", where=f"source = 'apart' AND {among(events)}")
        found = clickhouse.ask(f"SELECT g, sum(v.1), sum(v.2) FROM ({inner}) GROUP BY g HAVING sum(v.1) > 0")
        compared.tables("pattern", pattern, ours, {g: (matches, actors) for g, matches, actors in found})


def cohorts(project, clickhouse, compared):
    for at, (every, mode, measure, zone) in enumerate(COHORTS):
        rows = project.rows(f"c{at}", "--from", "2026-02-01", "--to", "2026-05-01")
        ours = {(row["cohort"][:10], row["size"], row["offset"]): row["actors"] for row in rows}
        local = f"toDate(toDateTime(t, 'UTC'), '{zone}')"
        bucket = {"day": local, "week": f"toStartOfWeek({local}, 0)", "month": f"toStartOfMonth({local})"}[every]
        born = f"SELECT DISTINCT actor, {bucket} AS c FROM ev WHERE name = 'a'"
        if mode == "first_time":
            born = f"SELECT actor, min(c) AS c FROM ({born}) GROUP BY actor"
        back = f"SELECT DISTINCT actor, {bucket} AS r FROM ev WHERE name = 'b'"
        days = "dateDiff('day', c, r)"
        apart = {"day": days, "week": f"intDiv({days}, 7)", "month": "dateDiff('month', c, r)"}[every]
        hit = "apart = k" if measure == "on" else f"apart >= k AND apart < {PERIODS}"
        cells = clickhouse.ask(
            f"WITH born AS ({born}), back AS ({back}), sizes AS (SELECT c, count() AS size FROM born GROUP BY c), "
            f"pairs AS (SELECT actor, c, {apart} AS apart FROM born JOIN back USING actor WHERE r >= c) "
            f"SELECT toString(c), size, k, uniqExactIf(actor, {hit}) FROM pairs JOIN sizes USING c "
            f"CROSS JOIN (SELECT number AS k FROM numbers({PERIODS})) AS ks GROUP BY c, size, k"
        )
        compared.tables("cohort", f"{every} {mode} {measure} {zone}", ours, {(c, size, k): n for c, size, k, n in cells})


def correlations(project, clickhouse, compared):
    rows = project.rows("r", "--from", FIRST, "--to", END)
    ours = {(row["name"], row["lag"]): (row["n"], row["pearson"]) for row in rows}
    day = f"intDiv(t - {ORIGIN}, 86400)"
    # Every day of the range counts, also one without an event.
    every = f"SELECT toInt64(number) AS d FROM numbers(31)"
    series = f"SELECT {day} AS d, countIf(name = 'a') AS a, countIf(name = 'b') AS x, sumIf(k, name = 'c') AS y, countIf(name = 'c') AS has"
    for (name, lag), (n, pearson) in ours.items():
        has = "AND before.has > 0" if name == "y" else ""
        found = clickhouse.ask(
            f"WITH some AS ({series} FROM ev GROUP BY d), days AS (SELECT * FROM ({every}) AS every LEFT JOIN some USING d) SELECT count(), corr(toFloat64(days.a), toFloat64(before.{name})) "
            f"FROM days JOIN days AS before ON days.d = before.d + {lag} WHERE days.d < 31 {has}"
        )
        ((count, corr),) = found
        compared.count["coefficient"] = compared.count.get("coefficient", 0) + 1
        if count != n or abs(corr - pearson) > 1e-6:
            compared.differ += 1
            print(f"correlation {name} at lag {lag}: tidemill {n} {pearson}, ClickHouse {count} {corr}")


def history(tidemill, home, path, clickhouse, compared):
    """Commits, and what was written together, of a real history."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    events = [json.loads(line) for line in opened]
    loaded = [
        {
            "source": event.get("source", "git"),
            "actor": event["actor"],
            "name": event["name"],
            "t": int(datetime.fromisoformat(event["time"]).timestamp()),
            "g": event["properties"].get("repo", ""),
            "k": 0,
        }
        for event in events
        if event.get("actor")
    ]
    clickhouse.load(loaded)
    funnel = "insight: f\ntype: funnel\nsteps: [commit, co_authored, commit]\nwithin: 7d\n"
    cohort = "insight: c\ntype: cohort\nborn: commit\nreturns: commit\nevery: month\nperiods: 12\n"
    project = Project(tidemill, home, path, [funnel, cohort])
    ours = {row["step"]: row["actors"] for row in project.rows("f", "--from", "2017", "--to", "2030")}
    names = ["name = 'commit'", "name = 'co_authored'", "name = 'commit'"]
    inner = f"SELECT actor, windowFunnel(604800, 'strict_once')(toUInt64(t), {', '.join(names)}) AS v FROM ev GROUP BY actor"
    ((one, two, three),) = clickhouse.ask(f"SELECT countIf(v >= 1), countIf(v >= 2), countIf(v >= 3) FROM ({inner})")
    compared.tables("funnel", "the history's funnel", ours, {1: one, 2: two, 3: three})
    rows = project.rows("c", "--from", "2017", "--to", "2030")
    ours = {(row["cohort"][:7], row["offset"]): row["actors"] for row in rows}
    month = "toRelativeMonthNum(toDateTime(t, 'UTC'))"
    cells = clickhouse.ask(
        f"WITH months AS (SELECT DISTINCT actor, {month} AS m, formatDateTime(toDateTime(t, 'UTC'), '%Y-%m') AS shown FROM ev "
        "WHERE name = 'commit'), born AS (SELECT actor, min(m) AS c, min(shown) AS cohort FROM months GROUP BY actor) "
        "SELECT cohort, m - c AS k, count() FROM born JOIN months USING actor WHERE k < 12 GROUP BY cohort, k"
    )
    compared.tables("cohort", "the history's cohorts", ours, {(cohort, k): n for cohort, k, n in cells})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--history", type=Path)
    args = parser.parse_args()
    tidemill = args.binaries.resolve() / "tidemill"
    rng, compared, clickhouse = random.Random(args.seed), Compared(args.seed), ClickHouse()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        events = cases(rng, args.cases)
        write(events, folder / "events.ndjson")
        clickhouse.load(events)
        project = Project(tidemill, folder / "project", folder / "events.ndjson", definitions())
        for compare in [funnels, patterns, cohorts, correlations]:
            compare(project, clickhouse, compared)
        if args.history:
            history(tidemill, folder / "history", args.history, clickhouse, compared)
    shapes = {"funnel": len(FUNNELS) * args.cases // 2, "pattern": len(PATTERNS) * args.cases // 2}
    kinds = ["funnel", "pattern", "cohort", "coefficient"]
    print(
        f"{shapes['funnel']} funnel cases, {shapes['pattern']} pattern cases; numbers compared: "
        + ", ".join(f"{compared.count.get(kind, 0)} of {kind}s" for kind in kinds)
        + f"; {compared.differ} differ"
    )
    sys.exit(bool(compared.differ) or any(compared.count.get(kind, 0) < 8 for kind in kinds))


if __name__ == "__main__":
    main()
