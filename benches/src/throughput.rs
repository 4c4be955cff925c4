//! `throughput`: every engine, every question, on the same pages in one run.
//!
//! In: how many events, how often, which engines. Out: a table, and JSON and a chart where asked. Cells are fresh
//! processes and take turns, so that what the machine does besides hits all of them alike. Answers are compared before
//! anything is shown; one that differs ends the run.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::json;
use tidemill_schemas::calendar::Date;

use crate::answer::{Table, difference, estimate_error};
use crate::cell::Cell;
use crate::floor::{FLOOR, has};
use crate::peer::{PEERS, Peers, cell_of};
use crate::project::{DAYS, Layout, Project, target};
use crate::question::{QUESTIONS, Question, Span};
use crate::report::{Cells, Line, OURS, head, table};
use crate::{chart, engine, floor};

/// Events of a quick run.
const QUICK_ROWS: u64 = 200_000;

/// tidemill beside DuckDB, Polars, ClickHouse (chdb) and DataFusion on the same Parquet pages.
#[derive(Debug, Parser)]
#[command(name = "throughput")]
struct Arguments {
    /// Events generated.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// The seed they are generated from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Import these Parquet files instead of generated ones.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Measure on this project, which is left as it is.
    #[arg(long, value_name = "DIR", conflicts_with = "history")]
    project: Option<PathBuf>,
    /// Few events and one round: answers are compared, times mean nothing.
    #[arg(long)]
    quick: bool,
    /// Processes per engine and question.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Runs in a process after the first one.
    #[arg(long, default_value_t = 3)]
    warm: u32,
    /// Threads of every engine.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Only these questions.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these peers; `none` for none.
    #[arg(long, value_delimiter = ',', default_values_t = PEERS.map(str::to_owned))]
    peers: Vec<String>,
    /// Which layout the project must have.
    #[arg(long, value_enum, default_value_t = Layout::Landed)]
    layout: Layout,
    /// Writes every figure as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a chart.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One cell of ours, for the process that measures.
    #[arg(long, hide = true, num_args = 5, value_names = ["ENGINE", "QUESTION", "STORE", "FIRST", "LAST"])]
    cell: Vec<String>,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.cell.is_empty() { run(&arguments) } else { own_cell(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("throughput: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one cell of ours in this process, and tells it.
fn own_cell(arguments: &Arguments) -> Result<(), String> {
    let [engine, question, place, first, last] = arguments.cell.as_slice() else {
        return Err("--cell takes an engine, a question, a folder and two days".to_owned());
    };
    let day = |text: &String| text.parse::<Date>().map_err(|why| format!("{text}: {why}"));
    let span = Span { first: day(first)?, last: day(last)? };
    let question = named(question)?;
    let place = Path::new(place);
    let cell = if engine == FLOOR {
        floor::cell(place, question, span, arguments.warm)?
    } else {
        engine::cell(place, question, span, arguments.threads, arguments.warm)?
    };
    println!("{}", serde_json::to_string(&cell).map_err(|why| why.to_string())?);
    Ok(())
}

fn named(name: &str) -> Result<Question, String> {
    let known = || QUESTIONS.iter().map(|question| question.name).collect::<Vec<_>>().join(", ");
    Question::named(name).ok_or_else(|| format!("there is no question `{name}`; there are {}", known()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let questions: Vec<Question> = if arguments.only.is_empty() {
        QUESTIONS.to_vec()
    } else {
        arguments.only.iter().map(|name| named(name)).collect::<Result<_, _>>()?
    };
    let peers: Vec<&str> = arguments.peers.iter().map(String::as_str).filter(|peer| *peer != "none").collect();
    if let Some(unknown) = peers.iter().find(|peer| !PEERS.contains(peer)) {
        return Err(format!("there is no peer `{unknown}`; there are {}", PEERS.join(", ")));
    }
    let target = target()?;
    let project = project(arguments, &target)?;
    project.check(arguments.layout)?;
    let (rounds, warm) = if arguments.quick { (1, 1) } else { (arguments.rounds.max(1), arguments.warm.max(1)) };
    let contest = Contest {
        peers: if peers.is_empty() { None } else { Some(Peers::install(&target)?) },
        project: &project,
        threads: arguments.threads.max(1),
        warm,
        quick: arguments.quick,
    };
    let megabytes = project.bytes / 1_000_000;
    println!(
        "{} events, {} pages, {megabytes} MB ({:?} layout), {} threads, {rounds} processes of {warm} warm runs",
        project.rows, project.objects, arguments.layout, contest.threads
    );
    println!("{}", head());
    let (mut all, mut answers) = (Vec::new(), BTreeMap::new());
    for question in questions {
        let (cells, answer) = contest.run(question, &peers, rounds)?;
        let lines = cells.lines(question, rows(&project, question));
        print!("{}", table(question, &lines));
        all.push((question, lines));
        answers.insert(question.name, answer);
    }
    println!("answers are equal{}", if arguments.quick { "; a quick run: the times mean nothing" } else { "" });
    contest.estimates(&answers)?;
    told(arguments, &project, &all)
}

fn told(arguments: &Arguments, project: &Project, lines: &[(Question, Vec<Line>)]) -> Result<(), String> {
    let write =
        |path: &PathBuf, text: String| std::fs::write(path, text).map_err(|why| format!("{}: {why}", path.display()));
    if let Some(path) = &arguments.json {
        let versions: BTreeMap<&str, &str> = PEERS.iter().map(|peer| (*peer, Peers::version(peer))).collect();
        let figures = json!({
            "rows": project.rows,
            "pages": project.objects,
            "page_bytes": project.bytes,
            "layout": format!("{:?}", arguments.layout).to_lowercase(),
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "quick": arguments.quick,
            "versions": versions,
            "lines": lines.iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>(),
        });
        write(path, format!("{figures:#}\n"))?;
    }
    if let Some(path) = &arguments.svg {
        let millions = project.rows as f64 / 1e6;
        let threads = match arguments.threads {
            0 | 1 => "one thread".to_owned(),
            more => format!("{more} threads"),
        };
        let title =
            format!("CPU time beside tidemill's, same {millions:.0}M events, {threads}: to the right takes more");
        write(path, chart::svg(&title, lines))?;
    }
    Ok(())
}

fn project(arguments: &Arguments, target: &Path) -> Result<Project, String> {
    let bench = target.join("bench");
    if let Some(project) = &arguments.project {
        let pages = bench.join("pages-of-project");
        std::fs::create_dir_all(&bench).map_err(|why| format!("{}: {why}", bench.display()))?;
        return Project::open(&project.join(".tidemill"), &pages);
    }
    let rows = if arguments.quick { QUICK_ROWS } else { arguments.rows };
    let name = match &arguments.history {
        Some(history) => format!("of-{}", history.file_name().unwrap_or_default().display()),
        None => format!("{rows}-{}", arguments.seed),
    };
    Project::of(&bench.join(name), (rows, DAYS), arguments.seed, arguments.history.as_deref())
}

fn rows(project: &Project, question: Question) -> u64 {
    if question.name == "Q9" { project.day_rows } else { project.rows }
}

/// Replaces the line on the terminal, if there is one.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// Who takes part, on what.
struct Contest<'a> {
    peers: Option<Peers>,
    project: &'a Project,
    threads: usize,
    warm: u32,
    quick: bool,
}

impl Contest<'_> {
    /// Every engine in turn, `rounds` times; their cells, and our answer.
    fn run(&self, question: Question, peers: &[&str], rounds: u32) -> Result<(Cells, Vec<Table>), String> {
        let (mut cells, mut ours) = (Cells::default(), Vec::new());
        let mut order = vec![OURS];
        if has(question) && !self.quick {
            order.push(FLOOR);
        }
        order.extend(peers.iter().filter(|peer| question.is_for(peer)));
        for round in 0..rounds {
            for engine in &order {
                progress(&format!("round {} of {rounds}: {} {engine}", round + 1, question.name));
                let cell = self.cell(engine, question)?;
                if ours.is_empty() {
                    // In the first round ours comes first.
                    ours = cell.tables.clone();
                }
                if !question.is_estimate()
                    && let Some(why) = difference(&ours, &cell.tables)
                {
                    return Err(format!("{}: tidemill and {engine} differ: {why}", question.name));
                }
                cells.push(question, engine, cell);
            }
            // Whoever comes first finds the pages colder: they take turns.
            order.rotate_left(1);
        }
        progress("");
        Ok((cells, ours))
    }

    fn cell(&self, engine: &str, question: Question) -> Result<Cell, String> {
        let span = self.project.span;
        let made = match &self.peers {
            Some(peers) if engine != OURS && engine != FLOOR => {
                peers.cell(engine, &self.project.plain, question, span, (self.threads, self.warm))
            }
            _ => {
                let own = std::env::current_exe().map_err(|why| format!("cannot find myself: {why}"))?;
                let mut command = Command::new(own);
                command.args(["--threads", &self.threads.to_string(), "--warm", &self.warm.to_string()]);
                let place = if engine == FLOOR { &self.project.pages } else { &self.project.store };
                command.args(["--cell", engine, question.name]).arg(place);
                cell_of(command.args([span.first.to_string(), span.last.to_string()]))
            }
        };
        made.map_err(|why| format!("{engine}, {}: {why}", question.name))
    }

    /// Our estimates beside our exact numbers, which the peers agreed with.
    fn estimates(&self, answers: &BTreeMap<&str, Vec<Table>>) -> Result<(), String> {
        let Some(about) = answers.get("Q3approx") else { return Ok(()) };
        let mut exact = Vec::new();
        for name in ["Q3day", "Q3month"] {
            match answers.get(name) {
                Some(tables) => exact.extend(tables.iter().cloned()),
                None => exact.extend(self.cell(OURS, named(name)?)?.tables),
            }
        }
        let (mean, worst) = estimate_error(about, &exact)?;
        eprintln!("tidemill's estimates are off by {:.2} % in the mean, {:.2} % at worst", mean * 1e2, worst * 1e2);
        Ok(())
    }
}
