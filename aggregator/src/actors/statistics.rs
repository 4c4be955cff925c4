//! Coefficients and their significance. Results of real numbers, rounded to six places; the order of summation is that of
//! the days, so equal series give equal bytes.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::factorial::ln_binomial;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::value::Value;

/// Pearson's coefficient of two series of equal length, two-pass; `None` when either is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    // Not by the variance: the mean of equal values may round to another one.
    let is_constant = |values: &[f64]| values.windows(2).all(|pair| pair[0] == pair[1]);
    if is_constant(x) || is_constant(y) {
        return None;
    }
    let n = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mx, my) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - mx, y - my);
        xy += dx * dy;
        xx += dx * dx;
        yy += dy * dy;
    }
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// Spearman's coefficient: Pearson's of the ranks, ties by their mean rank.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for same in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let first = order.iter().position(|at| *at == same[0]).unwrap_or_default();
        let rank = first as f64 + (same.len() as f64 + 1.0) / 2.0;
        same.iter().for_each(|at| ranks[*at] = rank);
    }
    ranks
}

/// The two-sided probability of so strong a coefficient between series that have nothing to do with each other, by
/// Student's t; `None` below three pairs.
pub fn p_of_coefficient(r: f64, n: usize) -> Option<f64> {
    let freedom = (n as f64) - 2.0;
    if freedom < 1.0 {
        return None;
    }
    if r.abs() >= 1.0 {
        return Some(0.0);
    }
    let t = r.abs() * (freedom / (1.0 - r * r)).sqrt();
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some((2.0 * student.sf(t)).min(1.0))
}

/// How many of two groups have something: a of the first have it, b have not; c and d of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourFold {
    /// The target's, with it.
    pub a: u64,
    /// The target's, without it.
    pub b: u64,
    /// The others', with it.
    pub c: u64,
    /// The others', without it.
    pub d: u64,
}

impl FourFold {
    /// The odds ratio, one added to each count so that none is zero.
    pub fn odds_ratio(self) -> f64 {
        let plus = |count: u64| count as f64 + 1.0;
        plus(self.a) * plus(self.d) / (plus(self.b) * plus(self.c))
    }

    /// Fisher's exact test (1922): the probability of so uneven a split, doubled for both sides. Tails are summed outward
    /// from what was found, each term from the one before, until they add nothing.
    pub fn p(self) -> f64 {
        let FourFold { a, b, c, d } = self;
        let (having, drawn, all) = (a + c, a + b, a + b + c + d);
        let here = (ln_binomial(having, a) + ln_binomial(all - having, b) - ln_binomial(all, drawn)).exp();
        let (first, last) = (drawn.saturating_sub(all - having), having.min(drawn));
        let above = |k: u64| {
            let (k, having, drawn, all) = (k as f64, having as f64, drawn as f64, all as f64);
            (having - k) * (drawn - k) / ((k + 1.0) * (all - having - drawn + k + 1.0))
        };
        let (mut up, mut term, mut k) = (here, here, a);
        while k < last && term > up * f64::EPSILON {
            term *= above(k);
            up += term;
            k += 1;
        }
        let (mut down, mut term, mut k) = (here, here, a);
        while k > first && term > down * f64::EPSILON {
            k -= 1;
            term /= above(k);
            down += term;
        }
        (2.0 * up.min(down)).min(1.0)
    }
}

/// The false-discovery rates of probabilities (Benjamini and Hochberg 1995), in their order.
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut rates = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (rank, at) in order.iter().enumerate().rev() {
        least = least.min(p[*at] * p.len() as f64 / (rank as f64 + 1.0));
        rates[*at] = least;
    }
    rates
}

/// A real number as an exact one of six places; null when it is none.
pub fn rounded(value: Option<f64>) -> Value {
    let text = value.filter(|value| value.is_finite()).map(|value| format!("{value:.6}"));
    text.and_then(|text| Decimal::parse(&text).ok()).map_or(Value::Null, Value::Number)
}

/// A decimal as a real number.
pub fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
