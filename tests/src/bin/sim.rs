//! Simulated worlds: one with every call told, or many with what they came to.
//!
//! `sim --seed N` prints a line per port call (time, actor, call, key, outcome) and what was broken; `--quiet` only the
//! latter. `sim --seeds A..B` runs many on every core and prints how many a second, the faults, and what was lost, double
//! or wrong. `--broken NAME` takes a protocol away first. Exit 1 when a promise was broken.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tidemill_tests::simulation::{Broken, Report, Setting, Stats, run};

fn main() -> ExitCode {
    match chosen(std::env::args().skip(1)) {
        Ok(Chosen { seeds, broken, quiet, is_one }) => {
            let fine = if is_one { one(seeds.start, broken, quiet) } else { many(seeds, broken) };
            if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("sim: {why}");
            ExitCode::from(2)
        }
    }
}

struct Chosen {
    seeds: std::ops::Range<u64>,
    broken: Option<Broken>,
    quiet: bool,
    is_one: bool,
}

fn chosen(mut arguments: impl Iterator<Item = String>) -> Result<Chosen, String> {
    let mut chosen = Chosen { seeds: 0..0, broken: None, quiet: false, is_one: false };
    while let Some(name) = arguments.next() {
        if name == "--quiet" {
            chosen.quiet = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{name} must be whole numbers, not {value}"));
        match name.as_str() {
            "--seed" => {
                chosen.seeds = number(&value)?..number(&value)? + 1;
                chosen.is_one = true;
            }
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or("--seeds is A..B")?;
                chosen.seeds = number(from)?..number(to)?;
            }
            "--broken" => {
                let known = || Broken::ALL.iter().map(|broken| format!("{broken:?}")).collect::<Vec<_>>().join(", ");
                let broken = Broken::ALL.into_iter().find(|broken| format!("{broken:?}") == value);
                chosen.broken =
                    Some(broken.ok_or_else(|| format!("no protocol is called {value}; there are {}", known()))?);
            }
            _ => return Err(format!("unknown argument {name}; there are --seed, --seeds, --broken and --quiet")),
        }
    }
    if chosen.seeds.is_empty() {
        return Err("say --seed N or --seeds A..B".to_owned());
    }
    Ok(chosen)
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

fn many(seeds: std::ops::Range<u64>, broken: Option<Broken>) -> bool {
    let began = now();
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Sum::default()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    add(&sum, seed, std::panic::catch_unwind(|| run(Setting { seed, is_logged: false, broken })));
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.broken.sort();
    let worlds = seeds.end - seeds.start;
    for (seed, why) in &sum.broken {
        println!("seed {seed}: {}", why.lines().next().unwrap_or_default());
    }
    println!(
        "{worlds} worlds in {seconds:.1} s, {:.1} a second on {cores} cores; {} events, {} port calls, {} faults ({} at least in each), {} promises checked as they were made",
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

fn add(sum: &Mutex<Sum>, seed: u64, ran: std::thread::Result<Report>) {
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
