//! A bill as people and programs read it.
//!
//! In: months and prices. Out: a table, its parts, or JSON.

use tidemill_rollups::price::Prices;

use crate::cost::bill::{self, LINES};
use crate::cost::day::Shape;
use crate::cost::usage::{MONTH_HOURS, Usage};
use crate::cost::workload::Workload;
use crate::failure::Failure;
use crate::json::quoted;
use crate::render::number::grouped;
use crate::render::table;
use crate::terminal::{Mark, Terminal};

/// Parts that are listed with `--detail`.
const PARTS_MAX: usize = 40;

/// A month of so many events.
pub struct Month {
    /// With no option on.
    pub least: Usage,
    /// Whether such a day was lived through.
    pub is_measured: bool,
    /// With options on, by name.
    pub options: Vec<(&'static str, Usage)>,
}

/// A number for people.
pub fn number(value: f64, places: usize) -> String {
    grouped(&format!("{value:.places$}"))
}

fn units(value: f64) -> String {
    number(value, if value >= 100.0 { 0 } else { 2 })
}

fn money(value: f64) -> String {
    format!("${}", number(value, 2))
}

/// Prints the bill as a table.
pub fn print(
    terminal: &Terminal,
    workload: &Workload,
    months: &[Month],
    prices: &Prices,
    shape: &Shape,
) -> Result<(), Failure> {
    terminal.print(&format!("{}; {} events a request", workload.what, shape.per_request))?;
    terminal.print(&format!(
        "prices of {}, {}; a month of {MONTH_HOURS} hours; running totals every {} s, pages every {} s, {} shards",
        prices.region, prices.as_of, shape.changes_seconds, shape.seal_seconds, shape.shards
    ))?;
    let mut header = vec!["events a month".to_owned()];
    for month in months {
        header.push(number(month.least.events, 0));
        header.push(if month.is_measured { String::new() } else { "reckoned".to_owned() });
    }
    header.push("price".to_owned());
    let mut lines = Vec::new();
    let row = |name: &str, cells: Vec<(String, f64)>, price: String| {
        let mut line = vec![name.to_owned()];
        line.extend(cells.into_iter().flat_map(|(units, dollars)| [units, money(dollars)]));
        line.push(price);
        line
    };
    for (what, name) in LINES {
        let cell = |month: &Month| (units(month.least.sum(what)), bill::line(&month.least, prices, what, false));
        let cells: Vec<(String, f64)> = months.iter().map(cell).collect();
        if cells.iter().all(|(_, dollars)| *dollars == 0.0) {
            continue;
        }
        let price = bill::price(prices, what);
        let per = if price.per > 1.0 {
            format!("{} for {}", money(price.dollars), number(price.per, 0))
        } else {
            money(price.dollars)
        };
        lines.push(row(name, cells, format!("{per}{}", if price.unchecked { ", unchecked" } else { "" })));
    }
    let sums = |name: &str, of: &dyn Fn(&Month) -> f64| {
        row(name, months.iter().map(|month| (String::new(), of(month))).collect(), String::new())
    };
    let running = |usage: &Usage| bill::dollars(usage, prices, false, |what| !bill::is_kept(what));
    lines.push(sums("running", &|month| running(&month.least)));
    lines.push(sums("kept after the first month", &|month| bill::dollars(&month.least, prices, false, bill::is_kept)));
    lines.push(sums("together", &|month| bill::dollars(&month.least, prices, false, |_| true)));
    lines.push(sums("less what is free for ever", &|month| bill::dollars(&month.least, prices, true, |_| true)));
    for (at, (name, _)) in months[0].options.iter().enumerate() {
        lines.push(sums(&format!("together, {name}"), &|month| {
            bill::dollars(&month.options[at].1, prices, false, |_| true)
        }));
    }
    lines.push(sums("an idle month after it", &|month| bill::dollars(&month.least.idle(), prices, false, |_| true)));
    lines
        .push(sums("the same, less what is free", &|month| bill::dollars(&month.least.idle(), prices, true, |_| true)));
    let mut right = vec![true; header.len()];
    right[0] = false;
    if let Some(last) = right.last_mut() {
        *last = false;
    }
    terminal.print(&table::of_texts(&header, &lines, &right, terminal.columns()))
}

/// Prints what each line is made of.
pub fn print_parts(terminal: &Terminal, months: &[Month], prices: &Prices) -> Result<(), Failure> {
    for month in months {
        let title = format!("\n{} events a month, the dearest first", number(month.least.events, 0));
        terminal.print(&terminal.mark(Mark::Bold, &title))?;
        let header = ["", "for", "units", ""].map(str::to_owned);
        let parts = bill::parts(&month.least, prices).into_iter().take(PARTS_MAX);
        let lines: Vec<Vec<String>> = parts
            .map(|(line, about, count, dollars)| vec![line.to_owned(), about, units(count), money(dollars)])
            .collect();
        terminal.print(&table::of_texts(&header, &lines, &[false, false, true, true], terminal.columns()))?;
    }
    Ok(())
}

/// All of it as JSON.
pub fn json(workload: &Workload, months: &[Month], prices: &Prices) -> String {
    let usage = |usage: &Usage| {
        let lines = LINES.iter().filter(|(what, _)| usage.sum(*what) > 0.0).map(|(what, name)| {
            let price = bill::price(prices, *what);
            format!(
                "{{\"line\":{},\"units\":{:.3},\"of\":{},\"dollars\":{:.4},\"unchecked\":{}}}",
                quoted(name),
                usage.sum(*what),
                quoted(&price.of),
                bill::line(usage, prices, *what, false),
                price.unchecked
            )
        });
        let lines: Vec<String> = lines.collect();
        let parts = bill::parts(usage, prices).into_iter().map(|(line, about, units, dollars)| {
            let (line, about) = (quoted(line), quoted(&about));
            format!("{{\"line\":{line},\"for\":{about},\"units\":{units:.3},\"dollars\":{dollars:.4}}}")
        });
        let parts: Vec<String> = parts.collect();
        let sum = |free: bool| bill::dollars(usage, prices, free, |_| true);
        format!(
            "\"dollars\":{:.4},\"dollars_less_free\":{:.4},\"dollars_kept\":{:.4},\"lines\":[{}],\"parts\":[{}]",
            sum(false),
            sum(true),
            bill::dollars(usage, prices, false, bill::is_kept),
            lines.join(","),
            parts.join(",")
        )
    };
    let months = months.iter().map(|month| {
        let options = month.options.iter().map(|(name, of)| format!("{{\"option\":{},{}}}", quoted(name), usage(of)));
        format!(
            "{{\"events\":{:.0},\"measured\":{},{},\"options\":[{}],\"idle\":{{{}}}}}",
            month.least.events,
            month.is_measured,
            usage(&month.least),
            options.collect::<Vec<_>>().join(","),
            usage(&month.least.idle())
        )
    });
    let months: Vec<String> = months.collect();
    let (what, as_of, region) = (quoted(&workload.what), quoted(&prices.as_of), quoted(&prices.region));
    format!("{{\"workload\":{what},\"prices\":{as_of},\"region\":{region},\"months\":[{}]}}", months.join(","))
}
