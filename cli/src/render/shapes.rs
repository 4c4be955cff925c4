//! Answers that read better as a picture: a funnel's bars and trends, a cohort's triangle.
//!
//! In: the rows of an answer. Out: a table for people. Numbers are those of the rows; a bar or a shade only repeats one.

use std::collections::BTreeMap;

use crate::json::Json;
use crate::render::{number, period, table};

/// Characters of a whole bar.
const BAR_CHARS: usize = 20;
/// Shades from none to all.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Heights of a trend.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Buckets from which a funnel is shown as trends.
const TREND_BUCKETS_MIN: usize = 3;
/// Columns of rows of a funnel that are not its breakdown.
const FUNNEL_COLUMNS: [&str; 9] =
    ["time", "step", "name", "actors", "conversion", "step_conversion", "median_seconds", "mean_seconds", "maturing"];
/// The same of a cohort.
const COHORT_COLUMNS: [&str; 7] = ["cohort", "size", "offset", "actors", "share", "of_previous", "complete"];

/// The rows as a picture; `None`: they have none.
pub fn of_rows(kind: &str, rows: &[Json], every: &str, width: Option<u16>) -> Option<String> {
    match kind {
        "funnel" if rows.first()?.get("step").is_some() => Some(funnel(rows, every, width)),
        "cohort" if rows.first()?.get("offset").is_some() => Some(cohort(rows, width)),
        _ => None,
    }
}

/// The breakdown's columns.
fn breakdown<'r>(rows: &'r [Json], own: &[&str]) -> Vec<&'r str> {
    let columns = rows.first().map_or(&[][..], Json::entries).iter().map(|(name, _)| name.as_str());
    columns.filter(|name| !own.contains(name)).collect()
}

fn funnel(rows: &[Json], every: &str, width: Option<u16>) -> String {
    let by = breakdown(rows, &FUNNEL_COLUMNS);
    let mut times: Vec<&str> = rows.iter().map(|row| row.text_at("time")).collect();
    times.dedup();
    times.sort_unstable();
    times.dedup();
    if times.len() >= TREND_BUCKETS_MIN {
        trends(rows, &by, &times, every, width)
    } else {
        bars(rows, &by, every, width)
    }
}

/// A bar per step.
fn bars(rows: &[Json], by: &[&str], every: &str, width: Option<u16>) -> String {
    let mut header = vec![period::heading(every).to_owned()];
    header.extend(by.iter().map(|name| (*name).to_owned()));
    header.extend(["step", "", "actors", "of all", "of step", "median", "mean"].map(str::to_owned));
    let mut lines = Vec::new();
    let mut before = String::new();
    for row in rows {
        let mut keys = vec![period::shown(row.text_at("time"), every)];
        keys.extend(by.iter().map(|name| row.get(name).map_or_else(String::new, Json::shown)));
        let key = keys.join("\u{0}");
        // A block's own keys are said once.
        let mut line = if key == before { vec![String::new(); keys.len()] } else { keys };
        before = key;
        let share = number_of(row, "conversion").unwrap_or(0.0);
        let maturing = if row.is_true_at("maturing") { " …" } else { "" };
        line.extend([
            format!("{} {}{maturing}", row.whole_at("step"), row.text_at("name")),
            bar(share),
            number::count(row.whole_at("actors")),
            percent(row, "conversion"),
            percent(row, "step_conversion"),
            lasting(row, "median_seconds"),
            lasting(row, "mean_seconds"),
        ]);
        lines.push(line);
    }
    let mut right = vec![false; by.len() + 3];
    right.extend([true; 5]);
    table::of_texts(&header, &lines, &right, width)
}

/// A trend over the buckets per step.
fn trends(rows: &[Json], by: &[&str], times: &[&str], every: &str, width: Option<u16>) -> String {
    let (first, last) = (period::shown(times[0], every), period::shown(times[times.len() - 1], every));
    let mut header: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
    header.extend(["step".to_owned(), "actors".to_owned(), first, last, "of all".to_owned(), "last".to_owned()]);
    let mut steps: Vec<(Vec<String>, String)> = Vec::new();
    let mut held: BTreeMap<(Vec<String>, String), BTreeMap<&str, &Json>> = BTreeMap::new();
    for row in rows {
        let keys: Vec<String> = by.iter().map(|name| row.get(name).map_or_else(String::new, Json::shown)).collect();
        let step = (keys, format!("{} {}", row.whole_at("step"), row.text_at("name")));
        if !steps.contains(&step) {
            steps.push(step.clone());
        }
        held.entry(step).or_default().insert(row.text_at("time"), row);
    }
    let mut lines = Vec::new();
    for step in steps {
        let of = |time: &&str| held.get(&step).and_then(|rows| rows.get(time)).copied();
        let series = |column: &str| -> Vec<f64> {
            times.iter().map(|time| of(time).and_then(|row| number_of(row, column)).unwrap_or(0.0)).collect()
        };
        let actors = |time: &&str| of(time).map_or_else(|| "0".to_owned(), |row| number::count(row.whole_at("actors")));
        let newest = of(&times[times.len() - 1]).map_or_else(String::new, |row| percent(row, "conversion"));
        let (ends, trend) = ((actors(&times[0]), actors(&times[times.len() - 1])), spark(&series("conversion")));
        let mut line = step.0.clone();
        line.extend([step.1.clone(), spark(&series("actors")), ends.0, ends.1, trend, newest]);
        lines.push(line);
    }
    let mut right = vec![false; by.len() + 2];
    right.extend([true, true, false, true]);
    table::of_texts(&header, &lines, &right, width)
}

/// A line per cohort, a column per offset; columns that may still change have a dot behind them.
fn cohort(rows: &[Json], width: Option<u16>) -> String {
    let by = breakdown(rows, &COHORT_COLUMNS);
    let last = rows.iter().map(|row| row.whole_at("offset")).max().unwrap_or(0);
    let mut header = vec!["cohort".to_owned()];
    header.extend(by.iter().map(|name| (*name).to_owned()));
    header.push("size".to_owned());
    header.extend((0..=last).map(|offset| offset.to_string()));
    let mut lines: Vec<Vec<String>> = Vec::new();
    // Of the columns that are over: actors and sizes.
    let mut whole: Vec<(u64, u64)> = vec![(0, 0); last as usize + 1];
    for row in rows {
        let offset = row.whole_at("offset") as usize;
        if offset == 0 {
            let mut line = vec![row.text_at("cohort").split('T').next().unwrap_or_default().to_owned()];
            line.extend(by.iter().map(|name| row.get(name).map_or_else(String::new, Json::shown)));
            line.push(number::count(row.whole_at("size")));
            lines.push(line);
        }
        let is_whole = row.is_true_at("complete");
        if is_whole {
            whole[offset].0 += row.whole_at("actors");
            whole[offset].1 += row.whole_at("size");
        }
        let share = number_of(row, "share").unwrap_or(0.0);
        let mark = if is_whole { "" } else { "·" };
        if let Some(line) = lines.last_mut() {
            line.push(format!("{}{share:.0}%{mark}", shade(share)));
        }
    }
    let mut mean = vec!["mean".to_owned()];
    mean.extend(by.iter().map(|_| String::new()));
    mean.push(String::new());
    for (actors, size) in whole {
        let share = 100.0 * actors as f64 / size.max(1) as f64;
        mean.push(if size == 0 { String::new() } else { format!("{}{share:.0}%", shade(share)) });
    }
    lines.iter_mut().for_each(|line| line.resize(header.len(), String::new()));
    lines.push(mean);
    let mut right = vec![false; by.len() + 1];
    right.extend(vec![true; last as usize + 2]);
    table::of_texts(&header, &lines, &right, width)
}

fn number_of(row: &Json, column: &str) -> Option<f64> {
    match row.get(column) {
        Some(Json::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

fn percent(row: &Json, column: &str) -> String {
    number_of(row, column).map_or_else(String::new, |share| format!("{share:.1}%"))
}

/// A bar of a share in percent; something that is not nothing has at least a sliver.
fn bar(share: f64) -> String {
    let eighths = (share / 100.0 * BAR_CHARS as f64 * 8.0).round().max(if share > 0.0 { 1.0 } else { 0.0 }) as usize;
    let parts = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let mut text = "█".repeat(eighths / 8);
    text.extend((eighths % 8).checked_sub(1).map(|part| parts[part]));
    text
}

fn shade(share: f64) -> char {
    let at = (share / 100.0 * (SHADES.len() - 1) as f64).ceil().clamp(0.0, (SHADES.len() - 1) as f64);
    SHADES[at as usize]
}

/// A line of heights; all of them low when nothing changes.
pub fn spark(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let height = |value: &f64| {
        let at = if most > 0.0 { (value / most * (HEIGHTS.len() - 1) as f64).round() } else { 0.0 };
        HEIGHTS[at.clamp(0.0, (HEIGHTS.len() - 1) as f64) as usize]
    };
    values.iter().map(height).collect()
}

/// Seconds as people say them: `3 d 4 h`, `2 min 5 s`, `0.4 s`.
fn lasting(row: &Json, column: &str) -> String {
    let Some(seconds) = number_of(row, column) else { return String::new() };
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..=119 => format!("{whole} s"),
        120..=7_199 => format!("{} min {} s", whole / 60, whole % 60),
        7_200..=172_799 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, every: &str, text: &str) -> String {
        let json = Json::parse(text.as_bytes()).expect("it is JSON");
        format!("\n{}", of_rows(kind, json.items(), every, None).expect("it has a picture"))
    }

    #[test]
    fn a_funnel_has_bars() {
        let rows = r#"[
            {"time":"2026-08-01T00:00:00Z","step":1,"name":"seen","actors":1200,"conversion":100,"step_conversion":100,"median_seconds":null,"mean_seconds":null,"maturing":false},
            {"time":"2026-08-01T00:00:00Z","step":2,"name":"paid","actors":300,"conversion":25,"step_conversion":25,"median_seconds":75.5,"mean_seconds":8000,"maturing":false}]"#;
        let expected = "
 from        step                          actors  of all  of step  median        mean
───────────────────────────────────────────────────────────────────────────────────────
 2026-08-01  1 seen  ████████████████████   1,200  100.0%   100.0%
             2 paid  █████                    300   25.0%    25.0%    76 s  2 h 13 min";
        assert_eq!(of("funnel", "", rows), expected);
    }

    #[test]
    fn a_cohort_is_a_triangle() {
        let rows = r#"[
            {"cohort":"2026-08-02T00:00:00Z","size":10,"offset":0,"actors":10,"share":100,"of_previous":null,"complete":true},
            {"cohort":"2026-08-02T00:00:00Z","size":10,"offset":1,"actors":3,"share":30,"of_previous":30,"complete":true},
            {"cohort":"2026-08-09T00:00:00Z","size":4,"offset":0,"actors":4,"share":100,"of_previous":null,"complete":false}]"#;
        let expected = "
 cohort      size       0     1
────────────────────────────────
 2026-08-02    10   █100%  ▒30%
 2026-08-09     4  █100%·
 mean               █100%  ▒30%";
        assert_eq!(of("cohort", "", rows), expected);
    }

    #[test]
    fn many_buckets_are_trends() {
        let row = |day: u32, actors: u32| {
            format!(
                r#"{{"time":"2026-08-0{day}T00:00:00Z","step":1,"name":"seen","actors":{actors},"conversion":100,"step_conversion":100,"median_seconds":null,"mean_seconds":null,"maturing":false}}"#
            )
        };
        let rows = format!("[{},{},{}]", row(1, 2), row(2, 8), row(3, 5));
        let expected = "
 step    actors  2026-08-01  2026-08-03  of all    last
────────────────────────────────────────────────────────
 1 seen  ▃█▅              2           5  ███     100.0%";
        assert_eq!(of("funnel", "day", &rows), expected);
    }

    #[test]
    fn what_is_little_is_still_there() {
        assert_eq!((bar(0.0).as_str(), bar(0.01).as_str()), ("", "▏"));
        assert_eq!(spark(&[0.0, 0.0]), "▁▁");
    }
}
