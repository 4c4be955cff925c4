"""The same comparisons over a real history: nobody's invention, and far longer than a random case."""

import gzip
import json
from datetime import date, datetime, timezone

from actors_chains import Funnel
from actors_days import Cohort, Correlation, compare
from actors_engine import EPOCH, Event, Project, Selection

HOUR, DAY = 3_600, 86_400
WITHIN = [HOUR, DAY, 7 * DAY, 365 * DAY]
ZONES = ["UTC", "America/New_York", "Asia/Kolkata"]


def read(file):
    """The events that have an actor, with no property but what the comparisons take: none."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line.get("actor"):
                since = datetime.fromisoformat(line["time"]).astimezone(timezone.utc) - EPOCH
                us = (since.days * DAY + since.seconds) * 1_000_000 + since.microseconds
                yield Event(line["actor"], us, line["name"], None, "")


class Together(Funnel):
    """A funnel of everybody, who are too many for groups."""

    def written(self):
        kept = [line for line in super().written().splitlines() if not line.startswith(("by:", "top:"))]
        return "\n".join(kept) + "\n"


def funnels(first, second):
    for at, within in enumerate(WITHIN):
        for steps in [[first, second], [second, first, second], [first, first, second]]:
            yield Together(f"f{at}_{len(steps)}_{steps[0].names[0]}", "ordered", within, steps, "UTC")


def days(first, second, begin, end):
    """Months that hold the history, and the days of its last year."""
    months = (date(begin.year, begin.month, 1), date(end.year + end.month // 12, end.month % 12 + 1, 1))
    for at, zone in enumerate(ZONES):
        shapes = [("month", "first_time", "on"), ("month", "recurring", "on_or_after"), ("month", "recurring", "on")]
        every, mode, measure = shapes[at]
        yield Cohort(f"c{at}", first, first, every, 12, mode, measure, zone, "sunday", *months)
        yield Cohort(f"d{at}", first, second, every, 6, mode, measure, zone, "sunday", *months)
    year = date.fromordinal(end.toordinal() - 365)
    series = [("target", first, "count(*)"), ("x", second, "count(*)"), ("y", second, "count(distinct actor)")]
    yield Correlation("r", series, 7, "spearman", "Europe/Berlin", year, end)


def history(tidemill, clickhouse, file, names, tally):
    """Compares a history; `names`: two names of its events."""
    events = list(read(file))
    first, second = (Selection((name,)) for name in names)
    times = [event.us // 1_000_000 for event in events]
    begin, end = (datetime.fromtimestamp(at, timezone.utc).date() for at in (min(times), max(times)))
    clickhouse.load(events)
    chains, others = list(funnels(first, second)), []
    for one in days(first, second, begin, end):
        # A column of a cohort that has not begun has no row.
        others.append(one)
    with Project(tidemill, file, [one.written() for one in [*chains, *others]]) as project:
        words = ["--from", date.fromordinal(begin.toordinal() - 1).isoformat(), "--to", date.fromordinal(end.toordinal() + 2).isoformat()]
        actors = len({event.actor for event in events})
        for funnel in chains:
            levels = [level for _, level in clickhouse.rows(funnel.clickhouse())]
            theirs = [sum(level >= step for level in levels) for step in range(1, len(funnel.steps) + 1)]
            ours = [row["actors"] for row in project.rows(funnel.insight, *words)]
            tally.add("history", actors, len(theirs))
            if ours != theirs:
                tally.tell(" ".join(words), funnel.written(), [f"tidemill {ours}, ClickHouse {theirs}"])
        for one in others:
            compare(project, clickhouse, one, "cohort" if isinstance(one, Cohort) else "correlation", tally)
