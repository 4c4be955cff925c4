"""Whether the referee can be trusted: a right answer must pass, and every single wrong one must not.

Writes a few pages by hand, with a correction, an event that moved to another day, a property of two types and rare
ones, and an answer worked out by hand. Then spoils the answer one value at a time. Exits 1 when the referee errs.
"""

import copy
import json
import tempfile
from pathlib import Path

import duckdb
from compare import judge

DEFINITION = """
insight: orders
type: standard
from: '*'
where: amount is not null and name <> 'ignored'
timezone: Asia/Kolkata
metrics:
  sum: sum(amount)
  n: count(*)
  mean: avg(amount)
  plans: count(distinct plan)
  odd: count(odd)
  vip: percent(vip)
  vip_sum: sum(amount) filter (where vip)
  half: quantile(amount, 0.5)
  last: max(time)
by: [plan]
top: 1
"""

# The rows, by UTC day and page: id, rev, deleted, time, properties.
PAGES = {
    ("2026-01-01", "a"): [
        ("1", 0, False, "10:00", "1.50::decimal(5,2) amount, 'pro' plan, null::bigint \"plan$number\", null \"$rare\""),
        ("2", 0, False, "11:00", "2.25, null, 34, '{\"vip\":true,\"odd\":1.12345}'"),
        ("3", 0, False, "17:00", "7.25, '34', null, '{\"odd\":\"x\",\"vip\":true}'"),
        ("4", 0, False, "18:30", "0.05, '34', null, null"),
        ("5", 0, False, "17:30", "1.00, null, 34, null"),
    ],
    # Sealed later: 1 has moved to the next day, 2 lost its plan and got another amount.
    ("2026-01-01", "b"): [
        ("1", 1, True, "10:00", "null::bigint amount"),
        ("2", 3, False, "10:30", "3"),
    ],
    ("2026-01-02", "b"): [("1", 1, False, "10:00", "100000000000::bigint amount, 'free' plan")],
}

FIRST, SECOND = "2026-01-01T00:00:00+05:30", "2026-01-02T00:00:00+05:30"


def row(time, plan, n, total, mean, plans, odd, vip, vip_sum, half, last):
    return {"time": time, "plan": plan, "n": n, "sum": total, "mean": mean, "plans": plans, "odd": odd, "vip": vip,
            "vip_sum": vip_sum, "half": half, "last": last}


# 18:30 UTC is midnight in Kolkata. The text "34" is the second group: the number 34 has its own.
ANSWER = {"rows": [
    row(FIRST, "$other", 2, 8.25, 4.125, 2, 1, 50, 7.25, 1, "2026-01-01T17:30:00Z"),
    row(FIRST, "$null", 1, 3, 3, 0, 0, 0, None, 3, "2026-01-01T10:30:00Z"),
    row(SECOND, "free", 1, 100000000000, 100000000000, 1, 0, 0, None, 100000000000, "2026-01-02T10:00:00Z"),
    row(SECOND, "$other", 1, 0.05, 0.05, 1, 0, 0, None, 0.05, "2026-01-01T18:30:00Z"),
]}


def write_pages(folder):
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    for (day, name), rows in PAGES.items():
        selects = [
            f"select '{id}' id, 'shop' source, 'order' name, null::varchar actor, timestamptz '{day} {time}:00Z' time,"
            f" timestamptz '{day} {time}:01Z' received, {rev}::bigint rev, {deleted} deleted, {properties}"
            for id, rev, deleted, time, properties in rows
        ]
        page = folder / "src=shop" / f"dt={day}" / f"{name}.parquet"
        page.parent.mkdir(parents=True, exist_ok=True)
        db.execute(f"copy ({' union all '.join(selects)}) to '{page}' (format parquet)")


def differences(folder, answer):
    (folder / "answer.json").write_text(json.dumps(answer))
    arguments = ["--events", folder / "pages", "--definition", folder / "orders.yaml", "--every", "day"]
    return judge([*map(str, arguments), str(folder / "answer.json")])[1]


def spoilt():
    """Answers with one thing wrong each."""
    for at, row in enumerate(ANSWER["rows"]):
        for name, cell in row.items():
            wrong = copy.deepcopy(ANSWER)
            if cell is None:
                changed = 0
            elif name in ("time", "last"):
                changed = cell.replace("2026-01-0", "2026-02-0")
            else:
                changed = cell + ("x" if isinstance(cell, str) else 0.01 if isinstance(cell, float) else 1)
            wrong["rows"][at][name] = changed
            yield f"row {at}, {name}", wrong
        yield f"row {at} left out", {"rows": ANSWER["rows"][:at] + ANSWER["rows"][at + 1 :]}
        yield f"row {at} twice", {"rows": ANSWER["rows"] + [row]}


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pages(folder / "pages")
        (folder / "orders.yaml").write_text(DEFINITION)
        refused = differences(folder, ANSWER)
        if refused:
            raise SystemExit("the referee refuses a right answer:\n" + "\n".join(refused))
        wrongs = list(spoilt())
        missed = [what for what, wrong in wrongs if not differences(folder, wrong)]
        if missed:
            raise SystemExit(f"the referee lets pass: {', '.join(missed)}")
        print(f"1 right answer passes, {len(wrongs)} wrong ones don't")


if __name__ == "__main__":
    main()
