//! Simulated worlds: one with every call told, or many with what they came to.
//!
//! `sim --seed N` prints a line per port call (time, actor, call, key, outcome) and what was broken; `--quiet` only the
//! latter. `sim --seeds A..B` runs many on every core and prints how many a second, the faults, and what was lost, double
//! or wrong. `--broken NAME` takes a protocol away first. `sim --canaries` takes each of them away in turn, until a world
//! notices. Exit 1 when a promise was broken, or a protocol was not missed.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::{ArgGroup, Parser};
use tidemill_tests::simulation::{Broken, Report, Setting, Stats, run};

/// Worlds within which a protocol that is taken away must be missed.
const CANARY_SEEDS_MAX: u64 = 500;

/// Simulated worlds.
#[derive(Parser)]
#[command(group(ArgGroup::new("what").required(true).args(["seed", "seeds", "canaries"])))]
struct Arguments {
    /// One world, call by call.
    #[arg(long)]
    seed: Option<u64>,
    /// Many worlds: A..B.
    #[arg(long, value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Takes each protocol away until a world notices.
    #[arg(long)]
    canaries: bool,
    /// A protocol to take away.
    #[arg(long, value_parser = broken, conflicts_with = "canaries")]
    broken: Option<Broken>,
    /// Of one world, only what became of it.
    #[arg(long)]
    quiet: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|why| why.to_string());
    let (from, to) = text.split_once("..").ok_or("it is A..B")?;
    let seeds = number(from)?..number(to)?;
    if seeds.is_empty() { Err("that is no seed at all".to_owned()) } else { Ok(seeds) }
}

fn broken(text: &str) -> Result<Broken, String> {
    let known = || Broken::ALL.map(|broken| format!("{broken:?}")).join(", ");
    Broken::ALL.into_iter().find(|broken| format!("{broken:?}") == text).ok_or_else(|| format!("there are {}", known()))
}

fn main() -> ExitCode {
    let Arguments { seed, seeds, broken, quiet, .. } = Arguments::parse();
    let fine = match (seed, seeds) {
        (Some(seed), _) => one(seed, broken, quiet),
        (None, Some(seeds)) => many(seeds, broken),
        (None, None) => canaries(),
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, broken: Option<Broken>, quiet: bool) -> bool {
    let report = run(Setting { seed, is_logged: !quiet, broken });
    for line in &report.log {
        println!("{line}");
    }
    let stats = &report.stats;
    println!(
        "seed {seed}: {} events, {} calls, {} faults, {} promises checked, trace {:016x}",
        report.events,
        stats.calls,
        stats.faults(),
        stats.published,
        report.trace
    );
    println!("{stats:?}");
    report.broken.iter().for_each(|broken| println!("BROKEN {broken}"));
    report.broken.is_empty()
}

/// What became of a world, or how it panicked.
type Ran = std::thread::Result<Report>;

/// What many worlds came to.
#[derive(Default)]
struct Sum {
    stats: Stats,
    events: usize,
    faults_min: Option<u64>,
    broken: Vec<(u64, String)>,
}

#[expect(clippy::disallowed_methods, reason = "only to tell how many worlds a second; nothing depends on it")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Runs worlds on every core until `took` has seen enough; it is told what became of each.
fn on_every_core(seeds: Range<u64>, broken: Option<Broken>, took: impl Fn(u64, Ran) -> bool + Sync) {
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let ran = std::panic::catch_unwind(|| run(Setting { seed, is_logged: false, broken }));
                    if took(seed, ran) {
                        next.store(seeds.end, Ordering::SeqCst);
                    }
                }
            });
        }
    });
}

/// Takes each protocol away until a world notices.
fn canaries() -> bool {
    let mut all_missed = true;
    for broken in Broken::ALL {
        let caught = Mutex::new(None::<(u64, String)>);
        on_every_core(0..CANARY_SEEDS_MAX, Some(broken), |seed, ran| {
            let why = match ran {
                Ok(report) => report.broken.into_iter().next(),
                Err(_) => Some("panic".to_owned()),
            };
            let mut caught = caught.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = why
                && caught.as_ref().is_none_or(|(earlier, _)| seed < *earlier)
            {
                *caught = Some((seed, why));
            }
            caught.is_some()
        });
        match caught.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((seed, why)) => println!("{broken:?}: missed in world {seed}: {}", told(&why)),
            None => {
                all_missed = false;
                println!("{broken:?}: NOT MISSED in {CANARY_SEEDS_MAX} worlds");
            }
        }
    }
    all_missed
}

/// The first line of a promise that was broken, not too long.
fn told(why: &str) -> String {
    why.lines().next().unwrap_or_default().chars().take(160).collect()
}

fn many(seeds: Range<u64>, broken: Option<Broken>) -> bool {
    let began = now();
    let sum = Mutex::new(Sum::default());
    on_every_core(seeds.clone(), broken, |seed, ran| {
        add(&sum, seed, ran);
        false
    });
    let seconds = began.elapsed().as_secs_f64();
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.broken.sort();
    let worlds = seeds.end - seeds.start;
    for (seed, why) in &sum.broken {
        println!("seed {seed}: {}", told(why));
    }
    println!(
        "{worlds} worlds in {seconds:.1} s, {:.1} a second; {} events, {} port calls, {} faults ({} at least in each), {} promises checked as they were made",
        worlds as f64 / seconds,
        sum.events,
        sum.stats.calls,
        sum.stats.faults(),
        sum.faults_min.unwrap_or_default(),
        sum.stats.published
    );
    println!("{:?}", sum.stats);
    let of = |word: &str| sum.broken.iter().filter(|(_, why)| why.starts_with(word)).count();
    let [lost, double, lies, wrong, back, old] = ["lost", "double", "lie", "wrong", "back", "old"].map(of);
    let other = sum.broken.len() - lost - double - lies - wrong - back - old;
    println!("lost {lost}, double or drifted {double}, wrong {wrong}, lies about completeness {lies},");
    println!("taken back {back}, of an old definition {old}, other {other}");
    sum.broken.is_empty()
}

fn add(sum: &Mutex<Sum>, seed: u64, ran: Ran) {
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    match ran {
        Ok(report) => {
            sum.stats.add(&report.stats);
            sum.events += report.events;
            let faults = report.stats.faults();
            sum.faults_min = Some(sum.faults_min.map_or(faults, |least| least.min(faults)));
            sum.broken.extend(report.broken.into_iter().map(|why| (seed, why)));
        }
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            sum.broken.push((seed, format!("panic: {}", text.unwrap_or_default())));
        }
    }
}
