//! Coefficients and probabilities against published values.

use super::*;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn coefficients() {
    // Anscombe's first quartet (1973).
    let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    let r = pearson(&x, &y).unwrap();
    assert!((r - 0.816_421).abs() < 1e-6, "{r}");
    assert!((p_of_coefficient(r, 11).unwrap() - 0.002_170).abs() < 1e-5);
    assert!(near(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 8.0, 27.0, 64.0]).unwrap(), 1.0));
    assert!(near(spearman(&[1.0, 2.0, 2.0, 3.0], &[4.0, 3.0, 3.0, 1.0]).unwrap(), -1.0));
    assert_eq!(pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None, "a constant goes with nothing");
    let thirds = [1.333_333; 59];
    let days: Vec<f64> = (0..59).map(f64::from).collect();
    assert_eq!(pearson(&thirds, &days), None, "a constant is one whatever its mean rounds to");
    assert_eq!(p_of_coefficient(1.0, 20), Some(0.0));
    assert_eq!(p_of_coefficient(0.5, 2), None);
}

#[test]
fn fisher_on_tea() {
    // The lady tasting tea: three of four right, one-sided 17/70.
    let tea = FourFold { a: 3, b: 1, c: 1, d: 3 };
    assert!(near(tea.p(), 2.0 * 17.0 / 70.0), "{}", tea.p());
    assert!(near(FourFold { a: 4, b: 0, c: 0, d: 4 }.p(), 2.0 / 70.0));
    assert!(near(FourFold { a: 0, b: 4, c: 4, d: 0 }.p(), 2.0 / 70.0));
    assert!(near(FourFold { a: 5, b: 5, c: 50, d: 50 }.p(), 1.0));
    assert!(near(tea.odds_ratio(), 4.0));
}

#[test]
fn rates_grow_with_rank() {
    // Benjamini and Hochberg's own example (1995), its first four.
    let rates = false_discovery(&[0.04, 0.01, 0.02, 0.5]);
    let expected = [0.04 * 4.0 / 3.0, 0.04, 0.04, 0.5];
    assert!(rates.iter().zip(expected).all(|(a, b)| near(*a, b)), "{rates:?}");
}
