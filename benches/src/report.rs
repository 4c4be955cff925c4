//! The report: medians of all rounds as a table, and as JSON beside it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::cell::{Cell, Usage};
use crate::floor::FLOOR;
use crate::question::{QUESTIONS, Question};

/// What our own engine is called.
pub const OURS: &str = "tidemill";

/// Cells of every (question, engine), in the order they were run.
#[derive(Debug, Default)]
pub struct Cells(BTreeMap<(usize, String), Vec<Cell>>);

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The question's name.
    pub question: &'static str,
    /// The engine's name.
    pub engine: String,
    /// Median of the warm runs: CPU seconds of all threads, user and system.
    pub cpu_seconds: f64,
    /// Median of the warm runs: seconds on the wall.
    pub wall_seconds: f64,
    /// Median over processes: opening and the first run, on the wall.
    pub cold_wall_seconds: f64,
    /// The most memory any process of it held.
    pub peak_megabytes: Option<f64>,
    /// Rows of the question's days for each CPU second.
    pub rows_per_core_second: f64,
    /// CPU seconds of this engine for each of the best peer's; below 1 is cheaper than every peer.
    pub of_best_peer: Option<f64>,
    /// CPU seconds of this engine for each of the floor's.
    pub of_floor: Option<f64>,
    /// The least and the greatest CPU seconds of a process.
    pub cpu_seconds_range: (f64, f64),
}

impl Cells {
    /// Takes in a cell.
    pub fn push(&mut self, question: Question, engine: &str, cell: Cell) {
        let place = QUESTIONS.iter().position(|known| *known == question).unwrap_or(QUESTIONS.len());
        self.0.entry((place, engine.to_owned())).or_default().push(cell);
    }

    /// The lines of a question: ours first, then the others, the cheapest first.
    pub fn lines(&self, question: Question, rows: u64) -> Vec<Line> {
        let place = QUESTIONS.iter().position(|known| *known == question).unwrap_or(QUESTIONS.len());
        let of = |((at, engine), cells): (&(usize, String), &Vec<Cell>)| {
            (*at == place).then(|| line(question, engine, cells, rows))
        };
        let mut lines: Vec<Line> = self.0.iter().filter_map(of).collect();
        let peers = lines.iter().filter(|line| line.engine != OURS && line.engine != FLOOR);
        let best = peers.map(|line| line.cpu_seconds).min_by(f64::total_cmp);
        let floor = lines.iter().find(|line| line.engine == FLOOR).map(|line| line.cpu_seconds);
        for line in &mut lines {
            line.of_best_peer = best.map(|best| line.cpu_seconds / best);
            line.of_floor = floor.map(|floor| line.cpu_seconds / floor);
        }
        lines.sort_by(|a, b| (a.engine != OURS).cmp(&(b.engine != OURS)).then(a.cpu_seconds.total_cmp(&b.cpu_seconds)));
        lines
    }
}

fn line(question: Question, engine: &str, cells: &[Cell], rows: u64) -> Line {
    let each = |of: fn(&Usage) -> f64| -> Vec<f64> {
        cells.iter().map(|cell| median(cell.warm.iter().map(of).collect())).collect()
    };
    let cpu = each(|usage| usage.cpu);
    let cpu_seconds = median(cpu.clone());
    let peak = cells.iter().filter_map(|cell| cell.peak_kilobytes).max();
    Line {
        question: question.name,
        engine: engine.to_owned(),
        cpu_seconds,
        wall_seconds: median(each(|usage| usage.wall)),
        cold_wall_seconds: median(cells.iter().map(|cell| cell.cold.wall).collect()),
        peak_megabytes: peak.map(|kilobytes| kilobytes as f64 / 1024.0),
        rows_per_core_second: rows as f64 / cpu_seconds,
        of_best_peer: None,
        of_floor: None,
        cpu_seconds_range: (cpu.iter().copied().fold(f64::INFINITY, f64::min), cpu.iter().copied().fold(0.0, f64::max)),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// The table's head.
pub fn head() -> String {
    format!(
        "{:12}{:>8}{:>14}{:>9}{:>9}{:>9}{:>15}{:>13}{:>9}",
        "", "CPU s", "", "wall s", "cold s", "peak MB", "M rows/s/core", "× best peer", "× floor"
    )
}

/// A question's part of the table.
pub fn table(question: Question, lines: &[Line]) -> String {
    let mut text = format!("{} {}\n", question.name, question.about);
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    for line in lines {
        let (least, most) = line.cpu_seconds_range;
        let _ = writeln!(
            text,
            "  {:10}{:>8.3}{:>14}{:>9.3}{:>9.3}{:>9}{:>15.1}{:>13}{:>9}",
            line.engine,
            line.cpu_seconds,
            format!("{least:.3}–{most:.3}"),
            line.wall_seconds,
            line.cold_wall_seconds,
            line.peak_megabytes.map_or_else(|| "?".to_owned(), |peak| format!("{peak:.0}")),
            line.rows_per_core_second / 1e6,
            ratio(line.of_best_peer),
            ratio(line.of_floor),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cpu: f64) -> Cell {
        let usage = Usage { wall: cpu, cpu };
        Cell { cold: usage, warm: vec![usage], peak_kilobytes: Some(2048), tables: Vec::new() }
    }

    #[test]
    fn ours_comes_first_and_is_measured_by_the_best_peer() {
        let (mut cells, question) = (Cells::default(), QUESTIONS[0]);
        for (engine, cpu) in [(OURS, 3.0), (OURS, 1.0), (OURS, 2.0), ("slow", 8.0), ("fast", 4.0), (FLOOR, 1.0)] {
            cells.push(question, engine, cell(cpu));
        }
        let lines = cells.lines(question, 8_000_000);
        let order: Vec<&str> = lines.iter().map(|line| line.engine.as_str()).collect();
        assert_eq!(order, [OURS, FLOOR, "fast", "slow"]);
        assert_eq!((lines[0].cpu_seconds, lines[0].of_best_peer), (2.0, Some(0.5)));
        assert_eq!((lines[3].of_best_peer, lines[3].rows_per_core_second), (Some(2.0), 1e6));
        assert!(table(question, &lines).contains("0.50"));
    }
}
