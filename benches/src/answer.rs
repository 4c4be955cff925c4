//! Answers: what two engines said, compared before anything is timed.
//!
//! A cell is `n:` and an exact number, `f:` and a float, `t:` and a text, or `null`. Exact numbers must be equal; a float
//! must be within 1e-9 of the other number, or within half a unit of the sixth decimal place, where tidemill rounds
//! averages and shares.

/// Rows of cells.
pub type Table = Vec<Vec<String>>;

/// How far apart floats may be, relatively.
const RELATIVE_MAX: f64 = 1e-9;
/// Half a unit of the last place of a rounded ratio, and a little for the float beside it.
const ROUNDED_MAX: f64 = 0.500_001e-6;
/// Mean error of estimates.
const ESTIMATE_MEAN_MAX: f64 = 0.01;
/// Error of any one estimate: four standard errors of HyperLogLog at precision 14.
const ESTIMATE_MAX: f64 = 0.0325;

/// What differs, if anything does: the first place, with both cells.
pub fn difference(ours: &[Table], theirs: &[Table]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} tables and {}", ours.len(), theirs.len()));
    }
    for (nth, (a, b)) in ours.iter().zip(theirs).enumerate() {
        if a.len() != b.len() {
            return Some(format!("table {nth}: {} rows and {}", a.len(), b.len()));
        }
        for (row, (a, b)) in a.iter().zip(b).enumerate() {
            if a.len() != b.len() || !a.iter().zip(b).all(|(a, b)| is_equal(a, b)) {
                return Some(format!("table {nth}, row {row}: {} and {}", a.join(" "), b.join(" ")));
            }
        }
    }
    None
}

fn is_equal(a: &str, b: &str) -> bool {
    match (a.split_once(':'), b.split_once(':')) {
        (Some(("n", a)), Some(("n", b))) => bare(a) == bare(b),
        (Some(("n" | "f", a)), Some(("n" | "f", b))) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => (a - b).abs() <= (RELATIVE_MAX * a.abs().max(b.abs())).max(ROUNDED_MAX),
            _ => false,
        },
        _ => a == b,
    }
}

/// A decimal without the zeros that say nothing.
fn bare(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// How far estimates are from the exact numbers, in the last cell of each row: the mean and the worst error.
///
/// # Errors
/// In words: they are too far, or answer something else.
pub fn estimate_error(estimates: &[Table], exact: &[Table]) -> Result<(f64, f64), String> {
    let number = |row: &Vec<String>| row.last()?.strip_prefix("n:")?.parse::<f64>().ok();
    let numbers = |tables: &[Table]| tables.iter().flatten().map(number).collect::<Option<Vec<f64>>>();
    let (Some(estimates), Some(exact)) = (numbers(estimates), numbers(exact)) else {
        return Err("the estimates are not numbers".to_owned());
    };
    if estimates.len() != exact.len() || exact.is_empty() {
        return Err(format!("{} estimates of {} numbers", estimates.len(), exact.len()));
    }
    let errors = estimates.iter().zip(&exact).map(|(about, exact)| (about - exact).abs() / exact.max(1.0));
    let errors: Vec<f64> = errors.collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let worst = errors.iter().copied().fold(0.0, f64::max);
    if mean > ESTIMATE_MEAN_MAX || worst > ESTIMATE_MAX {
        return Err(format!("estimates are off by {:.2} % in the mean, {:.2} % at worst", mean * 1e2, worst * 1e2));
    }
    Ok((mean, worst))
}

#[cfg(test)]
mod tests;
