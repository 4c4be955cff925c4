//! `cargo ci`: every check and test, one after the other, with what they need installed into `target/`.
//!
//! In: `--list`, or `--only NAME` (again for more). Out: each step's own output under a header, and a summary; exit 1
//! when a step failed. A failing step does not stop the ones after it. This program has no dependencies, so that it
//! is built in a moment, and knows nothing of tidemill but the command line its users have.

mod actors;
mod aws;
mod cdk;
mod demo;
mod deploy;
mod history;
mod ministack;
mod peers;
mod python;
mod s3;
mod sim;
mod step;
mod worlds;

use std::process::ExitCode;

use step::{Outcome, Place, Step, WHOLE, cargo};

/// Every step, in order.
const STEPS: [Step; 20] = [
    Step { name: "fmt", about: "formatting", run: |place| cargo(place, &["fmt", "--all", "--check"]) },
    Step {
        name: "clippy",
        about: "lints, as errors",
        run: |place| {
            cargo(place, &["clippy", "--workspace", "--all-targets", "--features", WHOLE, "--", "-D", "warnings"])
        },
    },
    Step {
        name: "test",
        about: "every test",
        run: |place| cargo(place, &["test", "--workspace", "--features", WHOLE]),
    },
    Step {
        name: "build",
        about: "the command",
        run: |place| cargo(place, &["build", "--workspace", "--features", WHOLE]),
    },
    Step { name: "sim", about: "simulated worlds; TIDEMILL_SEEDS=n for n of them", run: sim::run },
    Step { name: "python", about: "the referee's Python packages", run: python::install },
    Step { name: "referee-check", about: "whether the referee catches what is wrong", run: python::referee_check },
    Step { name: "demo", about: "the demo, from an empty folder", run: demo::run },
    Step {
        name: "referee-pages",
        about: "the demo's numbers beside DuckDB's over its pages",
        run: demo::referee_pages,
    },
    Step {
        name: "referee-events",
        about: "the demo's numbers beside DuckDB's over its raw events",
        run: demo::referee_events,
    },
    Step {
        name: "referee-worlds",
        about: "the numbers of generated worlds beside DuckDB's; TIDEMILL_WORLDS=n for n of them",
        run: worlds::run,
    },
    Step { name: "views", about: "the views of `tidemill sql` in DuckDB beside the demo's numbers", run: demo::views },
    Step {
        name: "history",
        about: "generated Parquet history, imported, exported and imported again",
        run: history::run,
    },
    Step {
        name: "peers",
        about: "the benchmark with few events: its answers beside DuckDB's, Polars', ClickHouse's and DataFusion's",
        run: peers::run,
    },
    Step {
        name: "referee-actors",
        about: "funnels, patterns, cohorts and correlations beside ClickHouse's; TIDEMILL_CASES=n for n cases",
        run: actors::run,
    },
    Step { name: "aws", about: "the ports on AWS, against an emulator", run: aws::laws },
    Step { name: "s3", about: "history imported from a bucket, by a build with the feature `s3`", run: s3::run },
    Step {
        name: "cdk",
        about: "the stack's templates: synthesised, asserted, compared with what is committed, linted",
        run: cdk::run_all,
    },
    Step {
        name: "deploy",
        about: "`tidemill deploy` and `destroy` against an account on this machine",
        run: deploy::run,
    },
    Step {
        name: "system",
        about: "20,000 events through a deployed stack: every answer beside those of one process",
        run: aws::system,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match chosen(&arguments) {
        Ok(steps) if arguments.iter().any(|argument| argument == "--list") => {
            steps.iter().for_each(|step| println!("{:16}{}", step.name, step.about));
            ExitCode::SUCCESS
        }
        Ok(steps) => run(&steps),
        Err(why) => {
            eprintln!("cargo ci: {why}");
            ExitCode::from(2)
        }
    }
}

/// The steps the arguments ask for.
fn chosen(arguments: &[String]) -> Result<Vec<&'static Step>, String> {
    let known = || STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
    let mut only = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--list" => {}
            "--only" => {
                let name = rest.next().ok_or_else(|| format!("--only needs a name: {}", known()))?;
                let step = STEPS.iter().find(|step| step.name == name);
                only.push(step.ok_or_else(|| format!("no step is called `{name}`; there are {}", known()))?.name);
            }
            other => return Err(format!("unknown argument `{other}`; there are --list and --only NAME")),
        }
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.contains(&step.name)).collect())
}

fn run(steps: &[&Step]) -> ExitCode {
    let place = match Place::find() {
        Ok(place) => place,
        Err(why) => {
            eprintln!("cargo ci: {why}");
            return ExitCode::FAILURE;
        }
    };
    let outcomes: Vec<Outcome> = steps.iter().map(|step| step.go(&place)).collect();
    println!("\n== summary");
    for outcome in &outcomes {
        println!("{outcome}");
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    println!("{} steps passed, {failed} failed", outcomes.len() - failed);
    if failed == 0 {
        place.remove_scratch();
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests;
