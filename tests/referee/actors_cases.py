"""Random cases of funnels and patterns: made, asked for, compared, and made small when they differ."""

import random
from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

from actors_chains import FOREVER, WITHIN_MAX, Funnel, Gap, Pattern
from actors_engine import SECOND, Event, Project, Selection, same

GROUPS_MAX = 1000
WORLD_CASES = 1000
DEFINITIONS = 10
ZONES = ["UTC", "America/New_York", "Asia/Kolkata"]
# A Saturday that ends a month: days, weeks and months change at one midnight, in the middle of every actor's events.
MIDNIGHT_SECOND = 20
# The questions, each with its buckets: what they are called before midnight and after, and when they are asked for.
QUESTIONS = {
    "whole": (["--from", "2025-05-01", "--to", "2025-07-01"], [("2025-05-01", "all")]),
    "until midnight": (["--from", "2025-05-01", "--to", "2025-06-01"], [("2025-05-01", "before")]),
    "since midnight": (["--from", "2025-06-01", "--to", "2025-07-01"], [("2025-06-01", "after")]),
    "every day": (["--every", "day"], [("2025-05-31", "before"), ("2025-06-01", "after")]),
    "every week": (["--every", "week"], [("2025-05-25", "before"), ("2025-06-01", "after")]),
    "every month": (["--every", "month"], [("2025-05-01", "before"), ("2025-06-01", "after")]),
}
RANGE = ["--from", "2025-05-01", "--to", "2025-07-01"]
SHOWN_MAX = 5


def midnight(zone):
    return int(datetime(2025, 6, 1, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def question(name, zone):
    """The words of a query, and its buckets with their instants."""
    words, buckets = QUESTIONS[name]
    at = midnight(zone)
    spans = {"all": (-FOREVER, FOREVER), "before": (-FOREVER, at), "after": (at, FOREVER)}
    words = words if "--from" in words else [*RANGE, *words]
    return [*words, "--by", "g"], [(label, spans[span]) for label, span in buckets]


def history(rng, actor, group, zone, ties):
    """An actor's events: few names, and many times exactly a window apart, or a microsecond more or less."""
    first, last = rng.choice([(0, 40), (0, 40), (14, 26), (17, 23)])
    names = rng.sample("abcde", rng.randint(2, 5))
    seconds = range(first, last + 1)
    count = rng.randint(0, 10)
    chosen = rng.choices(seconds, k=count) if ties else rng.sample(seconds, min(count, len(seconds)))
    start = midnight(zone) - MIDNIGHT_SECOND * SECOND
    times = sorted(start + second * SECOND + rng.choice([0, 0, 0, 0, 0, 0, 1, -1]) for second in chosen)
    return [Event(actor, us, rng.choice(names), rng.choice([None, 1, 2, 3, 4, 5]), group) for us in times]


def selection(rng):
    names = rng.sample("abcd", 1 if rng.random() < 0.7 else rng.randint(2, 3))
    return Selection(tuple(names), rng.randint(1, 3) if rng.random() < 0.2 else None)


def funnels(rng, zone):
    """Those that must be there, then some at random."""
    a, b, c = (Selection((name,)) for name in "abc")
    either = Selection(("a", "b"))
    fixed = [("ordered", 20, [a, b, Selection(("c",), 3), either]), ("ordered", 5, [a, a, b]),
             ("strict", 6, [a, b, c]), ("any", 6, [a, a, b])]
    for at in range(DEFINITIONS):
        steps = [selection(rng) for _ in range(rng.randint(2, 5))]
        # Steps that are the same again are the hard ones.
        if rng.random() < 0.4:
            steps[-1] = steps[0]
        drawn = (rng.choice(["ordered"] * 3 + ["strict", "any"]), rng.choice([1, 2, 3, 5, 6, 9, 20, 40]), steps)
        order, within, steps = fixed[at] if at < len(fixed) else drawn
        yield Funnel(f"f{at}", order, within, steps, zone)


def patterns(rng, zone):
    every = ["", "", "*", "*", "*<", "*<", "<", ">", "*>", "!", "!<"]
    for at in range(DEFINITIONS):
        words = {word: selection(rng) for word in "xyz"[: rng.randint(2, 3)]}
        # The first half is what ClickHouse can say.
        kinds = every[:6] if at < DEFINITIONS // 2 else every
        elements = [(rng.choice(list(words)), gap(rng, rng.choice(kinds), words)) for _ in range(rng.randint(2, 4))]
        within = WITHIN_MAX if at < DEFINITIONS // 2 else rng.choice([WITHIN_MAX, 3, 6, 12, 20])
        yield Pattern(f"p{at}", within, words, elements, zone)


def gap(rng, kind, words):
    least = rng.randint(1, 6) if ">" in kind else 0
    most = least + rng.randint(1, 8) if "<" in kind or (least and rng.random() < 0.5) else None
    return Gap("*" in kind, rng.choice(list(words)) if "!" in kind else None, least, most)


class World:
    """Actors, each with its events and its group."""

    def __init__(self, zone, histories):
        self.zone, self.histories = zone, histories

    def events(self, rng):
        events = [event for history in self.histories.values() for event in history]
        rng.shuffle(events)
        return events

    def alone(self, group):
        """The actors of a group, each a group of its own."""
        actors = {actor: history for actor, history in self.histories.items() if history and history[0].g == group}
        return World(self.zone, {actor: [event._replace(g=actor) for event in history] for actor, history in actors.items()})

    def grouped(self, value):
        """The values of actors, by group."""
        groups = defaultdict(list)
        for actor, history in self.histories.items():
            if history:
                groups[history[0].g].append(value(actor, history))
        return groups


def compare(project, clickhouse, world, definition, name):
    """The keys at which anything differs from the engine's answer, with all answers, and how many numbers were compared."""
    words, buckets = question(name, world.zone)
    rows = [definition.told(row["time"][:10], row) for row in project.rows(definition.insight, *words)]
    engine = dict(row for row in rows if row)
    tried = {}
    for label, span in buckets:
        for group, actors in world.grouped(lambda _, history: definition.levels(history, span)).items():
            tried |= definition.numbers(label, group, actors)
    differ = {}
    for key in sorted(engine.keys() | tried.keys()):
        ours, theirs = engine.get(key), tried.get(key)
        if ours is None or theirs is None or not all(map(same, ours, theirs)):
            differ.setdefault(key[1], []).append(f"{key}: tidemill {ours}, every chain tried {theirs}")
    if name == "whole" and definition.clickhouse():
        found = dict(clickhouse.rows(definition.clickhouse()))
        asked = {}
        for group, of_actors in world.grouped(lambda actor, _: found[actor]).items():
            asked |= definition.counts(group, of_actors)
        for key in sorted(asked.keys() | {key[1:] for key in engine}):
            ours = engine.get((buckets[0][0], *key))
            width = len(asked.get(key, (0,)))
            if not ours or ours[:width] != tuple(asked.get(key, ())):
                differ.setdefault(key[0], []).append(f"{key}: tidemill {ours}, ClickHouse {asked.get(key)}")
    return differ, len(engine.keys() | tried.keys())


def differs_alone(tidemill, clickhouse, world, definition, name):
    events = world.events(random.Random(0))
    clickhouse.load(events)
    with Project(tidemill, events, [definition.written()]) as project:
        return compare(project, clickhouse, world, definition, name)[0]


def smallest(tidemill, clickhouse, world, definition, name, group):
    """The fewest events of one actor at which the answers still differ, in words; else the group's."""
    alone = world.alone(group)
    differ = differs_alone(tidemill, clickhouse, alone, definition, name)
    if not differ:
        return [f"no actor differs alone; together: {[told(history, world.zone) for history in alone.histories.values()]}"]
    actor = min(differ, key=lambda actor: len(alone.histories[actor]))
    history, lines, at = alone.histories[actor], differ[actor], 0
    while at < len(history):
        fewer = history[:at] + history[at + 1 :]
        still = fewer and differs_alone(tidemill, clickhouse, World(world.zone, {actor: fewer}), definition, name)
        if still:
            history, lines = fewer, still[actor]
        else:
            at += 1
    return [f"events, from midnight on: {told(history, world.zone)}", *lines]


def told(history, zone):
    return ", ".join(event.told(midnight(zone)) for event in history)


class Tally:
    """What was compared, and what differs."""

    def __init__(self, seed):
        self.seed, self.differ = seed, 0
        self.cases, self.numbers = defaultdict(int), defaultdict(int)

    def add(self, kind, cases, numbers):
        self.cases[kind] += cases
        self.numbers[kind] += numbers

    def tell(self, title, definition, lines):
        """Counts a difference, and shows the first ones."""
        self.differ += 1
        if self.differ <= SHOWN_MAX:
            print("\n".join([f"seed {self.seed}: {title}", definition.rstrip(), *(f"  {line}" for line in lines[:8])]), flush=True)


def chains(tidemill, clickhouse, rng, kind, count, tally):
    """`count` histories of one kind, in worlds of their own, each history under every definition of its world."""
    made = {"funnel": funnels, "pattern": patterns}[kind]
    while count > 0:
        size, zone = min(count, WORLD_CASES), rng.choice(ZONES)
        # One actor a group tells most; several show that groups add up.
        groups = max(1, min(GROUPS_MAX, size // rng.choice([1, 1, 2, 4])))
        names = {f"u{at}": f"g{at % groups}" for at in range(size)}
        world = World(zone, {actor: history(rng, actor, group, zone, kind == "funnel") for actor, group in names.items()})
        definitions = list(made(rng, zone))
        events = world.events(rng)
        clickhouse.load(events)
        with Project(tidemill, events, [definition.written() for definition in definitions]) as project:
            for definition in definitions:
                one_definition(tidemill, clickhouse, rng, project, world, definition, kind, tally)
        count -= size


def one_definition(tidemill, clickhouse, rng, project, world, definition, kind, tally):
    others = rng.sample([name for name in QUESTIONS if name != "whole"], 2)
    for name in ["whole", *others]:
        differ, numbers = compare(project, clickhouse, world, definition, name)
        # ClickHouse's are counted apart: without them it would be no referee.
        beside = f"{kind} beside ClickHouse" if name == "whole" and definition.clickhouse() else f"{kind} tried"
        tally.add(beside, 0, numbers)
        for group in differ:
            lines = differ[group]
            if tally.differ < SHOWN_MAX:
                lines = smallest(tidemill, clickhouse, world, definition, name, group)
                clickhouse.load(world.events(rng))
            tally.tell(f"{name}, group {group}", definition.written(), lines)
    tally.add(kind, len(world.histories), 0)


# ClickHouse's `(?1)(?t>=2)(?2)` passes over what lies within the 2 seconds, and only then takes the next event for (?2);
# by our definition nothing may lie between. So a gap with a least time is never asked of it, and this shows that it
# still would be wrong to. Events by name and second; our matches; its pattern; its matches.
LEAST_TIME = [
    (Gap(nothing=True, least=2), "(?1)(?t>=2000000)(?2)", [("x", 0), ("y", 1), ("y", 5)], 0, 1),
    (Gap(nothing=True, least=2), "(?1)(?t>=2000000)(?2)", [("x", 0), ("y", 5)], 1, 1),
]


def known(tidemill, clickhouse, tally):
    for gap, theirs, events, ours_count, theirs_count in LEAST_TIME:
        words = {word: Selection((word,)) for word in "xy"}
        pattern = Pattern("p", WITHIN_MAX, words, [("x", Gap()), ("y", gap)], "UTC")
        world = World("UTC", {"u": [Event("u", midnight("UTC") + second * SECOND, name, None, "g") for name, second in events]})
        differ = differs_alone(tidemill, clickhouse, world, pattern, "whole")
        found = dict(clickhouse.rows(pattern.clickhouse_of(theirs)))["u"][1]
        matches = len(pattern.levels(world.histories["u"], (-FOREVER, FOREVER)))
        if differ or (matches, found) != (ours_count, theirs_count):
            lines = [f"{matches} tried, {found} in ClickHouse", told(world.histories["u"], "UTC"), *sum(differ.values(), [])]
            tally.tell("a known difference is another", pattern.written(), lines)
