"""Insights over actors, through the command, beside ClickHouse in-process and beside every chain tried.

    actors_main.py --binaries DIR [--cases N] [--seed S] [--history FILE [--names A,B]]

DIR holds `tidemill`. N random actors, half of them for funnels and half for patterns, are imported into projects and
asked for under ten definitions each, over a whole range and in buckets: funnels beside `windowFunnel`, patterns beside
`sequenceMatch` and `sequenceCount`, and both beside trying every chain of an actor's events, which also knows what
ClickHouse has no words for. Then cohorts and correlations beside plain SQL, in zones whose clocks change. FILE: a real
history as NDJSON, gzipped or not, of which A and B are two names of events. What differs is shown with the seed, the
definition and as few events as still differ. Exits 1 when anything differs, or when there was too little to compare.
"""

import argparse
import random
import sys
from pathlib import Path

from actors_cases import Tally, chains, known
from actors_days import days
from actors_engine import ClickHouse
from actors_history import history

# What 1,000 random actors, or one run, must compare, or something has gone quiet.
PER_1000_MIN = {"funnel beside ClickHouse": 1000, "funnel tried": 5000, "pattern beside ClickHouse": 100, "pattern tried": 500}
COUNTED_MIN = {"cohort": 300, "correlation": 30}


def quiet(tally, cases):
    """What was compared too seldom."""
    expected = COUNTED_MIN | {kind: least * cases // 1000 for kind, least in PER_1000_MIN.items()}
    return [f"{kind}: {tally.numbers[kind]} numbers, {least} expected" for kind, least in expected.items() if tally.numbers[kind] < least]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--names", default="commit,co_authored")
    args = parser.parse_args()
    tidemill, clickhouse = args.binaries.resolve() / "tidemill", ClickHouse()
    rng, tally = random.Random(args.seed), Tally(args.seed)
    known(tidemill, clickhouse, tally)
    chains(tidemill, clickhouse, rng, "funnel", args.cases - args.cases // 2, tally)
    chains(tidemill, clickhouse, rng, "pattern", args.cases // 2, tally)
    days(tidemill, clickhouse, rng, tally)
    if args.history:
        history(tidemill, clickhouse, args.history.resolve(), args.names.split(","), tally)
    for line in (too_little := quiet(tally, args.cases)):
        print(line)
    cases, beside = tally.cases, tally.numbers
    # A coefficient is one of two and its probability.
    print(f"{cases['funnel'] + cases['history']} funnel cases, {cases['pattern']} pattern cases, {cases['cohort']} cohort cells,"
          f" {3 * beside['correlation']} coefficients compared, {tally.differ} differ")
    sys.exit(bool(tally.differ or too_little))


if __name__ == "__main__":
    main()
