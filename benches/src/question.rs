//! The questions: definitions of ours, and what becomes of their days to make the answer peers give.

use std::collections::BTreeMap;

use tidemill_aggregator::actors;
use tidemill_aggregator::content::Content;
use tidemill_aggregator::definition_store::{Applied, DEFINITION_FORMAT};
use tidemill_aggregator::finish;
use tidemill_aggregator::on_rehearse::{Asked, Rehearsed};
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::spill_store::scratch;
use tidemill_aggregator::states::merge::merge;
use tidemill_schemas::calendar::{self, Date, Zone};
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::fingerprint::fingerprint;
use tidemill_schemas::snapshot::{Detail, Group};
use tidemill_schemas::time::{MICROS_PER_DAY, Timestamp};
use tidemill_schemas::value::Value;

use crate::answer::Table;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is called here and in `peers.py`.
    pub name: &'static str,
    /// What is asked, in a few words.
    pub about: &'static str,
    definitions: &'static str,
    shape: Shape,
}

/// How days become an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The values of each day.
    Days,
    /// The groups of all days merged, the greatest first.
    Ranked,
    /// The groups of all days merged, in order of their key.
    Groups,
    /// Days and month in one pass; the days are the answer.
    DaysOfBoth,
    /// Days and month in one pass; the month is the answer.
    MonthOfBoth,
    /// Days and month in one pass; both are the answer.
    Both,
    /// The correlation of two insights' days, and two weeks of a third one side by side.
    Correlation,
    /// Twenty insights over one day.
    Twenty,
    /// How many actors reach each step, in all days together.
    Steps,
    /// How many of each day's cohort come back on each day.
    Cohorts,
    /// How many actors have a match, in all days together.
    Matches,
}

/// Every question, in order.
pub const QUESTIONS: [Question; 11] = [
    Question {
        name: "Q1",
        about: "count and sum of one event name, by day",
        definitions: include_str!("../definitions/q1.yaml"),
        shape: Shape::Days,
    },
    Question {
        name: "Q2",
        about: "the top 20 groups under two filters",
        definitions: include_str!("../definitions/q2.yaml"),
        shape: Shape::Ranked,
    },
    Question {
        name: "Q3day",
        about: "distinct actors of each day, exactly (tidemill: and of the month, in the same pass)",
        definitions: include_str!("../definitions/q3.yaml"),
        shape: Shape::DaysOfBoth,
    },
    Question {
        name: "Q3month",
        about: "distinct actors of the month, exactly (tidemill: and of each day, in the same pass)",
        definitions: include_str!("../definitions/q3.yaml"),
        shape: Shape::MonthOfBoth,
    },
    Question {
        name: "Q3approx",
        about: "distinct actors of each day and of the month, estimated",
        definitions: include_str!("../definitions/q3approx.yaml"),
        shape: Shape::Both,
    },
    Question {
        name: "Q4",
        about: "average and share, by device",
        definitions: include_str!("../definitions/q4.yaml"),
        shape: Shape::Groups,
    },
    Question {
        name: "Q5",
        about: "a funnel of four steps within a day",
        definitions: include_str!("../definitions/q5.yaml"),
        shape: Shape::Steps,
    },
    Question {
        name: "Q6",
        about: "retention: of those first seen on a day, who was seen on each day after it",
        definitions: include_str!("../definitions/q6.yaml"),
        shape: Shape::Cohorts,
    },
    Question {
        name: "Q7",
        about: "actors who did three things one after the other, without a fourth between",
        definitions: include_str!("../definitions/q7.yaml"),
        shape: Shape::Matches,
    },
    Question {
        name: "Q8",
        about: "correlation of two insights by day; every name's week beside the one before",
        definitions: include_str!("../definitions/q8.yaml"),
        shape: Shape::Correlation,
    },
    Question {
        name: "Q9",
        about: "20 insights over one day (tidemill: one pass; the others: 20 queries)",
        definitions: include_str!("../definitions/q9.yaml"),
        shape: Shape::Twenty,
    },
];

/// The days the events lie in.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first day.
    pub first: Date,
    /// The last one.
    pub last: Date,
}

impl Span {
    /// The one day of Q9: a fortnight in.
    pub fn day(&self) -> Date {
        calendar::utc_date_of_day((day_number(self.first) + 14).min(day_number(self.last)))
    }

    /// The first of the last fourteen days.
    pub fn before(&self) -> Date {
        self.back(13)
    }

    /// The first of the last seven days.
    pub fn middle(&self) -> Date {
        self.back(6)
    }

    fn back(&self, days: i64) -> Date {
        calendar::utc_date_of_day((day_number(self.last) - days).max(day_number(self.first)))
    }
}

/// Days since 1970-01-01.
pub fn day_number(date: Date) -> i64 {
    Zone::utc().start_of(date).micros().div_euclid(MICROS_PER_DAY)
}

impl Question {
    /// The question of this name.
    pub fn named(name: &str) -> Option<Question> {
        QUESTIONS.into_iter().find(|question| question.name.eq_ignore_ascii_case(name))
    }

    /// Whether answers are estimates, which no two engines need agree on.
    pub fn is_estimate(&self) -> bool {
        self.name == "Q3approx"
    }

    /// Reads the definitions, and what days of them are needed.
    ///
    /// # Errors
    /// In words: a definition is wrong.
    pub fn asked(&self, span: Span, now: Timestamp) -> Result<Vec<Asked>, String> {
        let parsed = parse(self.name, self.definitions)
            .map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let asked = parsed.into_iter().enumerate().map(|(nth, parsed)| {
            let (first, last) = match (self.shape, nth) {
                (Shape::Twenty, _) => (span.day(), span.day()),
                (Shape::Correlation, 2) => (span.before(), span.last),
                _ => (span.first, span.last),
            };
            let applied = Applied {
                format: DEFINITION_FORMAT,
                fingerprint: fingerprint(&parsed.definition),
                definition: parsed.definition,
                text: parsed.text,
                applied_at: now,
            };
            Asked { applied, first, last }
        });
        Ok(asked.collect())
    }

    /// Makes the answer of computed days.
    ///
    /// # Errors
    /// In words: states cannot be merged, or a number does not fit.
    pub fn answer(&self, span: Span, asked: &[Asked], all: &[Vec<Rehearsed>]) -> Result<Vec<Table>, String> {
        let of = |nth: usize| match (asked.get(nth), all.get(nth)) {
            (Some(asked), Some(days)) => Ok((Plan::new(&asked.applied.definition), days.as_slice())),
            _ => Err(format!("{} has no definition number {nth}", self.name)),
        };
        let (plan, days) = of(0)?;
        Ok(match self.shape {
            Shape::Days => vec![by_day(days)],
            Shape::Ranked => vec![groups(&plan, days)?],
            Shape::Groups => vec![sorted(groups(&plan, days)?)],
            Shape::DaysOfBoth => {
                total(&plan, days)?;
                vec![by_day(days)]
            }
            Shape::MonthOfBoth => vec![total(&plan, days)?],
            Shape::Both => vec![by_day(days), total(&plan, days)?],
            Shape::Correlation => {
                let (weeks, counted) = of(2)?;
                let cut = counted.partition_point(|day| day.date < span.middle());
                let weeks = [groups(&weeks, &counted[..cut])?, groups(&weeks, &counted[cut..])?];
                vec![vec![vec![correlation(days, of(1)?.1)]], beside(weeks)]
            }
            Shape::Steps | Shape::Cohorts | Shape::Matches => {
                let definition = &asked.first().ok_or("nothing is asked")?.applied.definition;
                vec![self.of_actors(span, definition, days)?]
            }
            Shape::Twenty => (0..all.len())
                .map(|nth| {
                    let (plan, days) = of(nth)?;
                    if plan.by.is_empty() { total(&plan, days) } else { groups(&plan, days).map(sorted) }
                })
                .collect::<Result<_, String>>()?,
        })
    }
}

impl Question {
    /// Whether an engine is asked. Polars and DataFusion have neither funnels nor patterns.
    pub fn is_for(&self, peer: &str) -> bool {
        match self.shape {
            Shape::Steps | Shape::Matches => matches!(peer, "duckdb" | "chdb"),
            Shape::Cohorts => peer != "datafusion",
            _ => true,
        }
    }

    /// The answer of an insight over actors, from the states of its days.
    fn of_actors(&self, span: Span, definition: &Definition, days: &[Rehearsed]) -> Result<Table, String> {
        let window = definition.timezone.days(span.first, span.last);
        let question = actors::Question {
            definition,
            by: &[],
            buckets: vec![actors::Bucket { start: span.first, window }],
            first: span.first,
            last: span.last,
            complete_through: window.end,
            transitions: false,
        };
        let with_events = days.iter().filter(|day| day.digest.events > 0);
        let states: Vec<Content> = with_events.map(|day| day.states.clone()).collect();
        let answer = actors::answer(&question, &states, &scratch()).map_err(|why| why.to_string())?;
        let at = |row: &actors::Row, column: &str| {
            let place = answer.columns.iter().position(|known| known == column);
            place.and_then(|place| row.values.get(place)).map(shown).unwrap_or_default()
        };
        Ok(match self.shape {
            Shape::Steps => vec![answer.rows.iter().map(|row| at(row, "actors")).collect()],
            Shape::Cohorts => {
                let day = |row: &actors::Row| row.start.map_or(0, day_number) - day_number(span.first);
                let offset = |row: &actors::Row| at(row, "offset").trim_start_matches("n:").parse().unwrap_or(0);
                let counted = answer.rows.iter().filter(|row| at(row, "actors") != "n:0");
                let row = |row: &actors::Row| {
                    vec![format!("n:{}", day(row)), format!("n:{}", day(row) + offset(row)), at(row, "actors")]
                };
                counted.map(row).collect()
            }
            _ => vec![answer.rows.iter().map(|row| at(row, "actors")).collect()],
        })
    }
}

fn by_day(days: &[Rehearsed]) -> Table {
    let row = |day: &Rehearsed| {
        let date = format!("n:{}", day_number(day.date));
        std::iter::once(date).chain(day.digest.values.iter().map(shown)).collect()
    };
    days.iter().filter(|day| day.digest.events > 0).map(row).collect()
}

/// The total of all days, merged as a rollup merges them.
fn total(plan: &Plan, days: &[Rehearsed]) -> Result<Table, String> {
    if let [day] = days {
        return Ok(vec![day.digest.values.iter().map(shown).collect()]);
    }
    let states: Vec<Content> = days.iter().map(|day| day.states.clone()).collect();
    let merged = merge(plan, &states, &scratch()).map_err(|why| why.to_string())?;
    let values = merged.total.values(plan).map_err(|why| why.to_string())?;
    Ok(vec![values.iter().map(shown).collect()])
}

/// The top groups of all days, merged as a rollup merges them.
fn groups(plan: &Plan, days: &[Rehearsed]) -> Result<Table, String> {
    let detail: Detail = if let [day] = days {
        let bytes = day.detail.piece(0, usize::MAX).map_err(|why| why.to_string())?;
        serde_json::from_slice(&bytes).map_err(|why| why.to_string())?
    } else {
        let states: Vec<Content> = days.iter().map(|day| day.states.clone()).collect();
        let merged = merge(plan, &states, &scratch()).map_err(|why| why.to_string())?;
        finish::detail_of(plan, &merged.content, &scratch()).map_err(|why| why.to_string())?
    };
    let row = |group: &Group, values: &[Value]| match group {
        Group::Key(key) => Some(key.iter().chain(values).map(shown).collect()),
        Group::Other => None,
    };
    Ok(detail.rows.iter().filter_map(|listed| row(&listed.group, &listed.values)).collect())
}

fn sorted(mut table: Table) -> Table {
    table.sort();
    table
}

/// Two tables of a group and a number each as one.
fn beside([before, after]: [Table; 2]) -> Table {
    let mut rows: BTreeMap<String, [String; 2]> = BTreeMap::new();
    for (at, table) in [before, after].into_iter().enumerate() {
        for row in table {
            let mut row = row.into_iter();
            let (Some(group), Some(number)) = (row.next(), row.next()) else { continue };
            rows.entry(group).or_insert_with(|| ["n:0".to_owned(), "n:0".to_owned()])[at] = number;
        }
    }
    rows.into_iter().map(|(group, [before, after])| vec![group, before, after]).collect()
}

/// Pearson's correlation of the first values of two insights, over the days either has.
fn correlation(a: &[Rehearsed], b: &[Rehearsed]) -> String {
    let mut pairs: BTreeMap<Date, (f64, f64)> = BTreeMap::new();
    let number = |day: &Rehearsed| match day.digest.values.first() {
        Some(Value::Number(number)) => number.to_string().parse().unwrap_or(0.0),
        _ => 0.0,
    };
    for day in a {
        pairs.entry(day.date).or_default().0 = number(day);
    }
    for day in b {
        pairs.entry(day.date).or_default().1 = number(day);
    }
    pearson(&pairs.into_values().collect::<Vec<_>>())
}

/// Pearson's correlation, as a cell.
pub fn pearson(pairs: &[(f64, f64)]) -> String {
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - x, pair.1 - y)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    format!("f:{:?}", sum(&|x, y| x * y) / spread)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("t:{flag}"),
        Value::Number(number) => format!("n:{number}"),
        Value::Text(text) => format!("t:{text}"),
        Value::Time(time) => format!("t:{time}"),
    }
}
