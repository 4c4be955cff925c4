//! Simulated worlds keep every promise, are the same every time, and notice a protocol that is taken away.
//!
//! A few of them; `cargo ci --only sim` runs many and takes every protocol away in turn, and
//! `cargo run --workspace --bin sim -- --seed N` shows one, call by call.

use tidemill_tests::simulation::{Broken, Report, Setting, run};

/// Worlds run here.
const SEEDS: std::ops::Range<u64> = 0..24;
/// Faults every world has at least.
const FAULTS_MIN: u64 = 20;
fn world(seed: u64) -> Report {
    run(Setting { seed, is_logged: false, broken: None })
}

fn check(report: &Report) {
    let seed = report.seed;
    assert!(report.broken.is_empty(), "seed {seed}:\n{}", report.broken.join("\n"));
    assert!(report.stats.faults() >= FAULTS_MIN, "seed {seed}: {:?}", report.stats);
    assert!(report.stats.published > 0 && report.events > 0, "seed {seed}: {:?}", report.stats);
}

#[test]
fn worlds_keep_every_promise() {
    SEEDS.for_each(|seed| check(&world(seed)));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let [one, other] = [world(seed), world(seed)];
        assert_eq!((one.trace, one.stats), (other.trace, other.stats), "seed {seed}");
    }
}

#[test]
fn a_watermark_that_does_not_look_is_missed() {
    let is_caught =
        |seed| !run(Setting { seed, is_logged: false, broken: Some(Broken::WatermarkBlind) }).broken.is_empty();
    assert!((0..20).any(is_caught), "no world noticed");
}
