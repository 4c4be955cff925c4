//! The chart: how much CPU each engine takes for each second of ours, readable on a light and on a dark page.
//!
//! One row a question, one dot an engine, on a logarithmic scale; the line in the middle is tidemill. A dot to its right
//! is an engine that takes more.

use std::fmt::Write;

use crate::floor::FLOOR;
use crate::question::Question;
use crate::report::{Line, OURS};

const WIDTH: f64 = 760.0;
/// Where the scale begins and ends.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 76.0;
const ROW: f64 = 26.0;
/// The greatest ratio shown, either way; what is beyond stands at the edge.
const RATIO_MAX: f64 = 16.0;
/// Engines, their colour on light and on dark.
const COLOURS: [(&str, &str, &str); 4] = [
    ("duckdb", "#b58900", "#e3b341"),
    ("polars", "#0969da", "#58a6ff"),
    ("chdb", "#cf222e", "#ff7b72"),
    ("datafusion", "#8250df", "#bc8cff"),
];

/// A dot for every peer of every question.
pub fn svg(title: &str, questions: &[(Question, Vec<Line>)]) -> String {
    let bottom = TOP + ROW * questions.len() as f64;
    let height = bottom + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<style>\ntext {{ font: 12px system-ui, sans-serif; fill: #24292f }}\n\
         .title {{ font-weight: 600 }} .quiet {{ fill: #57606a }} .middle {{ text-anchor: middle }}\n\
         .line {{ stroke: #d0d7de }} .ours {{ stroke: #0a7d5a; stroke-width: 2 }}\n{}\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }} .quiet {{ fill: #8d96a0 }} .line {{ stroke: #30363d }} .ours {{ stroke: #3fb992 }}\n\
         {}}}\n</style>\n<text class=\"title\" x=\"8\" y=\"22\">{title}</text>\n",
        colours(|colour| colour.1),
        colours(|colour| colour.2),
    );
    for (nth, (engine, ..)) in COLOURS.iter().enumerate() {
        let x = LEFT + 110.0 * nth as f64;
        let _ = writeln!(
            svg,
            "<circle class=\"{engine}\" cx=\"{x}\" cy=\"42\" r=\"5\"/><text x=\"{}\" y=\"46\">{engine}</text>",
            x + 10.0
        );
    }
    for (ratio, label) in
        [(0.125, "⅛×"), (0.25, "¼×"), (0.5, "½×"), (1.0, "tidemill"), (2.0, "2×"), (4.0, "4×"), (8.0, "8×")]
    {
        let (x, class) = (place(ratio), if ratio == 1.0 { "ours" } else { "line" });
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>\
             <text class=\"quiet middle\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
            TOP - 12.0,
            bottom + 18.0
        );
    }
    for (nth, (question, lines)) in questions.iter().enumerate() {
        row(&mut svg, TOP + ROW * nth as f64 + 4.0, question.name, lines);
    }
    svg + "</svg>\n"
}

fn colours(of: fn(&(&str, &'static str, &'static str)) -> &'static str) -> String {
    COLOURS.iter().map(|colour| format!(".{} {{ fill: {} }}\n", colour.0, of(colour))).collect()
}

fn place(ratio: f64) -> f64 {
    let share = (ratio.clamp(1.0 / RATIO_MAX, RATIO_MAX).log2() / RATIO_MAX.log2() + 1.0) / 2.0;
    LEFT + (RIGHT - LEFT) * share
}

fn row(svg: &mut String, y: f64, name: &str, lines: &[Line]) {
    let _ = writeln!(svg, "<text class=\"title\" x=\"8\" y=\"{}\">{name}</text>", y + 4.0);
    let Some(ours) = lines.iter().find(|line| line.engine == OURS) else { return };
    for line in lines.iter().filter(|line| line.engine != OURS && line.engine != FLOOR) {
        let ratio = line.cpu_seconds / ours.cpu_seconds;
        let _ = writeln!(
            svg,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{y}\" r=\"5\"><title>{}: {:.3} s, tidemill: {:.3} s</title></circle>",
            line.engine,
            place(ratio),
            line.engine,
            line.cpu_seconds,
            ours.cpu_seconds
        );
    }
}
