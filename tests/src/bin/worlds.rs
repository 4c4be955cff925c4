//! Writes a seed's world for others to read: `events.ndjson`, a file per definition, and the range of its days.
//!
//! `worlds --seed N --out DIR [--events N] [--definitions N]`; prints the first local day, and the one after the last.

use std::path::PathBuf;
use std::process::ExitCode;

use tidemill_schemas::calendar;
use tidemill_tests::generator::{World, definition};

/// Identities of a world when nothing is said.
const EVENTS: usize = 150;
/// Definitions of a world when nothing is said.
const DEFINITIONS: u64 = 6;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("worlds: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut seed, mut out, mut events, mut definitions) = (None, None, EVENTS, DEFINITIONS);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} must be a whole number, not {value}"));
        match name.as_str() {
            "--seed" => seed = Some(number()?),
            "--out" => out = Some(PathBuf::from(&value)),
            "--events" => events = usize::try_from(number()?).map_err(|why| why.to_string())?,
            "--definitions" => definitions = number()?,
            _ => return Err(format!("unknown argument {name}; there are --seed, --out, --events and --definitions")),
        }
    }
    let (seed, out) = (seed.ok_or("--seed is missing")?, out.ok_or("--out is missing")?);
    let world = World::of(seed, events);
    let write = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))
    };
    write("events.ndjson", world.ndjson())?;
    for number in 0..definitions {
        let number = seed * definitions + number;
        write(&format!("i{number}.yaml"), definition(number, world.scene))?;
    }
    // Other zones have the first and last events a day to either side.
    let first = world.first.yesterday().map_err(|why| why.to_string())?;
    println!("{first} {}", calendar::next(calendar::next(world.last)));
    Ok(())
}
