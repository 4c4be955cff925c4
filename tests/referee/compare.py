"""The referee: a definition's own SQL, run by DuckDB, beside what `tidemill query -o json` answered.

    compare.py --events PATH --definition FILE [--insight NAME] [--every day|week|month|quarter|year|none]
               [--from T] [--to T] [--by a,b] [--top N] [--type KEY=TYPE]... ANSWER.json

PATH is a project's folder of pages (the one with `src=*/dt=*/*.parquet` in it), or raw events as NDJSON, gzipped or
not. Of pages, an event is live when, within its source and UTC day, the row with the highest `rev` is not `deleted`.
Of raw events, the highest `rev` of an identity stands.

Every number is compared, exactly: counts, sums, minima, maxima and quantiles as DuckDB gives them (DECIMAL, HUGEINT);
averages and shares as fractions of DuckDB's exact sums and counts, rounded half-even to 6 places; estimates must lie
within four standard errors of the exact count. No number passes through a float: an expression that DuckDB would
compute as DOUBLE is refused.

Values are typed, and `"34"` is not `34`. A property that has several types is read at the one it has a column of its
own name for, or the one `--type` names; `by`, `count(x)` and `count(distinct x)` of a bare property read every type.
Raw events must have flat properties, and numbers of at most 15 digits: DuckDB's JSON keeps no more of them.

Prints `N numbers compared, 0 differ` and exits 0, or prints the differences and exits 1.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import duckdb
import yaml

APPROX_ERROR = Fraction(325, 10_000)  # four standard errors of HyperLogLog++ at precision 14
DIFFERENCES_TOLD_MAX = 20
ENVELOPE = ["id", "source", "name", "actor", "time", "received", "rev", "deleted"]
TYPES = ["boolean", "number", "text"]
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "UBIGINT")


def ident(name):
    return '"' + name.replace('"', '""') + '"'


def text(value):
    return "'" + str(value).replace("'", "''") + "'"


def kind(sql_type):
    """The type of a page's column, in tidemill's words."""
    if sql_type == "BOOLEAN":
        return "boolean"
    if sql_type.startswith(NUMBERS):
        return "number"
    if sql_type == "VARCHAR":
        return "text"
    raise SystemExit(f"a column of type {sql_type} is none of ours")


# --- Events: a table `events` with the envelope, one typed column per property, and `KEY$any` for every type at once.


def load_pages(db, folder, wanted):
    """Every source by itself, since each has its own types for a column's bare name; then all of them together."""
    typed, rare, parts = {}, {}, []  # property -> type -> (SQL, whether its column bears the bare name)
    for at, source in enumerate(sorted(folder.glob("src=*"))):
        db.execute(
            f"""create temp table raw{at} as select * exclude (deleted) from (
                select * from read_parquet({text(source / 'dt=*' / '*.parquet')}, union_by_name = true,
                                           hive_partitioning = true, hive_types_autocast = false)
                qualify row_number() over (partition by source, dt, id order by rev desc) = 1) where not deleted"""
        )
        chosen = [ident(column) for column in ENVELOPE if column != "deleted"]
        for column, sql_type in db.execute(f"select column_name, column_type from (describe raw{at})").fetchall():
            if column == "$rare":
                chosen.append(ident(column))
                rare[column] = sql_type
            if column in ENVELOPE + ["src", "dt", "$rare"]:
                continue
            key = re.sub(r"\$(boolean|number|text)$", "", column)
            primary = key == column
            key = key.removeprefix("properties.") if key.removeprefix("properties.") in ENVELOPE else key
            name, own = f"{key}${kind(sql_type)}", typed.setdefault(key, {})
            chosen.append(f"{ident(column)} as {ident(name)}")
            own[kind(sql_type)] = (ident(name), primary or own.get(kind(sql_type), ("", False))[1])
        parts.append(f"select {', '.join(chosen)} from raw{at}")
    if not parts:
        raise SystemExit(f"{folder} has no pages in folders called src=…")
    db.execute(f"create temp table raw as {' union all by name '.join(parts)}")
    columns = dict(db.execute("select column_name, column_type from (describe raw)").fetchall())
    if rare:
        add_json(db, typed, '"$rare"', columns)
    expose(db, typed, wanted)


def load_raw(db, path, wanted):
    db.execute(
        f"""create temp table raw as select * from read_json({text(path)}, format = 'newline_delimited', columns = {{
            id: 'VARCHAR', source: 'VARCHAR', name: 'VARCHAR', actor: 'VARCHAR', time: 'TIMESTAMPTZ', rev: 'BIGINT',
            deleted: 'BOOLEAN', properties: 'JSON'}})
            qualify row_number() over (partition by coalesce(source, 'default'), id
                                       order by coalesce(rev, 0) desc) = 1"""
    )
    db.execute("delete from raw where deleted")
    db.execute("update raw set source = 'default' where source is null")
    typed = {}
    add_json(db, typed, "properties")
    expose(db, typed, wanted)


def add_json(db, typed, column, columns={}):
    """Adds the properties of a JSON column, each at every type it has, to those with columns of their own."""
    keys = f"select distinct unnest(json_keys({column})) k from raw where {column} is not null order by k"
    for (key,) in db.execute(keys).fetchall():
        path = text("$." + json.dumps(key, ensure_ascii=False))
        shown, json_type = f"json_extract_string({column}, {path})", f"json_type({column}, {path})"
        is_a = {
            "boolean": f"{json_type} = 'BOOLEAN'",
            "number": f"{json_type} in ('BIGINT', 'UBIGINT', 'DOUBLE')",
            "text": f"{json_type} in ('VARCHAR', 'ARRAY')",
        }
        counts = ", ".join(f"count(*) filter (where {is_a[t]})" for t in TYPES)
        lossy = f"count(*) filter (where {json_type} = 'DOUBLE' and ({shown} like '%e%' or length({shown}) > 16))"
        decimals = f"coalesce(max(length(split_part({shown}, '.', 2))) filter (where {is_a['number']}), 0)"
        *counts, lossy, decimals = db.execute(f"select {counts}, {lossy}, {decimals} from raw").fetchone()
        if lossy:
            raise SystemExit(f"DuckDB reads numbers of `{key}` as DOUBLE, with loss; compare the pages instead")
        held = typed.setdefault(key, {})
        own_scale = re.search(r",(\d+)\)", columns.get(held.get("number", ("",))[0].strip('"'), ""))
        scale = max(decimals, int(own_scale.group(1)) if own_scale else 0)
        sql = {"boolean": f"{shown} = 'true'", "number": f"cast({shown} as decimal(38, {scale}))", "text": shown}
        most = TYPES[counts.index(max(counts))]
        primary = None if any(primary for _, primary in held.values()) else most
        for t in (t for t, count in zip(TYPES, counts) if count):
            mine = f"case when {is_a[t]} then {sql[t]} end"
            held[t] = (f"coalesce({held[t][0]}, {mine})", held[t][1]) if t in held else (mine, t == primary)


def expose(db, typed, wanted):
    columns = ["id", "source", "name", "actor", "time"]
    for key, types in typed.items():
        if key in ENVELOPE:
            continue  # reachable only as a column of the envelope
        at = wanted.get(key) or next((t for t, (_, primary) in types.items() if primary), next(iter(types)))
        columns.append(f"{types[at][0] if at in types else 'null'} as {ident(key)}")
        tagged = [f"{TYPES.index(t)} || ':' || cast({sql} as varchar)" for t, (sql, _) in types.items()]
        columns.append(f"coalesce({', '.join(tagged)}) as {ident(key + '$any')}")
    for key in wanted.keys() - typed.keys():
        empty = {"boolean": "boolean", "number": "decimal(38, 0)", "text": "varchar"}[wanted[key]]
        columns += [f"cast(null as {empty}) as {ident(key)}", f"cast(null as varchar) as {ident(key + '$any')}"]
    for key in ("source", "name", "actor"):
        columns.append(f"'2:' || {key} as {ident(key + '$any')}")
    db.execute(f"create temp table events as select {', '.join(columns)} from raw")


# --- Metrics


@dataclass
class Metric:
    name: str
    function: str
    columns: list  # SQL aggregates whose results make up the value


def split_call(sql):
    """`f(arguments) filter (where …)` → (f, arguments, condition or None)."""
    head = re.match(r"\s*(\w+)\s*\(", sql)
    close = closing(sql, head.end() - 1)
    rest = sql[close + 1 :].strip()
    condition = None
    if rest:
        inner = re.match(r"filter\s*\(\s*where\b", rest, re.I)
        condition = rest[inner.end() : closing(rest, rest.index("("))]
    return head.group(1).lower(), sql[head.end() : close].strip(), condition


def for_duckdb(sql, columns):
    """The two things a definition says otherwise: `x is null` of a bare property asks for a value of any type, and
    `a.b` is the property of that name, not a field of a column `a`."""

    def column(match):
        word = match["bare"] or (match["quoted"] or "").replace('""', '"')
        if match["null"] and word + "$any" in columns:
            return ident(word + "$any") + match["null"]
        return ident(word) + match["null"] if match["bare"] and "." in word and word in columns else match[0]

    text_or_column = r"""'(?:[^']|'')*'|(?:(?<![\w.])(?P<bare>[^\W\d][\w.]*)|"(?P<quoted>(?:[^"]|"")*)")"""
    return re.sub(text_or_column + r"(?P<null>(?:\s+is\s+(?:not\s+)?null\b)?)", column, sql, flags=re.I)


def closing(sql, at):
    depth, quote = 0, None
    for i in range(at, len(sql)):
        c = sql[i]
        if quote:
            quote = None if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "()":
            depth += 1 if c == "(" else -1
            if depth == 0:
                return i
    raise SystemExit(f"unbalanced: {sql}")


def metric(name, sql, columns):
    function, argument, condition = split_call(for_duckdb(sql, columns))
    where = f" filter (where {condition})" if condition else ""
    if function == "percent":
        hit = f"({argument}) and ({condition})" if condition else argument
        return Metric(name, function, [f"count(*) filter (where {hit})", f"count(*){where}"])
    if function == "avg":
        return Metric(name, function, [f"sum({argument}){where}", f"count({argument}){where}"])
    if function == "quantile":
        value, q = argument.rsplit(",", 1)
        return Metric(name, function, [f"quantile_disc({value}, {q}){where}"])
    distinct = re.match(r"distinct\b", argument, re.I)
    if function == "approx_count_distinct" or distinct:
        argument = any_type(argument[distinct.end() :] if distinct else argument, columns)
        return Metric(name, function if not distinct else "count_distinct", [f"count(distinct {argument}){where}"])
    if function == "count":
        argument = any_type(argument, columns)
    return Metric(name, function, [f"{function}({argument}){where}"])


def any_type(argument, columns):
    """A bare property is read at every type."""
    bare = argument.strip().strip('"') + "$any"
    return ident(bare) if bare in columns else argument


def value(metric, cells):
    """A metric's exact value: None, Decimal, str or datetime."""
    if any(isinstance(cell, float) for cell in cells):
        raise SystemExit(f"`{metric.name}` would be a DOUBLE in DuckDB; nothing here may pass through floats")
    if metric.function in ("percent", "avg"):
        part, whole = cells
        if not whole:
            return None
        return half_even(Fraction(part) * (100 if metric.function == "percent" else 1) / whole)
    (cell,) = cells
    return Decimal(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


def half_even(ratio):
    with localcontext() as context:
        context.prec = 60
        scaled = ratio * 10**6
        whole = scaled.numerator // scaled.denominator
        rest = scaled - whole
        whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
        return Decimal(whole).scaleb(-6)


# --- Rows


def period_sql(every, week_start, day):
    if every == "week" and week_start == "sunday":
        return f"cast(date_trunc('week', {day} + 1) - interval 1 day as date)"
    return {"none": "date '0001-01-01'", "day": day}.get(every, f"cast(date_trunc('{every}', {day}) as date)")


def untag(tagged):
    """A tagged group value as a sort key (type, value) and as it shows in JSON."""
    if tagged is None:
        return (-1, 0), "$null"
    tag, rest = tagged.split(":", 1)
    shown = {"0": lambda: rest == "true", "1": lambda: Decimal(rest), "2": lambda: rest}[tag]()
    return (int(tag), shown), shown


def expected(db, definition, args, metrics, columns):
    """(period, group as shown) → the metrics' values."""
    zone = definition.get("timezone", "UTC")
    by = args.by.split(",") if args.by is not None else list_of(definition.get("by", []))
    by = [key for key in by if key]
    names = list_of(definition["from"])
    conditions = [] if names == ["*"] else [f"name in ({', '.join(map(text, names))})"]
    conditions += [f"source = {text(definition['source'])}"] if definition.get("source") else []
    conditions += [f"({for_duckdb(definition['where'], columns)})"] if definition.get("where") else []
    for bound, sign in ((args.start, ">="), (args.end, "<")):
        conditions += [f"time {sign} {instant(bound, zone)}"] if bound else []
    day = f"cast(timezone({text(zone)}, time) as date)"
    period = period_sql(args.every, definition.get("week_start", "sunday"), day)
    keys = "".join(f", {ident(key + '$any')} as {ident(f'by{at}')}" for at, key in enumerate(by))
    where = " and ".join(conditions) or "true"
    db.execute(f"create temp table chosen as select *, {period} as period{keys} from events where {where}")
    measured = [column for metric in metrics for column in metric.columns]
    groups = [ident(f"by{at}") for at in range(len(by))]
    label = ", ".join(["period", *groups])
    if by:
        top = args.top or definition.get("top", 25)
        rank_groups(db, metrics, groups, top)
        join = " and ".join(f"chosen.{g} is not distinct from top.{g}" for g in groups)
        picked = ", ".join(f"case when top.rank is null then '$other' else chosen.{g} end as {g}" for g in groups)
        source = f"(select chosen.* replace ({picked}) from chosen left join top on {join})"
    else:
        source = "chosen"
    rows = db.execute(f"select {label}, {', '.join(measured)} from {source} group by {label}").fetchall()
    out = {}
    for row in rows:
        group = tuple("$other" if key == "$other" else untag(key)[1] for key in row[1 : 1 + len(by)])
        out[row[0], group] = values(metrics, row[1 + len(by) :])
    return by, out


def rank_groups(db, metrics, groups, top):
    """The groups with rows of their own, as a table `top`."""
    measured = ", ".join(metrics[0].columns)
    label = ", ".join(groups)
    ranked = []
    for row in db.execute(f"select {label}, {measured} from chosen group by {label}").fetchall():
        key = row[: len(groups)]
        ranked.append((value(metrics[0], row[len(groups) :]), [untag(part)[0] for part in key], key))
    all_null = [key for _, _, key in ranked if all(part is None for part in key)]
    ranked = sorted((row for row in ranked if row[2] not in all_null), key=lambda row: row[1])
    present = sorted((row for row in ranked if row[0] is not None), key=lambda row: row[0], reverse=True)
    absent = [row for row in ranked if row[0] is None]
    own = [key for _, _, key in present + absent][:top] + all_null
    db.execute(f"create temp table top ({', '.join(g + ' varchar' for g in groups)}, rank integer)")
    if own:
        marks = ", ".join("?" * (len(groups) + 1))
        db.executemany(f"insert into top values ({marks})", [[*key, at] for at, key in enumerate(own)])


def values(metrics, cells):
    out, at = {}, 0
    for m in metrics:
        out[m.name] = value(m, cells[at : at + len(m.columns)])
        at += len(m.columns)
    return out


def list_of(given):
    return given if isinstance(given, list) else [given]


def instant(given, zone):
    """A date is that date's first instant in the zone; anything else is an instant itself."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", given):
        return f"timezone({text(zone)}, timestamp {text(given)})"
    return f"timestamptz {text(given)}"


def same(metric, ours, theirs):
    if isinstance(theirs, datetime):
        return isinstance(ours, str) and datetime.fromisoformat(ours.replace("Z", "+00:00")) == theirs
    if metric.function == "approx_count_distinct":
        return isinstance(ours, Decimal) and abs(ours - theirs) <= theirs * Decimal("0.0325")
    return type(ours) is type(theirs) and ours == theirs


def compare(answer, by, wanted, metrics, every):
    """Differences in words, and how many numbers were compared."""
    numbers, differ, seen = 0, [], set()
    nothing = values(metrics, [0 if "count(" in c else None for m in metrics for c in m.columns])
    for row in answer["rows"]:
        period = date(1, 1, 1) if every == "none" else date.fromisoformat(row["time"][:10])
        key = (period, tuple(row[name] for name in by))
        if key in seen:
            differ.append(f"{key}: given twice")
        seen.add(key)
        theirs = wanted.get(key)
        if theirs is None and by:
            differ.append(f"{row['time']} {key[1]}: DuckDB has no such group")
            continue
        for m in metrics:
            numbers += 1
            left, right = row.get(m.name, "missing"), (theirs or nothing)[m.name]
            if not same(m, left, right):
                differ.append(f"{row['time']} {key[1]} {m.name}: tidemill {left}, DuckDB {right}")
    differ += [f"{key[0]} {key[1]}: missing in the answer" for key in wanted if key not in seen]
    return numbers, differ


def read_definition(path, insight):
    documents = [d for d in yaml.safe_load_all(Path(path).read_text("utf-8")) if d]
    chosen = [d for d in documents if insight in (None, d["insight"])]
    if len(chosen) != 1:
        raise SystemExit(f"{path} has {len(documents)} insights; name one of them with --insight")
    return chosen[0]


def judge(arguments=None):
    """How many numbers were compared, and what differs, in words."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--definition", required=True)
    parser.add_argument("--insight")
    parser.add_argument("--every", default="none", choices=["none", "day", "week", "month", "quarter", "year"])
    parser.add_argument("--from", dest="start")
    parser.add_argument("--to", dest="end")
    parser.add_argument("--by")
    parser.add_argument("--top", type=int)
    parser.add_argument("--type", action="append", default=[])
    parser.add_argument("answer")
    args = parser.parse_args(arguments)
    definition = read_definition(args.definition, args.insight)
    written = sys.stdin.read() if args.answer == "-" else Path(args.answer).read_text("utf-8")
    answer = json.loads(written, parse_float=Decimal, parse_int=Decimal)
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    wanted_types = dict(pair.rsplit("=", 1) for pair in args.type)
    (load_pages if args.events.is_dir() else load_raw)(db, args.events, wanted_types)
    columns = [row[0] for row in db.execute("select column_name from (describe events)").fetchall()]
    metrics = [metric(name, sql, columns) for name, sql in definition["metrics"].items()]
    by, wanted = expected(db, definition, args, metrics, columns)
    return compare(answer, by, wanted, metrics, args.every)


def main():
    numbers, differ = judge()
    for line in differ[:DIFFERENCES_TOLD_MAX]:
        print(line)
    print(f"{numbers} numbers compared, {len(differ)} differ")
    sys.exit(1 if differ or not numbers else 0)


if __name__ == "__main__":
    main()
