"""Cohorts and correlations beside plain SQL in ClickHouse, over days on which clocks change."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import asin, cos, pi, sqrt
from zoneinfo import ZoneInfo

from actors_engine import SECOND, Event, Project, Selection, same, yaml

# Clocks change on 9 March 2025 in New York, and in Havana at midnight; on 30 March in Berlin; on 6 April on Lord Howe
# Island, by half an hour; Kolkata is half an hour off.
ZONES = ["UTC", "America/New_York", "America/Havana", "Asia/Kolkata", "Europe/Berlin", "Australia/Lord_Howe"]
# A Sunday.
FIRST = date(2024, 12, 29)
DAYS = 133
ACTORS = 150
# Days a coefficient takes.
DAYS_MIN = 14


@dataclass
class Cohort:
    """Cohorts asked for from one day to another, which is left out; both begin a bucket."""

    insight: str
    born: Selection
    returns: Selection
    every: str
    periods: int
    mode: str
    measure: str
    zone: str
    week_start: str
    first: date
    end: date
    is_grouped: bool = False

    def written(self):
        return yaml(self.insight, type="cohort", born=self.born.written(), returns=self.returns.written(), every=self.every,
                    periods=self.periods, mode=self.mode, measure=self.measure, timezone=self.zone,
                    week_start=self.week_start if self.every == "week" else None,
                    by=["g"] if self.is_grouped else None, top=1000 if self.is_grouped else None)

    def words(self):
        by = ["--by", "g"] if self.is_grouped else []
        return ["--from", self.first.isoformat(), "--to", self.end.isoformat(), *by]

    def engine(self, rows):
        """By cohort, group and column: the numbers."""
        names = ["size", "actors", "share", "of_previous", "complete"]
        return {(row["cohort"][:10], row.get("g", ""), row["offset"]): tuple(row[name] for name in names) for row in rows}

    def clickhouse(self, clickhouse):
        """The same, of plain SQL: who was born when, who came back when, and how many buckets lie between."""
        start = {"day": f"toDate(ts, '{self.zone}')", "month": f"toDate(toStartOfMonth(ts, '{self.zone}'))",
                 "week": f"toDate(toStartOfWeek(ts, {int(self.week_start == 'monday')}, '{self.zone}'))"}[self.every]
        apart = {"day": "dateDiff('day', c, r)", "week": "intDiv(dateDiff('day', c, r), 7)",
                 "month": "(toYear(r) - toYear(c)) * 12 + toMonth(r) - toMonth(c)"}[self.every]
        group = "argMin(g, us)" if self.is_grouped else "''"
        born = f"select actor, {start} c, {group} grp from e where {self.born.sql()} group by actor, c"
        if self.mode == "first_time":
            born = f"select actor, min(b.c) c, argMin(b.grp, b.c) grp from ({born}) b group by actor"
        born = f"select * from ({born}) where c >= '{self.first}' and c < '{self.end}'"
        returned = f"select distinct actor, {start} r from e where {self.returns.sql()}"
        columns = f"range(0, {self.periods})"
        counts = "apart = k" if self.measure == "on" else f"apart >= k and apart < {self.periods}"
        sizes = f"select toString(c), grp, count() from ({born}) group by c, grp"
        cells = (f"select toString(c), grp, k, uniqExact(actor) from (select actor, c, grp, {apart} apart from ({born}) b"
                 f" inner join ({returned}) r using actor where r >= c) array join {columns} as k where {counts} group by c, grp, k")
        counted = {(c, group, k): actors for c, group, k, actors in clickhouse.rows(cells)}
        numbers = {}
        for c, group, size in clickhouse.rows(sizes):
            for k in range(self.periods):
                actors, before = counted.get((c, group, k), 0), counted.get((c, group, k - 1), 0)
                numbers[c, group, k] = (size, actors, 100 * actors / size, 100 * actors / before if before else None, True)
        return numbers


@dataclass
class Correlation:
    """The first series is the target. `series`: a name, a selection and a metric: count, sum, avg or max."""

    insight: str
    series: list
    max_lag: int
    method: str
    zone: str
    first: date
    end: date

    def written(self):
        one = {name: {"from": list(on.names), "metric": metric} | ({} if on.over is None else {"where": f"k > {on.over}"})
               for name, on, metric in self.series}
        target = one.pop("target")
        return yaml(self.insight, type="correlation", lookback="60d", timezone=self.zone, target=target,
                    max_lag=self.max_lag, method=self.method, **{"with": one})

    def words(self):
        return ["--from", self.first.isoformat(), "--to", self.end.isoformat()]

    def engine(self, rows):
        """By series and lag: the pairs, the coefficients, and how likely they are."""
        return {(row["name"], row["lag"]): tuple(row[name] for name in ["n", "pearson", "spearman", "p"]) for row in rows}

    def daily(self, on, metric):
        """The SQL of a series: a value a day, null where there is none."""
        function = {"count(*)": "count()", "count(distinct actor)": "uniqExact(actor)"}.get(metric)
        value = f"toNullable(toFloat64({function}))" if function else metric.replace("(", "OrNull(")
        days = f"select toDate('{self.first}') + number day from numbers({(self.end - self.first).days})"
        of_days = f"select toDate(ts, '{self.zone}') day, {value} v from e where {on.sql()} group by day"
        # Without events a count is zero, and the others are nothing.
        none = "ifNull(v, 0)" if function else "v"
        return f"select d.day day, {none} v from ({days}) d left join ({of_days}) s on d.day = s.day"

    def clickhouse(self, clickhouse):
        numbers = {}
        target = self.daily(*self.series[0][1:])
        for name, on, metric in self.series[1:]:
            for lag in range(self.max_lag + 1):
                pairs = (f"select toFloat64(s.v) x, toFloat64(t.v) y from ({self.daily(on, metric)}) s inner join ({target}) t"
                         f" on t.day = s.day + {lag} where s.v is not null and t.v is not null")
                sql = (f"select count(), corr(x, y), corr(rx, ry), uniqExact(x), uniqExact(y) from"
                       f" (select x, y, {mean_rank('x')} rx, {mean_rank('y')} ry from ({pairs})) settings join_use_nulls = 1")
                ((n, pearson, spearman, xs, ys),) = clickhouse.rows(sql)
                # A constant goes with nothing, whatever the last digit of its mean says: see `CONSTANT`.
                if n < DAYS_MIN or xs < 2 or ys < 2:
                    pearson = spearman = None
                chosen = pearson if self.method == "pearson" else spearman
                numbers[name, lag] = (n, pearson, spearman, None if chosen is None else chance(chosen, n))
        return numbers


def mean_rank(column):
    """A value's rank, equal ones having the mean of theirs. ClickHouse's own `rankCorr` takes these too, but then a
    formula that holds only without equal ones: of (1,1,2,3,3) and (2,2,5,4,9) it tells 0.825 where the coefficient of the
    ranks is 0.8111."""
    return f"(rank() over (order by {column}) + (count() over (partition by {column}) - 1) / 2)"


# Of a series whose every value is 0.1, ClickHouse's `corr` tells a coefficient of what is left by rounding. By definition
# there is none, so whether a series is constant is asked of its values: see `Correlation.clickhouse`.
CONSTANT = 0.1


def chance(r, n):
    """The two-sided probability of a coefficient of n pairs that have nothing to do with each other: the share of
    cos^(n - 3) that lies beyond asin |r|, by Simpson's rule."""
    def area(low, high, parts=2000):
        width = (high - low) / parts
        heights = [max(cos(low + at * width), 0.0) ** (n - 3) for at in range(parts + 1)]
        return width / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))

    return area(asin(min(abs(r), 1.0)), pi / 2) / area(0.0, pi / 2)


def events(rng, zones):
    """Actors' events; half of them within two seconds of a midnight of one of the zones, clocks changing or not."""
    made = []
    for actor in range(ACTORS):
        begin = rng.randrange(DAYS - 10)
        for _ in range(rng.choice([0, 1, 2, 5, 10, 20, 40])):
            day = FIRST + timedelta(days=min(DAYS - 1, begin + int(rng.expovariate(0.05))))
            local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(rng.choice(zones)))
            second = rng.randint(-2, 2) if rng.random() < 0.5 else rng.randrange(86_400)
            us = (int(local.timestamp()) + second) * SECOND + rng.randrange(SECOND)
            k = rng.choice([None, 1, 2, 3, 4, 5, 0.25, -1.5])
            made.append(Event(f"u{actor}", us, rng.choice("aabbcd"), k, rng.choice("pq")))
    # A name whose numbers are always the same, every day.
    for day in range(DAYS):
        us = int(datetime(2024, 12, 29, 12, tzinfo=ZoneInfo("UTC")).timestamp() + day * 86_400) * SECOND
        made += [Event(f"v{day}", us, name, CONSTANT, "p") for name in ["same", "too"]]
    rng.shuffle(made)
    return made


def aligned(rng, every, week_start):
    """A first day and an end that both begin a bucket, from the second week on, so that there is something before."""
    if every == "month":
        first = rng.randint(1, 2)
        return date(2025, first, 1), date(2025, rng.randint(first + 1, 5), 1)
    step = 7 if every == "week" else 1
    first = FIRST + timedelta(days=7 * rng.randint(0, 6) + int(week_start == "monday" and every == "week"))
    return first, first + timedelta(days=step * rng.randint(3, 60 // step))


def cohorts(rng, zones):
    """Every mode with every measure and bucket, the rest at random."""
    shapes = [(every, mode, measure) for every in ["day", "week", "month"]
              for mode in ["first_time", "recurring"] for measure in ["on", "on_or_after"]]
    for at, (every, mode, measure) in enumerate(shapes * 2):
        born = Selection(("a",), rng.choice([None, None, 2]))
        returns = rng.choice([born, Selection(("b",)), Selection(("b", "c")), Selection(("b",), 3)])
        week_start = rng.choice(["sunday", "monday"])
        first, end = aligned(rng, every, week_start)
        yield Cohort(f"c{at}", born, returns, every, rng.randint(2, 8), mode, measure, rng.choice(zones), week_start,
                     first, end, rng.random() < 0.3)


def correlations(rng, zones):
    a, b, c = (Selection((name,)) for name in "abc")
    for at in range(4):
        first = FIRST + timedelta(days=rng.randint(0, 40))
        end = first + timedelta(days=rng.choice([13, 14, 17, 30, 60, 80]))
        metrics = ["count(*)", "sum(k)", "avg(k)", "max(k)", "count(distinct actor)"]
        series = [("target", rng.choice([a, Selection(("a", "b"))]), rng.choice(metrics)), ("x", b, "count(*)"), ("y", c, "sum(k)"),
                  ("z", Selection(("b", "c"), 1), rng.choice(metrics)), ("w", Selection(("d",)), rng.choice(metrics))]
        yield Correlation(f"r{at}", series, rng.randint(0, 7), rng.choice(["pearson", "spearman"]), rng.choice(zones), first, end)
    # Averages of numbers that are always the same, beside another such and beside one that moves.
    end = FIRST + timedelta(days=60)
    flat = [("target", Selection(("same",)), "avg(k)"), ("x", Selection(("too",)), "avg(k)"), ("y", a, "count(*)")]
    yield Correlation("flat", flat, 1, "pearson", "UTC", FIRST, end)


def compare(project, clickhouse, definition, kind, tally):
    """Compares all an insight's numbers."""
    ours, theirs = definition.engine(project.rows(definition.insight, *definition.words())), definition.clickhouse(clickhouse)
    tally.add(kind, len(ours.keys() | theirs.keys()), sum(bool(told(row)) for row in theirs.values()))
    lines = [f"{key}: tidemill {ours.get(key)}, ClickHouse {theirs.get(key)}" for key in sorted(ours.keys() | theirs.keys())
             if key not in ours or key not in theirs or not all(map(same, ours[key], theirs[key]))]
    for line in lines:
        tally.tell(" ".join(definition.words()), definition.written(), [line])


def told(row):
    """What makes a row worth comparing: a cell's actors, or a coefficient."""
    return row[1]


def days(tidemill, clickhouse, rng, tally):
    """A world of cohorts and correlations in every zone."""
    made = events(rng, ZONES)
    clickhouse.load(made)
    kinds = {"cohort": list(cohorts(rng, ZONES)), "correlation": list(correlations(rng, ZONES))}
    with Project(tidemill, made, [one.written() for ones in kinds.values() for one in ones]) as project:
        for kind, ones in kinds.items():
            for one in ones:
                compare(project, clickhouse, one, kind, tally)
