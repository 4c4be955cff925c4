//! Simulated worlds keep every promise, are the same every time, and notice a protocol that is taken away.
//!
//! A few of them; `cargo ci --only sim` runs a thousand and takes every protocol away in turn, and
//! `cargo run --workspace --bin sim -- --seed N` shows one, call by call.

use tidemill_tests::simulation::{Broken, Report, Setting, run};

/// Worlds beside the kept ones.
const SEEDS: std::ops::Range<u64> = 0..24;
/// Faults every world has at least.
const FAULTS_MIN: u64 = 20;
/// Worlds that once broke a promise, and what was wrong.
const KEPT: [(u64, &str); 6] = [
    (447, "arming put a rollup's past firing back, whose end took the next one with it"),
    (244, "an edited definition waited for changes of other days before it answered"),
    (804, "nobody looked again whether an edited definition had caught up"),
    (968, "a period without a day said it was complete up to now"),
    (1137, "events that came while a schedule was removed found it gone"),
    (1222, "a refresh that came after its day was over replaced what the rollup had compared"),
];

fn world(seed: u64) -> Report {
    run(Setting { seed, is_logged: false, broken: None })
}

fn check(report: &Report, about: &str) {
    let seed = report.seed;
    assert!(report.broken.is_empty(), "seed {seed} ({about}):\n{}", report.broken.join("\n"));
    assert!(report.stats.faults() >= FAULTS_MIN, "seed {seed}: {:?}", report.stats);
    assert!(report.stats.published > 0 && report.events > 0, "seed {seed}: {:?}", report.stats);
}

#[test]
fn worlds_keep_every_promise() {
    SEEDS.for_each(|seed| check(&world(seed), "drawn"));
}

#[test]
fn worlds_that_once_broke_a_promise_keep_it() {
    KEPT.into_iter().for_each(|(seed, about)| check(&world(seed), about));
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
