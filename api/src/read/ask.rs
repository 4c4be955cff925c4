//! What a read asks for: parameters to local dates, a period and a breakdown. Pure.

use serde::Deserialize;
use tidemill_schemas::calendar::{Date, Period, Zone};
use tidemill_schemas::definition::{Body, Definition};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Window;

use crate::problem::Problem;

/// Days one read may span.
pub const READ_DAYS_MAX: i32 = 40_000;
/// Rows one answer holds when a request does not say.
pub const ROWS_DEFAULT: usize = 10_000;
/// Rows one answer holds at most.
pub const ROWS_MAX: usize = 100_000;
/// Periods of a range when a request does not say.
const PERIODS_DEFAULT: u32 = 30;

/// The parameters of a read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQuery {
    /// First instant or day.
    pub from: Option<String>,
    /// The first instant, or the first day, behind the range.
    pub to: Option<String>,
    /// Instead of both: `7d`, `4w`, `12m`, `2q`, `1y` back from the newest event's day.
    pub last: Option<String>,
    /// The period of a row.
    pub every: Option<String>,
    /// Breakdown columns, separated by commas; `*` for all of the definition's.
    pub by: Option<String>,
    /// Not answered: only what is defined is kept.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Rows at most.
    pub limit: Option<usize>,
    /// Where the answer before left off.
    pub cursor: Option<String>,
    /// `refuse`: no answer rather than a partial one.
    pub partial: Option<String>,
    /// The definition that is to answer, instead of the one that does.
    pub fingerprint: Option<String>,
    /// Of paths: `transitions` instead of whole `paths`.
    pub show: Option<String>,
    /// The kind of rows a path names.
    #[serde(skip)]
    pub kind: Option<String>,
    /// Whether only the headline is asked for.
    #[serde(skip)]
    pub is_digest: bool,
}

/// A read, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// First local day.
    pub first: Date,
    /// Last local day, included.
    pub last: Date,
    /// Both, as a window of event time.
    pub window: Window,
    /// The period of a row; `None`: the whole range is one.
    pub every: Option<Period>,
    /// Places in the definition's breakdown.
    pub by: Vec<usize>,
    /// Rows at most.
    pub limit: usize,
    /// Rows to leave out first.
    pub skip: usize,
    /// No answer rather than a partial one.
    pub refuse_partial: bool,
    /// Single transitions instead of whole paths.
    pub transitions: bool,
}

impl Ask {
    /// Understands a query. `newest`: the local day of the newest event.
    pub fn of(query: ReadQuery, definition: &Definition, newest: Option<Date>, now: Timestamp) -> Result<Ask, Problem> {
        if query.filter.is_some() {
            let message = "`where` cannot be asked of stored numbers; define an insight with it, or break down by it";
            return Err(Problem::parameter(message));
        }
        let zone = &definition.timezone;
        let every = query.every.as_deref().map(period).transpose()?;
        if let (Some(_), Some(help)) = (every, no_periods(&definition.body)) {
            return Err(Problem::parameter(format!("`every` cannot be asked of `{}`: {help}", definition.name)));
        }
        let transitions = match (query.show.as_deref(), &definition.body) {
            (None, _) => false,
            (Some("paths"), Body::Paths(_)) => false,
            (Some("transitions"), Body::Paths(_)) => true,
            (Some(_), Body::Paths(_)) => return Err(Problem::parameter("`show` must be `paths` or `transitions`")),
            (Some(_), _) => return Err(Problem::parameter("`show` is asked of paths only")),
        };
        let query = &query;
        let (first, last) = range(query, definition, every, newest.unwrap_or_else(|| zone.date_of(now)))?;
        let refuse_partial = match query.partial.as_deref() {
            None | Some("allow") => false,
            Some("refuse") => true,
            Some(_) => return Err(Problem::parameter("`partial` must be `allow` or `refuse`")),
        };
        let skip = query.cursor.as_deref().map(|cursor| cursor.strip_prefix("row-").and_then(|row| row.parse().ok()));
        let skip = match skip {
            None => 0,
            Some(Some(skip)) => skip,
            Some(None) => return Err(Problem::parameter("`cursor` is not one of ours; leave it out to start over")),
        };
        Ok(Ask {
            first,
            last,
            window: zone.days(first, last),
            every,
            by: by(query.by.as_deref(), definition)?,
            limit: query.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX),
            skip,
            refuse_partial,
            transitions,
        })
    }
}

/// Why an insight's rows are not of periods that a question could choose.
fn no_periods(body: &Body) -> Option<&'static str> {
    match body {
        Body::Cohort(_) => Some("its buckets are those of its definition"),
        Body::Correlation(_) | Body::Drivers(_) => Some("it looks at all the days of the range together"),
        Body::Comparative(_) => Some("its periods are those of its definition"),
        _ => None,
    }
}

/// The range of an insight when a question does not say.
fn usual(definition: &Definition) -> Option<String> {
    match &definition.body {
        Body::Cohort(cohort) => {
            let unit = match cohort.every {
                Period::Day => 'd',
                Period::Week => 'w',
                _ => 'm',
            };
            Some(format!("{}{unit}", cohort.periods))
        }
        Body::Correlation(correlation) => Some(format!("{}d", correlation.lookback_days)),
        Body::Drivers(drivers) => Some(format!("{}d", drivers.lookback_days)),
        _ => None,
    }
}

fn period(word: &str) -> Result<Period, Problem> {
    match word {
        "day" => Ok(Period::Day),
        "week" => Ok(Period::Week),
        "month" => Ok(Period::Month),
        "quarter" => Ok(Period::Quarter),
        "year" => Ok(Period::Year),
        "minute" | "hour" => {
            Err(Problem::parameter(format!("days and longer periods are kept, `{word}` is not; ask for every=day")))
        }
        _ => Err(Problem::parameter("`every` must be day, week, month, quarter or year")),
    }
}

fn by(text: Option<&str>, definition: &Definition) -> Result<Vec<usize>, Problem> {
    let Some(text) = text else { return Ok(Vec::new()) };
    if text == "*" {
        return Ok((0..definition.by.len()).collect());
    }
    let mut places: Vec<usize> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let known: Vec<&str> = definition.by.iter().map(|column| column.name()).collect();
        match known.iter().position(|known| *known == name) {
            Some(place) if places.contains(&place) => {
                return Err(Problem::parameter(format!("`by` names `{name}` twice")));
            }
            Some(place) => places.push(place),
            None if known.is_empty() => {
                return Err(Problem::parameter(format!(
                    "`{}` has no breakdown; add `by` to its definition",
                    definition.name
                )));
            }
            None => {
                let known = known.join(", ");
                return Err(Problem::parameter(format!("`{name}` is not in the definition's breakdown ({known})")));
            }
        }
    }
    Ok(places)
}

/// The local days of a query.
fn range(
    query: &ReadQuery,
    definition: &Definition,
    every: Option<Period>,
    newest: Date,
) -> Result<(Date, Date), Problem> {
    let zone = &definition.timezone;
    let from = query.from.as_deref().map(|text| edge("from", text, zone)).transpose()?;
    let to = query.to.as_deref().map(|text| edge("to", text, zone)).transpose()?;
    let last = match to {
        Some(date) => date.yesterday().map_err(|_| Problem::parameter("`to` is too early"))?,
        None => newest,
    };
    let first = match (from, query.last.as_deref()) {
        (Some(_), Some(_)) => return Err(Problem::parameter("`from` and `last` say the same; give one of them")),
        (Some(date), None) => date,
        (None, Some(text)) => {
            let (count, unit) = span(text)?;
            back(last, count, unit, definition)
        }
        (None, None) => match usual(definition) {
            Some(text) => {
                let (count, unit) = span(&text)?;
                back(last, count, unit, definition)
            }
            None if query.is_digest && matches!(definition.body, Body::Standard(_)) => last,
            None => back(last, PERIODS_DEFAULT, every.unwrap_or(Period::Day), definition),
        },
    };
    if first > last {
        return Err(Problem::parameter(format!("the range is empty: it would begin on {first} and end with {last}")));
    }
    if tidemill_aggregator::dispatch::apart(first, last) >= READ_DAYS_MAX {
        return Err(Problem::parameter(format!("a range spans at most {READ_DAYS_MAX} days; ask for a shorter one")));
    }
    Ok((first, last))
}

/// The local day that begins at an end of a range; a month stands for its first one.
fn edge(field: &str, text: &str, zone: &Zone) -> Result<Date, Problem> {
    if let Ok(date) = text.parse::<Date>() {
        let supported = (Date::constant(1, 1, 2)..=Date::constant(9999, 12, 29)).contains(&date);
        return if supported { Ok(date) } else { Err(Problem::parameter(format!("`{field}` is out of range"))) };
    }
    if let Ok(first) = format!("{text}-01").parse::<Date>() {
        return Ok(first.max(Date::constant(1, 1, 2)));
    }
    let instant = match text.parse::<i64>() {
        Ok(millis) => Timestamp::from_millis(millis).in_range(),
        Err(_) => Timestamp::parse(text),
    };
    let instant = instant.ok_or_else(|| {
        Problem::parameter(format!(
            "`{field}` must be a day (2026-08-01), a month (2026-08), RFC 3339 with an offset (2026-08-01T00:00:00Z) or epoch milliseconds"
        ))
    })?;
    let date = zone.date_of(instant);
    let start = zone.start_of(date);
    if start != instant {
        return Err(Problem::parameter(format!(
            "`{field}` must be the start of a day in {}, as {} is; days are what is kept",
            zone.name(),
            zone.rfc3339(start)
        )));
    }
    Ok(date)
}

/// `12m` → 12 months.
fn span(text: &str) -> Result<(u32, Period), Problem> {
    let wrong = || Problem::parameter("`last` must be a count and a unit: 7d, 4w, 12m, 2q or 1y");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let count: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let period = match unit {
        'd' => Period::Day,
        'w' => Period::Week,
        'm' => Period::Month,
        'q' => Period::Quarter,
        'y' => Period::Year,
        _ => return Err(wrong()),
    };
    if count == 0 || i64::from(count) > i64::from(READ_DAYS_MAX) { Err(wrong()) } else { Ok((count, period)) }
}

/// The first day of the `count` periods that end with the one `last` lies in.
fn back(last: Date, count: u32, unit: Period, definition: &Definition) -> Date {
    let mut first = unit.first(last, definition.week_start);
    for _ in 1..count {
        let Ok(before) = first.yesterday() else { break };
        first = unit.first(before, definition.week_start);
    }
    first.max(Date::constant(1, 1, 2))
}

#[cfg(test)]
mod tests;
