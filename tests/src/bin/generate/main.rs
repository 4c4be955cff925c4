//! `generate`: product-analytics history as Parquet, one file a UTC day, from a seed.
//!
//! In: how many events, from when, over how many days or months. Out: `DIR/date=YYYY-MM-DD/events.parquet` with the
//! columns `id name actor time country plan device path amount duration_ms properties`. Sessions walk a small Markov
//! chain over 30 names; actors recur with a heavy tail, about one per 20 events; weekends are quieter. The same
//! arguments give the same files. Memory holds one batch per day being written and four bytes per session.

use std::path::PathBuf;
use std::process::ExitCode;

use tidemill_schemas::calendar::Date;
use tidemill_tests::history::{History, write};

/// What the command line says.
struct Arguments {
    rows: u64,
    days: u32,
    from: Date,
    seed: u64,
    out: PathBuf,
}

const USAGE: &str = "generate --rows N --out DIR [--from YYYY-MM-DD] [--days N | --months N] [--seed N]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let made = parse(&words).and_then(|arguments| {
        let history = History::new(arguments.rows, arguments.days, arguments.from, arguments.seed);
        write(history, &arguments.out)
    });
    match made {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("generate: {why}\nusage: {USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments =
        Arguments { rows: 1_000_000, days: 31, from: Date::constant(2026, 10, 1), seed: 1, out: PathBuf::new() };
    let mut months = None;
    for pair in words.chunks(2) {
        let [key, value] = pair else { return Err(format!("`{}` needs a value", pair[0])) };
        let wrong = |why: &dyn std::fmt::Display| format!("{key} {value}: {why}");
        match key.as_str() {
            "--rows" => arguments.rows = value.parse().map_err(|why| wrong(&why))?,
            "--days" => arguments.days = value.parse().map_err(|why| wrong(&why))?,
            "--months" => months = Some(value.parse::<u32>().map_err(|why| wrong(&why))?),
            "--from" => arguments.from = value.parse().map_err(|why| wrong(&why))?,
            "--seed" => arguments.seed = value.parse().map_err(|why| wrong(&why))?,
            "--out" => arguments.out = value.into(),
            _ => return Err(format!("there is no `{key}`")),
        }
    }
    if arguments.out.as_os_str().is_empty() {
        return Err("--out is missing".to_owned());
    }
    if let Some(months) = months {
        let mut date = arguments.from;
        for _ in 0..months {
            let length = i32::from(date.days_in_month());
            date = (0..length).fold(date, |date, _| tidemill_schemas::calendar::next(date));
        }
        arguments.days = tidemill_schemas::calendar::dates(arguments.from, date).count() as u32 - 1;
    }
    Ok(Arguments { days: arguments.days.max(1), ..arguments })
}
