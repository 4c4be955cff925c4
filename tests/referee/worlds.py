"""Generated worlds, through the command, beside DuckDB: every number of every definition, by every period and group.

    worlds.py --binaries DIR [--seeds FIRST:END]

DIR holds the programs `tidemill` and `worlds`. For each seed a world is written (nulls, empty and Unicode texts, huge and
tiny numbers, several types in one property, corrections, withdrawals, retries, days on which clocks change), sent,
defined and computed in a project of its own, and each answer is judged by `compare.py` over the project's pages. Exits
1 when a number differs, or when there was too little to compare.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import judge

PERIODS = ["none", "day", "week", "month", "year"]
# What the generator's definitions read a property as that comes with several types.
READ_AS = ["amount=number"]
# Numbers a seed must compare, or something has gone quiet.
NUMBERS_MIN = 200


def run(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def project(binaries, seed, folder):
    """A computed project of a world, and the range of its days."""
    world, home = folder / "world", folder / "project"
    world.mkdir()
    first, end = run(binaries / "worlds", "--seed", seed, "--out", world).split()
    tidemill = binaries / "tidemill"
    run(tidemill, "init", home)
    for file in (home / "insights").glob("*.yaml"):
        file.unlink()
    for file in world.glob("i*.yaml"):
        (home / "insights" / file.name).write_text(file.read_text("utf-8"), "utf-8")
    run(tidemill, "send", world / "events.ndjson", cwd=home)
    run(tidemill, "apply", "--yes", cwd=home)
    run(tidemill, "backfill", "--all", "--from", first[:7], cwd=home)
    return home, first, end


def compare(tidemill, home, definition, first, end):
    """Numbers compared and differences in words, over every period, with groups and without."""
    pages = next((home / ".tidemill").glob("**/src=*")).parent
    has_groups = any(line.startswith("by:") for line in definition.read_text("utf-8").splitlines())
    numbers, differ = 0, []
    for every in PERIODS:
        for grouped in [False, True] if has_groups else [False]:
            query = ["query", definition.stem, "--from", first, "--to", end, "-o", "json"]
            query += [] if every == "none" else ["--every", every]
            query += ["--by", "*"] if grouped else []
            answer = home / "answer.json"
            answer.write_text(run(tidemill, *query, cwd=home), "utf-8")
            arguments = ["--events", str(pages), "--definition", str(definition), "--every", every]
            arguments += ["--from", first, "--to", end] + ([] if grouped else ["--by", ""])
            for read_as in READ_AS:
                arguments += ["--type", read_as]
            compared, told = judge([*arguments, str(answer)])
            numbers += compared
            differ += [f"{definition.stem} every {every}{' by group' if grouped else ''}: {line}" for line in told]
    return numbers, differ


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--seeds", default="0:4")
    args = parser.parse_args()
    first_seed, end_seed = map(int, args.seeds.split(":"))
    binaries, failed = args.binaries.resolve(), False
    for seed in range(first_seed, end_seed):
        with tempfile.TemporaryDirectory() as folder:
            home, first, end = project(binaries, seed, Path(folder))
            numbers, differ = 0, []
            for definition in sorted((home / "insights").glob("i*.yaml")):
                compared, told = compare(binaries / "tidemill", home, definition, first, end)
                numbers += compared
                differ += [f"{line}\n{definition.read_text('utf-8')}" for line in told[:3]] + told[3:]
            for line in differ[:20]:
                print(line)
            print(f"seed {seed}: {numbers} numbers compared, {len(differ)} differ", flush=True)
            failed = failed or bool(differ) or numbers < NUMBERS_MIN
    sys.exit(failed)


if __name__ == "__main__":
    main()
