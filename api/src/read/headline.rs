//! Digests of insights that are no metrics: one row of what their answer comes to.

use tidemill_aggregator::actors::{Answer, Row};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::definition::{Body, Definition};
use tidemill_schemas::value::Value;

/// The headline of an answer over one bucket without groups.
pub fn of(definition: &Definition, start: Date, answer: &Answer) -> Answer {
    let at = |row: &Row, column: &str| {
        let place = answer.columns.iter().position(|known| known == column);
        place.and_then(|place| row.values.get(place).cloned()).unwrap_or(Value::Null)
    };
    let pick = |row: Option<&Row>, columns: &[(&str, &str)]| -> (Vec<String>, Vec<Value>) {
        let value = |column: &str| row.map_or(Value::Null, |row| at(row, column));
        columns.iter().map(|(shown, column)| ((*shown).to_owned(), value(column))).unzip()
    };
    let (columns, values) = match &definition.body {
        Body::Funnel(_) => {
            let (mut columns, mut values) = pick(answer.rows.first(), &[("entered", "actors")]);
            let last = [
                ("converted", "actors"),
                ("conversion", "conversion"),
                ("median_seconds", "median_seconds"),
                ("mean_seconds", "mean_seconds"),
                ("maturing", "maturing"),
            ];
            let (more, further) = pick(answer.rows.last(), &last);
            columns.extend(more);
            values.extend(further);
            (columns, values)
        }
        Body::Paths(_) => pick(answer.rows.first(), &[("path", "path"), ("count", "count"), ("actors", "actors")]),
        Body::Cohort(_) => {
            let whole = |row: &&Row| {
                at(row, "offset") == Value::Number(1u64.into()) && at(row, "complete") == Value::Bool(true)
            };
            let newest = answer.rows.iter().rfind(whole);
            let (columns, values) =
                pick(newest, &[("size", "size"), ("offset", "offset"), ("actors", "actors"), ("share", "share")]);
            return Answer {
                time: answer.time,
                columns,
                rows: vec![Row { start: newest.and_then(|row| row.start).or(Some(start)), group: None, values }],
                notes: Vec::new(),
            };
        }
        _ => {
            let row = answer.rows.iter().take(1).cloned().collect();
            return Answer { time: answer.time, columns: answer.columns.clone(), rows: row, notes: Vec::new() };
        }
    };
    let row = Row { start: Some(start), group: None, values };
    Answer { time: "time", columns, rows: vec![row], notes: Vec::new() }
}
