"""The referee of `tidemill sql`: a view's days beside what `tidemill query --every day -o json` answered.

    views.py VIEWS.sql INSIGHT FROM TO ANSWER.json

Every count, sum, minimum, maximum, distinct count and quantile must be equal; averages and shares, which are DOUBLE in
the views, must be equal to 6 places. Estimates may differ by four standard errors of each side.
"""

import json
import sys
from datetime import date
from decimal import Decimal

import duckdb

# Four standard errors of each side: DuckDB's HyperLogLog has 64 registers (13 %), ours 16,384 (0.8 %).
APPROX_ERROR = Decimal("0.55")


def near(ours, theirs, accuracy):
    if isinstance(theirs, float):
        return ours is not None and abs(ours - Decimal(repr(theirs))) <= Decimal("0.0000011")
    if accuracy != "exact" and ours is not None and theirs:
        return abs(ours - theirs) <= max(1, theirs * APPROX_ERROR)
    if isinstance(theirs, (int, Decimal)) and not isinstance(theirs, bool):
        return ours == Decimal(theirs)
    return ours == (theirs if theirs is None or isinstance(theirs, bool) else str(theirs))


def main():
    views, insight, first, last, answer = sys.argv[1:]
    with open(answer) as file:
        answer = json.load(file, parse_float=Decimal, parse_int=Decimal)
    accuracy = answer.get("accuracy", {})
    db = duckdb.connect()
    with open(views) as file:
        db.execute(file.read())
    name = insight.replace('"', '""')
    rows = db.execute(f'select * from "{name}" where day >= ? and day < ?', [first, last])
    metrics = [column[0] for column in rows.description][1:]
    view = {row[0]: row[1:] for row in rows.fetchall()}
    told, compared, differences = {}, 0, []
    for row in answer["rows"]:
        told[date.fromisoformat(row["time"][:10])] = row
    for day in sorted(view.keys() | told.keys()):
        for at, metric in enumerate(metrics):
            # A day without events has no row in the view.
            theirs = view[day][at] if day in view else None
            ours = told.get(day, {}).get(metric)
            if day not in view and not ours:
                continue
            compared += 1
            if isinstance(ours, Decimal) or ours is None or isinstance(theirs, (bool, str)):
                same = near(ours, theirs, accuracy.get(metric, "exact"))
            else:
                same = str(ours)[:19] == str(theirs)[:19].replace(" ", "T")
            if not same:
                differences.append(f"{insight} {day} {metric}: {ours} here, {theirs} in the view")
    print(f"{insight}: {compared} numbers compared, {len(differences)} differ")
    print("\n".join(differences[:20]))
    sys.exit(1 if differences or not compared else 0)


main()
