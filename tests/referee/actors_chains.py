"""Funnels and patterns by their definitions: written out, asked of ClickHouse, and by trying every chain of events.

What is tried here is meant to be too simple to be wrong. An actor's events are few and sorted by time.
"""

from bisect import bisect_left
from dataclasses import dataclass
from statistics import mean, median

from actors_engine import SECOND, yaml

FOREVER = 10**18
# The longest window: as good as none.
WITHIN_MAX = 300 * 86_400


def inside(event, span):
    return span[0] <= event.us < span[1]


def summary(spans):
    """Median and mean of microseconds, in seconds."""
    return (median(spans) / SECOND, mean(spans) / SECOND) if spans else (None, None)


@dataclass
class Funnel:
    """Steps within a window of seconds; `order`: ordered, strict or any."""

    insight: str
    order: str
    within: int
    steps: list
    zone: str

    def written(self):
        return yaml(self.insight, type="funnel", order=self.order, within=f"{self.within}s", timezone=self.zone,
                    steps=[step.written() for step in self.steps], by=["g"], top=1000)

    def clickhouse(self):
        """Per actor the level; none where ClickHouse has no such funnel."""
        steps = ", ".join(step.sql() for step in self.steps)
        sql = f"select actor, windowFunnel({self.within * SECOND}, 'strict_once')(toUInt64(us), {steps}) from e group by actor"
        return sql if self.order == "ordered" else None

    def levels(self, events, span):
        """Per step the fewest microseconds of an actor's chains that begin in a span; none where it has no chain."""
        if self.order == "any":
            return self.levels_any(events, span)
        best = [None] * len(self.steps)
        for chain in self.chains(events):
            first, last = events[chain[0]].us, events[chain[-1]].us
            if inside(events[chain[0]], span) and (self.order == "ordered" or is_strict(events, chain)):
                held = best[len(chain) - 1]
                best[len(chain) - 1] = last - first if held is None else min(held, last - first)
        return best

    def chains(self, events, chain=()):
        """Every chain of distinct events, one per step, each no earlier than the one before, within the window."""
        step = self.steps[len(chain)]
        for at, event in enumerate(events):
            if at in chain or not step.takes(event):
                continue
            if chain and not (event.us >= events[chain[-1]].us and event.us - events[chain[0]].us <= self.within * SECOND):
                continue
            yield (*chain, at)
            if len(chain) + 1 < len(self.steps):
                yield from self.chains(events, (*chain, at))

    def levels_any(self, events, span):
        """The same in any order: for each event that may be first, which sets of steps it and later ones can take."""
        best = [None] * len(self.steps)
        for at, first in enumerate(events):
            if not inside(first, span):
                continue
            taken = {frozenset()}
            for event in events[at:]:
                if event.us - first.us > self.within * SECOND:
                    break
                mine = [number for number, step in enumerate(self.steps) if step.takes(event)]
                longer = {have | {step} for have in taken for step in mine if step not in have}
                # The chain begins with `first`.
                taken = longer if event is first else taken | longer
                for level in {len(have) - 1 for have in longer}:
                    held = best[level]
                    best[level] = event.us - first.us if held is None else min(held, event.us - first.us)
        return best

    def numbers(self, label, group, actors):
        """The rows of a group, of what `levels` says of its actors."""
        rows, counts = {}, [sum(levels[at] is not None for levels in actors) for at in range(len(self.steps))]
        for at, count in enumerate(counts):
            spans = [levels[at] for levels in actors if levels[at] is not None]
            before = counts[at - 1] if at else count
            times = summary(spans) if at else (None, None)
            if count:
                rows[label, group, at + 1] = (count, 100 * count / counts[0], 100 * count / before, *times)
        return rows

    def told(self, label, row):
        values = (row[name] for name in ["actors", "conversion", "step_conversion", "median_seconds", "mean_seconds"])
        return ((label, row["g"], row["step"]), tuple(values)) if row["actors"] else None

    def counts(self, group, levels):
        """What `clickhouse` says, of the actors of a group."""
        steps = range(1, len(self.steps) + 1)
        counts = {(group, step): sum(level >= step for level in levels) for step in steps}
        return {key: (count,) for key, count in counts.items() if count}


def is_strict(events, chain):
    """Whether nothing else lies between the first instant of a chain and its last."""
    first, last = events[chain[0]].us, events[chain[-1]].us
    return not any(first < event.us < last for at, event in enumerate(events) if at not in chain)


@dataclass
class Gap:
    """What lies between two elements: none of the pattern's events, none of one word's, so many seconds."""

    nothing: bool = False
    without: str | None = None
    least: int = 0
    most: int | None = None

    def written(self):
        bounds = self.least > 0 or self.most is not None
        most = "" if self.most is None else f"{self.most}s"
        parts = ["!*" if self.nothing else "", f"!{self.without}" if self.without else "",
                 f"{{{self.least}s,{most}}}".replace("{0s", "{0") if bounds else ""]
        return "".join(parts)

    def clickhouse(self):
        """None where ClickHouse cannot say it."""
        if self.without or self.least or (self.most is not None and not self.nothing):
            return None
        return f"(?t<={self.most * SECOND})" if self.most is not None else "" if self.nothing else ".*"

    def holds(self, between, words, apart):
        most = FOREVER if self.most is None else self.most * SECOND
        if not self.least * SECOND <= apart <= most or (self.nothing and between):
            return False
        return not (self.without and any(words[self.without].takes(event) for event in between))


@dataclass
class Pattern:
    """Words in a row, each with the gap before it; no two events of an actor are at one instant."""

    insight: str
    within: int
    words: dict
    elements: list
    zone: str

    def text(self):
        return " ".join(f"{gap.written() if at else ''} {word}".strip() for at, (word, gap) in enumerate(self.elements))

    def written(self):
        events = {word: selection.written() for word, selection in self.words.items()}
        return yaml(self.insight, type="event_sequence", within=f"{self.within}s", timezone=self.zone, events=events,
                    pattern=self.text(), by=["g"], top=1000)

    def clickhouse(self):
        """Per actor whether it matches and how often; none where ClickHouse has no such pattern."""
        gaps = [gap.clickhouse() for _, gap in self.elements[1:]]
        if None in gaps or self.within < WITHIN_MAX:
            return None
        places = [f"(?{list(self.words).index(word) + 1})" for word, _ in self.elements]
        return self.clickhouse_of("".join(gap + place for gap, place in zip(["", *gaps], places)))

    def clickhouse_of(self, text):
        words = ", ".join(selection.sql() for selection in self.words.values())
        of = f"('{text}')(toUInt64(us), {words})"
        return f"select actor, (sequenceMatch{of}, sequenceCount{of}) from e group by actor"

    def levels(self, events, span):
        """The microseconds of an actor's matches that begin in a span: of those ahead the one that ends first, of
        several the shortest, and so on behind it. No choice makes more of them."""
        events = [event for event in events if any(selection.takes(event) for selection in self.words.values())]
        found = sorted((chain[-1], -chain[0]) for chain in self.chains(events) if inside(events[chain[0]], span))
        taken, end = [], -1
        for last, first in found:
            if -first > end:
                taken.append(events[last].us - events[-first].us)
                end = last
        return taken

    def chains(self, events, chain=()):
        if len(chain) == len(self.elements):
            yield chain
            return
        word, gap = self.elements[len(chain)]
        until = bisect_left(events, events[chain[0]].us + self.within * SECOND + 1, key=lambda event: event.us) if chain else len(events)
        for at in range(chain[-1] + 1 if chain else 0, until):
            if not self.words[word].takes(events[at]):
                continue
            between = events[chain[-1] + 1 : at] if chain else []
            if not chain or gap.holds(between, self.words, events[at].us - events[chain[-1]].us):
                yield from self.chains(events, (*chain, at))

    def numbers(self, label, group, actors):
        spans = [span for matches in actors for span in matches]
        counts = (len(spans), sum(bool(matches) for matches in actors))
        return {(label, group): (*counts, *summary(spans))} if spans else {}

    def told(self, label, row):
        values = tuple(row[name] for name in ["matches", "actors", "median_seconds", "mean_seconds"])
        return ((label, row["g"]), values) if row["matches"] else None

    def counts(self, group, found):
        count = (sum(count for _, count in found), sum(is_match for is_match, _ in found))
        return {(group,): count} if any(count) else {}
