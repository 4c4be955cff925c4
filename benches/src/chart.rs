//! The chart: CPU seconds as bars, readable on a light and on a dark page.

use std::fmt::Write;

use crate::question::Question;
use crate::report::{Line, OURS};

const WIDTH: u32 = 760;
const LABEL: u32 = 110;
const BAR: u32 = 500;
const ROW: u32 = 18;

/// Bars of every question, each question to its own scale.
pub fn svg(title: &str, questions: &[(Question, Vec<Line>)]) -> String {
    let rows: usize = questions.iter().map(|(_, lines)| lines.len() + 2).sum();
    let height = 50 + ROW * u32::try_from(rows).unwrap_or(0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #24292f }}\n\
         .title {{ font-weight: 600 }} .quiet {{ fill: #57606a }}\n\
         .ours {{ fill: #0a7d5a }} .peer {{ fill: #afb8c1 }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }} .quiet {{ fill: #8d96a0 }} .ours {{ fill: #3fb992 }} .peer {{ fill: #57606a }}\n}}\n\
         </style>\n<text class=\"title\" x=\"8\" y=\"22\">{title}</text>\n"
    );
    let mut y = 40;
    for (question, lines) in questions {
        let most = lines.iter().map(|line| line.cpu_seconds).fold(0.0, f64::max);
        y += ROW;
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{y}\"><tspan class=\"title\">{}</tspan> <tspan class=\"quiet\">{}</tspan></text>",
            question.name,
            question.about.replace('&', "&amp;").replace('<', "&lt;")
        );
        for line in lines {
            let width = (f64::from(BAR) * line.cpu_seconds / most).max(1.0);
            let (class, end) = (if line.engine == OURS { "ours" } else { "peer" }, f64::from(LABEL) + width + 6.0);
            let _ = writeln!(
                svg,
                "<text x=\"24\" y=\"{}\">{}</text><rect class=\"{class}\" x=\"{LABEL}\" y=\"{}\" width=\"{width:.1}\" \
                 height=\"12\" rx=\"2\"/><text class=\"quiet\" x=\"{end:.1}\" y=\"{}\">{:.3} s</text>",
                y + ROW,
                line.engine,
                y + ROW - 10,
                y + ROW,
                line.cpu_seconds
            );
            y += ROW;
        }
        y += ROW;
    }
    svg + "</svg>\n"
}
