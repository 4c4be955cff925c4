//! The floor: the least a program in Rust has to do, question by question, over the same pages.
//!
//! No planner, no definitions, no manifest, no corrections: stock parquet-rs, dictionaries kept as such, and one loop
//! written for the question. It is what the engine is measured by where no peer is near. It has no Q9.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use hashbrown::HashSet;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use xxhash_rust::xxh3::xxh3_64;

use crate::answer::Table;
use crate::cell::{Cell, peak_kilobytes, timed};
use crate::question::{Question, Span, day_number, pearson};

/// What it is called in the table.
pub const FLOOR: &str = "floor";
/// Rows decoded at once.
const BATCH_ROWS: usize = 8_192;
const DAY_MICROS: i64 = 86_400_000_000;

/// Whether it has this question.
pub fn has(question: Question) -> bool {
    ["Q1", "Q2", "Q3day", "Q3month", "Q4", "Q8"].contains(&question.name)
}

/// Runs a question once and then `warm` times more.
///
/// # Errors
/// In words: a page cannot be read.
pub fn cell(pages: &Path, question: Question, span: Span, warm: u32) -> Result<Cell, String> {
    let (tables, cold) = timed(|| run(pages, question, span));
    let tables = tables?;
    let mut runs = Vec::new();
    for _ in 0..warm {
        let (again, usage) = timed(|| run(pages, question, span));
        again?;
        runs.push(usage);
    }
    Ok(Cell { cold, warm: runs, peak_kilobytes: peak_kilobytes(), tables })
}

fn run(pages: &Path, question: Question, span: Span) -> Result<Vec<Table>, String> {
    match question.name {
        "Q1" => q1(pages),
        "Q2" => q2(pages),
        "Q3day" | "Q3month" => {
            let [days, month] = q3(pages)?;
            Ok(vec![if question.name == "Q3day" { days } else { month }])
        }
        "Q4" => q4(pages),
        "Q8" => q8(pages, span),
        other => Err(format!("there is no floor for {other}")),
    }
}

/// Every page with its day, in order.
fn files(pages: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let below = |folder: &Path| -> Result<Vec<PathBuf>, String> {
        let entries = std::fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        Ok(paths)
    };
    let mut files = Vec::new();
    for folder in below(pages)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let day = name.strip_prefix("dt=").unwrap_or_default().to_owned();
        files.extend(below(&folder)?.into_iter().map(|file| (day.clone(), file)));
    }
    Ok(files)
}

/// Visits the batches of a page, with these columns in this order.
fn scan<const N: usize>(file: &Path, columns: [&str; N], mut visit: impl FnMut([&dyn Array; N])) -> Result<(), String> {
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let opened = File::open(file).map_err(|why| at(&why))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|why| at(&why))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|why| at(&why))?;
    for batch in reader {
        let batch: RecordBatch = batch.map_err(|why| at(&why))?;
        let found = columns.map(|name| batch.column_by_name(name));
        let Some(found) = found.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(at(&"a column is missing"));
        };
        visit(std::array::from_fn(|nth| found[nth].as_ref()));
    }
    Ok(())
}

/// A text column: its keys and the texts they stand for.
fn texts(column: &dyn Array) -> (&[i32], &StringArray) {
    let dictionary = column.as_dictionary::<Int32Type>();
    (dictionary.keys().values(), dictionary.values().as_string::<i32>())
}

/// The key a text has; −1 when the dictionary lacks it.
fn key_of(values: &StringArray, text: &str) -> i32 {
    (0..values.len()).find(|at| values.value(*at) == text).map_or(-1, |at| at as i32)
}

fn micros(column: &dyn Array) -> &[i64] {
    column.as_primitive::<TimestampMicrosecondType>().values()
}

/// An unscaled amount of two decimal places, as a cell.
fn cents(sum: i128) -> String {
    format!("n:{}.{:02}", sum / 100, sum % 100)
}

fn q1(pages: &Path) -> Result<Vec<Table>, String> {
    let mut days: BTreeMap<i64, (u64, i128)> = BTreeMap::new();
    for (_, file) in files(pages)? {
        scan(&file, ["name", "time", "amount"], |[names, times, amounts]| {
            let ((keys, values), times) = (texts(names), micros(times));
            let (wanted, amounts) = (key_of(values, "purchase"), amounts.as_primitive::<Decimal128Type>());
            for (row, key) in keys.iter().enumerate() {
                if *key == wanted {
                    let day = days.entry(times[row].div_euclid(DAY_MICROS)).or_default();
                    day.0 += 1;
                    day.1 += if amounts.is_null(row) { 0 } else { amounts.value(row) };
                }
            }
        })?;
    }
    let row = |(day, (count, sum)): (i64, (u64, i128))| vec![format!("n:{day}"), format!("n:{count}"), cents(sum)];
    Ok(vec![days.into_iter().map(row).collect()])
}

fn q2(pages: &Path) -> Result<Vec<Table>, String> {
    let mut countries: BTreeMap<String, u64> = BTreeMap::new();
    for (_, file) in files(pages)? {
        scan(&file, ["name", "plan", "country"], |[names, plans, groups]| {
            let ((names, name_values), (plans, plan_values)) = (texts(names), texts(plans));
            let (name, plan) = (key_of(name_values, "product_view"), key_of(plan_values, "pro"));
            let (groups, group_values) = texts(groups);
            let mut counts = vec![0u64; group_values.len()];
            for (row, key) in names.iter().enumerate() {
                if *key == name && plans[row] == plan {
                    counts[groups[row] as usize] += 1;
                }
            }
            for (at, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                *countries.entry(group_values.value(at).to_owned()).or_default() += count;
            }
        })?;
    }
    let mut ranked: Vec<(String, u64)> = countries.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(20);
    Ok(vec![ranked.into_iter().map(|(country, count)| vec![format!("t:{country}"), format!("n:{count}")]).collect()])
}

/// The distinct actors of every day, and of all of them.
fn q3(pages: &Path) -> Result<[Table; 2], String> {
    type Set = HashSet<u64, foldhash::fast::FixedState>;
    let (mut days, mut month) = (Table::new(), Set::default());
    let (mut day, mut of) = (Set::default(), String::new());
    let mut end = |of: &str, day: &mut Set| {
        if !day.is_empty() {
            let number = of.parse().map_or(0, day_number);
            days.push(vec![format!("n:{number}"), format!("n:{}", day.len())]);
            month.extend(day.drain());
        }
    };
    for (date, file) in files(pages)? {
        if date != of {
            end(&of, &mut day);
            of = date;
        }
        // One dictionary serves a row group: its values are hashed once, and only those that are used.
        let mut seen: Vec<bool> = Vec::new();
        let mut dictionary: Option<StringArray> = None;
        scan(&file, ["actor"], |[actors]| {
            let (keys, values) = texts(actors);
            if dictionary.as_ref().is_none_or(|held| !held.to_data().ptr_eq(&values.to_data())) {
                dictionary = Some(values.clone());
                seen = vec![false; values.len()];
            }
            for key in keys {
                let known = &mut seen[*key as usize];
                if !*known {
                    *known = true;
                    day.insert(xxh3_64(values.value(*key as usize).as_bytes()));
                }
            }
        })?;
    }
    end(&of, &mut day);
    let month = vec![vec![format!("n:{}", month.len())]];
    Ok([days, month])
}

fn q4(pages: &Path) -> Result<Vec<Table>, String> {
    let mut devices: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (_, file) in files(pages)? {
        scan(&file, ["device", "name", "duration_ms"], |[groups, names, durations]| {
            let ((groups, group_values), (names, name_values)) = (texts(groups), texts(names));
            let (view, durations) =
                (key_of(name_values, "product_view"), durations.as_primitive::<Int64Type>().values());
            let mut sums = vec![[0u64; 3]; group_values.len()];
            for (row, group) in groups.iter().enumerate() {
                let sum = &mut sums[*group as usize];
                sum[0] += 1;
                sum[1] += durations[row].unsigned_abs();
                sum[2] += u64::from(names[row] == view && durations[row] > 5_000);
            }
            for (at, sum) in sums.into_iter().enumerate().filter(|(_, sum)| sum[0] > 0) {
                let held = devices.entry(group_values.value(at).to_owned()).or_default();
                held.iter_mut().zip(sum).for_each(|(held, more)| *held += more);
            }
        })?;
    }
    let row = |(device, [count, sum, slow]): (String, [u64; 3])| {
        let of = |part: f64| format!("f:{:?}", part / count as f64);
        vec![format!("t:{device}"), of(sum as f64), of(100.0 * slow as f64)]
    };
    Ok(vec![devices.into_iter().map(row).collect()])
}

fn q8(pages: &Path, span: Span) -> Result<Vec<Table>, String> {
    let mut days: BTreeMap<i64, (u64, i128)> = BTreeMap::new();
    let mut weeks: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let (before, middle) = (span.before().to_string(), span.middle().to_string());
    for (date, file) in files(pages)? {
        let week = (date >= before).then_some(usize::from(date >= middle));
        scan(&file, ["name", "time", "amount"], |[names, times, amounts]| {
            let ((keys, values), times) = (texts(names), micros(times));
            let (carts, orders) = (key_of(values, "add_to_cart"), key_of(values, "purchase"));
            let amounts = amounts.as_primitive::<Decimal128Type>();
            let mut counts = vec![0u64; values.len()];
            for (row, key) in keys.iter().enumerate() {
                counts[*key as usize] += 1;
                if *key == carts || *key == orders {
                    let day = days.entry(times[row].div_euclid(DAY_MICROS)).or_default();
                    day.0 += u64::from(*key == carts);
                    day.1 += if *key == orders && amounts.is_valid(row) { amounts.value(row) } else { 0 };
                }
            }
            if let Some(week) = week {
                for (at, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    weeks.entry(values.value(at).to_owned()).or_default()[week] += count;
                }
            }
        })?;
    }
    let pairs: Vec<(f64, f64)> = days.into_values().map(|(x, y)| (x as f64, y as f64 / 100.0)).collect();
    let row = |(name, [before, after]): (String, [u64; 2])| {
        vec![format!("t:{name}"), format!("n:{before}"), format!("n:{after}")]
    };
    let weeks = weeks.into_iter().map(row).collect();
    Ok(vec![vec![vec![pearson(&pairs)]], weeks])
}
