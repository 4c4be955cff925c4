//! `tidemill cost`: what a month costs on AWS, from a simulated day.

use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use tidemill_rollups::price::Prices;

use crate::client::Request;
use crate::client::url::segment;
use crate::cost::day::{self, Shape};
use crate::cost::partitions;
use crate::cost::shown::{self, Month, number};
use crate::cost::usage::{MONTH_HOURS, Options, Usage};
use crate::cost::workload::{TEMPLATES_MAX, Workload};
use crate::failure::Failure;
use crate::json::{Json, quoted};
use crate::render::table;
use crate::session::Session;
use crate::terminal::Terminal;

/// Numbers of events a month that are shown when none is asked for.
const EVENTS_SHOWN: [u64; 3] = [1_000_000, 10_000_000, 100_000_000];
/// Events of a day that is lived through; more are reckoned along a line.
const DAY_EVENTS_MAX: u64 = 350_000;
/// Events a month that may be asked for.
const EVENTS_MAX: u64 = 1_000_000_000_000;
/// Days back that a project's own rate is taken from.
const RATE_DAYS: i64 = 30;

/// What a month costs on AWS
#[derive(Debug, Args)]
pub struct Cost {
    /// Events a month [default: the project's own rate; without a project 1, 10 and 100 million]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=EVENTS_MAX))]
    events: Option<u64>,

    /// The reference workload, even where there is a project
    #[arg(long)]
    reference: bool,

    /// Prices of your own: an edited copy of the table that --show-prices prints
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Print the table of prices
    #[arg(long)]
    show_prices: bool,

    /// Say what each line is made of
    #[arg(long)]
    detail: bool,

    /// Events of one request
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    per_request: u64,

    /// Seconds running totals wait for more changes
    #[arg(long, value_name = "S", default_value_t = Shape::default().changes_seconds, value_parser = clap::value_parser!(i64).range(1..=300))]
    changes_window: i64,

    /// Seconds pages wait for more changes
    #[arg(long, value_name = "S", default_value_t = Shape::default().seal_seconds, value_parser = clap::value_parser!(i64).range(1..=300))]
    seal_window: i64,

    /// Shards of the change feed
    #[arg(long, value_name = "N", default_value_t = Shape::default().shards, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,

    /// Instead: which keys get hot at so many events a second
    #[arg(long, value_name = "EVENTS_A_SECOND")]
    load: Option<u32>,

    /// With --load: sources the events are spread over
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sources: u32,
}

impl Cost {
    /// Prints the bill.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        if self.show_prices {
            return terminal.print(tidemill_rollups::price::PRICES_TEXT.trim_end());
        }
        let shape = self.shape();
        if let Some(load) = self.load {
            return self.print_load(terminal, f64::from(load), &shape);
        }
        let prices = self.read_prices()?;
        let (workload, own) = self.workload(session).await?;
        let wanted: Vec<u64> = match self.events.or(own) {
            Some(events) => vec![events],
            None => EVENTS_SHOWN.to_vec(),
        };
        let months = months(terminal, &workload, &wanted, shape).await?;
        if terminal.json {
            return terminal.print(&shown::json(&workload, &months, &prices));
        }
        shown::print(terminal, &workload, &months, &prices, &shape)?;
        if self.detail {
            shown::print_parts(terminal, &months, &prices)?;
        }
        Ok(())
    }

    fn shape(&self) -> Shape {
        Shape {
            per_request: self.per_request,
            shards: self.shards,
            changes_seconds: self.changes_window,
            seal_seconds: self.seal_window,
            ..Shape::default()
        }
    }

    fn read_prices(&self) -> Result<Prices, Failure> {
        let Some(path) = &self.prices else { return Ok(Prices::shipped().clone()) };
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        Prices::read(&text).map_err(|why| {
            let mut failure = Failure::input("TM0950", format!("{} is no table of prices", path.display()));
            failure.detail = why.lines().map(|line| format!("  {line}")).collect();
            failure.help("start from `tidemill cost --show-prices`")
        })
    }

    /// What the day is made of, and the project's own events a month.
    async fn workload(&self, session: &Session) -> Result<(Workload, Option<u64>), Failure> {
        let has_project = session.target != "local" || session.project().is_ok();
        if self.reference || (!has_project && session.folder.is_none()) {
            return Ok((Workload::reference(), None));
        }
        let client = session.client().await?;
        client.drain_feed(&session.terminal).await?;
        let listed = client.ask_json(&Request::get("/v1/insights")).await?;
        let mut insights = Vec::new();
        for insight in listed.items_at("insights") {
            let name = insight.text_at("insight").to_owned();
            let held = client.ask_json(&Request::get(format!("/v1/insights/{}", segment(&name)))).await?;
            insights.push((name, held.text_at("text").to_owned()));
        }
        let days = client.ask_json(&Request::get("/v1/events/days")).await?;
        let (lines, per_month) = match rate(days.items_at("days")) {
            Some((last, per_month)) => (events(&client.caller(), &last).await?, per_month),
            None => (Vec::new(), 0),
        };
        let workload = Workload::of_project(insights, &lines);
        if !workload.has_events() || workload.insights.is_empty() {
            let missing = if workload.has_events() { "insight" } else { "event" };
            return Err(Failure::input("TM0952", format!("the project has no {missing} to go by yet"))
                .help("send events and apply definitions, or use --reference"));
        }
        Ok((workload, Some(per_month.max(1))))
    }

    fn print_load(&self, terminal: &Terminal, events: f64, shape: &Shape) -> Result<(), Failure> {
        let sources = f64::from(self.sources);
        let heats = partitions::heats(events, sources, shape);
        let buckets = partitions::buckets_for(events / sources);
        if terminal.json {
            let heat = |heat: &partitions::Heat| {
                let (key, share) = (quoted(&heat.key), heat.share());
                format!(
                    "{{\"key\":{key},\"writes\":{:.3},\"reads\":{:.3},\"share\":{share:.4}}}",
                    heat.writes, heat.reads
                )
            };
            let heats: Vec<String> = heats.iter().map(heat).collect();
            return terminal.print(&format!("{{\"heats\":[{}],\"buckets_needed\":{buckets}}}", heats.join(",")));
        }
        let header = ["the busiest key of its kind", "writes/s", "reads/s", "of a partition", ""].map(str::to_owned);
        let line = |heat: &partitions::Heat| {
            let note = if heat.share() > 1.0 { "too hot" } else { "" };
            let percent = format!("{:.1} %", 100.0 * heat.share());
            vec![heat.key.clone(), number(heat.writes, 1), number(heat.reads, 1), percent, note.to_owned()]
        };
        let lines: Vec<Vec<String>> = heats.iter().map(line).collect();
        terminal.print(&table::of_texts(&header, &lines, &[false, true, true, true], terminal.columns()))?;
        terminal.print(&format!(
            "a source of {} events a second needs {buckets} buckets; it has {}",
            number(events / sources, 0),
            tidemill_schemas::keys::EVENT_BUCKETS
        ))
    }
}

/// The last day with events, and events a month as of late.
fn rate(days: &[Json]) -> Option<(String, u64)> {
    let mut rows: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for day in days {
        *rows.entry(day.text_at("day")).or_default() += day.whole_at("rows");
    }
    let last: tidemill_schemas::calendar::Date = rows.keys().next_back()?.parse().ok()?;
    let dated = rows.iter().filter_map(|(day, rows)| Some((day.parse().ok()?, *rows)));
    let ages = dated.map(|(day, rows): (tidemill_schemas::calendar::Date, u64)| {
        (day.until(last).map_or(i64::MAX, |span| i64::from(span.get_days())), rows)
    });
    let recent: Vec<(i64, u64)> = ages.filter(|(age, _)| *age < RATE_DAYS).collect();
    let span = recent.iter().map(|(age, _)| *age).max().unwrap_or(0) + 1;
    let sum: u64 = recent.iter().map(|(_, rows)| rows).sum();
    Some((last.to_string(), (sum as f64 / span as f64 * MONTH_HOURS / 24.0) as u64))
}

/// Some of the events of a day.
async fn events(caller: &crate::client::Caller, day: &str) -> Result<Vec<String>, Failure> {
    let mut parts = caller.download(&Request::get("/v1/events").with("from", day)).await?;
    let (mut held, mut lines) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next().await {
        held.extend_from_slice(&part.map_err(|error| crate::client::broken_off(&error))?);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if lines.len() >= TEMPLATES_MAX {
            break;
        }
    }
    Ok(lines)
}

/// Lives through the days it takes.
async fn months(terminal: &Terminal, workload: &Workload, wanted: &[u64], shape: Shape) -> Result<Vec<Month>, Failure> {
    let of_day = |events: u64| ((events as f64 / MONTH_HOURS * 24.0) as u64).max(1);
    let mut days: Vec<u64> = wanted.iter().map(|events| of_day(*events)).filter(|day| *day <= DAY_EVENTS_MAX).collect();
    if wanted.iter().any(|events| of_day(*events) > DAY_EVENTS_MAX) {
        // Two days make a line: the largest that is lived through, and a third of it unless there is another.
        let largest = days.iter().max().copied().filter(|day| *day > DAY_EVENTS_MAX / 2).unwrap_or(DAY_EVENTS_MAX);
        days.push(largest);
        if days.iter().all(|day| *day > largest / 2) {
            days.push(largest / 3);
        }
    }
    days.sort_unstable();
    days.dedup();
    let mut measured = Vec::new();
    for day in &days {
        let bar = terminal.bar(*day, "a day", false);
        let lived = day::live(workload, *day, shape, &mut |sent| bar.set_position(sent)).await;
        bar.finish_and_clear();
        let lived = lived?;
        if !lived.has_cpu {
            terminal.warn("this system does not tell CPU time: what Lambda computes is not in the bill");
        }
        measured.push((*day, lived));
    }
    let all = [
        ("", Options::default()),
        ("with Kinesis", Options { kinesis: true, fast: false }),
        ("with S3 Express", Options { kinesis: false, fast: true }),
        ("with both", Options { kinesis: true, fast: true }),
    ];
    let month = |events: u64| {
        let day = of_day(events);
        let lived = measured.iter().find(|(lived, _)| *lived == day);
        let of = |options: Options| match lived {
            Some((_, lived)) => Usage::of(lived, options),
            None => {
                let (small, large) = (&measured[measured.len() - 2].1, &measured[measured.len() - 1].1);
                Usage::of(small, options).at(&Usage::of(large, options), events as f64)
            }
        };
        let options = all[1..].iter().map(|(name, options)| (*name, of(*options))).collect();
        Month { least: of(all[0].1), is_measured: lived.is_some(), options }
    };
    Ok(wanted.iter().map(|events| month(*events)).collect())
}

#[cfg(test)]
mod tests;
