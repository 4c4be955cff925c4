//! Simulated worlds keep every promise, are the same every time, and notice every protocol that is taken away.
//!
//! `TIDEMILL_SEEDS=n` runs n worlds; `cargo run --workspace --bin sim -- --seed N` shows one, call by call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tidemill_tests::simulation::{Broken, Report, Setting, run};

/// Worlds, unless the environment says otherwise.
const SEEDS: u64 = 60;
/// Worlds within which a protocol that is taken away must be missed.
const CANARY_SEEDS_MAX: u64 = 500;
/// Faults every world has at least.
const FAULTS_MIN: u64 = 20;

/// Runs worlds on every core until `stop` has seen enough.
fn worlds(seeds: u64, broken: Option<Broken>, stop: impl Fn(&Report) -> bool + Sync) -> Vec<Report> {
    let (next, reports) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds {
                        return;
                    }
                    let report = run(Setting { seed, is_logged: false, broken });
                    if stop(&report) {
                        next.store(seeds, Ordering::SeqCst);
                    }
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn worlds_keep_every_promise() {
    let seeds = std::env::var("TIDEMILL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for report in worlds(seeds, None, |_| false) {
        let seed = report.seed;
        assert!(report.broken.is_empty(), "seed {seed}:\n{}", report.broken.join("\n"));
        assert!(report.stats.faults() >= FAULTS_MIN, "seed {seed}: {:?}", report.stats);
        assert!(report.stats.published > 0 && report.events > 0, "seed {seed}: {:?}", report.stats);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let [one, other] = [0, 1].map(|_| run(Setting { seed, is_logged: false, broken: None }));
        assert_eq!((one.trace, one.stats), (other.trace, other.stats), "seed {seed}");
    }
}

/// Whether the loss of a protocol is noticed, and by which promise.
fn is_missed(broken: Broken) {
    let reports = worlds(CANARY_SEEDS_MAX, Some(broken), |report| !report.broken.is_empty());
    let caught = reports.iter().filter(|report| !report.broken.is_empty()).map(|report| report.seed).min();
    assert!(caught.is_some(), "{broken:?} was not missed in {CANARY_SEEDS_MAX} worlds");
}

#[test]
fn totals_without_a_condition_are_missed() {
    is_missed(Broken::TotalsUnconditional);
}

#[test]
fn totals_that_forget_what_they_include_are_missed() {
    is_missed(Broken::TotalsForget);
}

#[test]
fn a_chain_without_a_fence_is_missed() {
    is_missed(Broken::ChainUnfenced);
}

#[test]
fn events_without_a_condition_are_missed() {
    is_missed(Broken::EventsUnconditional);
}

#[test]
fn snapshots_of_an_old_definition_are_missed() {
    is_missed(Broken::DefinitionUnchecked);
}

#[test]
fn snapshots_over_newer_ones_are_missed() {
    is_missed(Broken::SnapshotsUnconditional);
}

#[test]
fn a_watermark_that_does_not_look_is_missed() {
    is_missed(Broken::WatermarkBlind);
}

#[test]
fn deliveries_marked_before_they_are_done_are_missed() {
    is_missed(Broken::RetriesSkipped);
}
