//! The views' text.

use std::fmt::Write;

use tidemill_schemas::definition::Definition;
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::column_name;
use tidemill_schemas::value::Type;

use super::Source;
use super::expression::{Types, column_of, conditions, group, ident, metric, sql_type, text};

/// Every view, those that others stand on first.
pub(crate) fn views(sources: &[Source], definitions: &[&Definition]) -> String {
    let mut out = String::from(
        "-- Views over tidemill's pages as they are, for DuckDB.\n\
         -- `events of …`: the live events of a source, a column per property and type.\n\
         -- An insight's name: its days; with `by`, `… by`: its days and groups, all of them.\n\
         -- Averages and shares are DOUBLE here; `tidemill query` has them exact.\n",
    );
    for source in sources {
        out.push_str(&live(source));
    }
    for definition in definitions {
        let read: Vec<&Source> = sources
            .iter()
            .filter(|source| definition.source.as_ref().is_none_or(|named| *named == source.name))
            .collect();
        if read.is_empty() {
            let _ = writeln!(out, "\n-- {}: no events of its source have been sealed yet.", definition.name);
            continue;
        }
        out.push_str(&insight(definition, &read, &[]));
        if !definition.by.is_empty() {
            out.push_str(&insight(definition, &read, &definition.by));
        }
    }
    out
}

fn view_name(source: &str) -> String {
    ident(&format!("events of {source}"))
}

/// The live events of a source: per UTC day and id the highest revision, unless it withdraws the event.
fn live(source: &Source) -> String {
    let mut objects = String::new();
    for object in &source.objects {
        let _ = write!(
            objects,
            "{}    {}",
            if objects.is_empty() { "" } else { ",\n" },
            text(&format!("{{root}}{object}"))
        );
    }
    let (mut columns, mut empty) = (Vec::new(), Vec::new());
    for (property, types) in &source.properties {
        for at in types {
            // No property holds a time: what has no type of its own bears it in its column's name.
            let primary = source.primaries.get(property).copied().unwrap_or(Type::Time);
            let name = ident(&column_name(property, *at, primary));
            let sql_type = if *at == Type::Number { "tinyint" } else { sql_type(*at) };
            columns.push(format!("{name} as {}", ident(&column_of(property, *at))));
            if *at == primary && is_plain(property) {
                columns.push(format!("{name} as {}", ident(property)));
            }
            empty.push(format!("cast(null as {sql_type}) as {name}"));
        }
    }
    let hidden =
        source.hidden.iter().map(|name| format!("-- Left out, alike but for letter case: {}\n", name.escape_debug()));
    let hidden: String = hidden.collect();
    let listed = |columns: &[String]| columns.iter().map(|column| format!(",\n    {column}")).collect::<String>();
    format!(
        "\n{hidden}create or replace view {} as\nselect\n    id, source, name, actor, time, received, rev{}\nfrom (\n  \
         select * from read_parquet([\n{objects}\n  ], union_by_name = true, hive_partitioning = false)\n  \
         union all by name\n  select cast(null as varchar) as id{}\n  where false\n)\n\
         qualify row_number() over (partition by cast(timezone('UTC', time) as date), id order by rev desc) = 1\n    \
         and not deleted;\n",
        view_name(&source.name),
        listed(&columns),
        empty.iter().map(|column| format!(", {column}")).collect::<String>(),
    )
}

/// Whether a property can bear its own name beside the others' typed ones.
fn is_plain(property: &str) -> bool {
    let envelope = ["id", "source", "name", "actor", "time", "received", "rev"];
    !property.contains('$') && !envelope.iter().any(|column| column.eq_ignore_ascii_case(property))
}

/// What insights read of a source.
fn events_of(source: &Source) -> String {
    let typed = source.properties.iter().flat_map(|(property, types)| types.iter().map(|at| column_of(property, *at)));
    let typed: String = typed.map(|column| format!(", {}", ident(&column))).collect();
    format!("  select id, source, name, actor, time{typed} from {}", view_name(&source.name))
}

/// An insight's days, by groups or in all.
fn insight(definition: &Definition, read: &[&Source], by: &[Column]) -> String {
    let mut types = Types::new();
    for source in read {
        for (property, of) in &source.properties {
            types.entry(property.clone()).or_default().extend(of);
        }
    }
    let from: Vec<String> = read.iter().map(|source| events_of(source)).collect();
    let zone = text(definition.timezone.name());
    let mut columns = vec![format!("cast(timezone({zone}, time) as date) as \"day\"")];
    columns.extend(by.iter().map(|column| format!("{} as {}", group(column, &types), ident(column.name()))));
    let keys: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
    columns.extend(definition.metrics().iter().map(|of| format!("{} as {}", metric(of, &types), ident(&of.name))));
    let name = if by.is_empty() { definition.name.clone() } else { format!("{} by", definition.name) };
    format!(
        "\ncreate or replace view {} as\nselect\n    {}\nfrom (\n{}\n)\nwhere {}\ngroup by {};\n",
        ident(&name),
        columns.join(",\n    "),
        from.join("\n  union all by name\n"),
        conditions(definition, &types),
        keys.join(", "),
    )
}
