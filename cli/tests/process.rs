//! The command as a process: what a person types, the exit codes a script sees, and servers that are killed.

mod command;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use command::tidemill;
use flate2::read::MultiGzDecoder;
use parquet::arrow::ArrowWriter;

/// Seconds a server may take to say that it serves.
const SERVING_SECONDS_MAX: u64 = 60;
/// Milliseconds after the start of a `send` at which its server is killed.
const KILLS_MILLIS: [u64; 4] = [30, 90, 200, 450];
/// Events of the demo's history.
const EVENTS: usize = 12_017;

fn run(folder: &Path, line: &str) -> Output {
    tidemill(folder).args(line.split_whitespace()).output().expect("it starts")
}

/// Runs a command line that has to end with this exit code; what it printed on stdout, and on stderr.
fn ends(folder: &Path, line: &str, code: i32) -> (String, String) {
    let output = run(folder, line);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "tidemill {line}\n{printed}\n{said}");
    (printed, said)
}

fn history() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/git-events-small.ndjson.gz")
}

fn ids(lines: &str) -> Vec<String> {
    let id = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        event["id"].as_str().expect("an id").to_owned()
    };
    lines.lines().map(id).collect()
}

fn history_ids() -> BTreeSet<String> {
    let mut text = String::new();
    let file = std::fs::File::open(history()).expect("it is there");
    MultiGzDecoder::new(file).read_to_string(&mut text).expect("it is gzip");
    ids(&text).into_iter().collect()
}

/// A project with its first definition in effect.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    ends(folder.path(), "init", 0);
    ends(folder.path(), "apply --yes", 0);
    folder
}

/// A server, killed when dropped.
struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = tidemill(folder);
        command.args(["up", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = Server(command.spawn().expect("it starts"));
        let said = BufReader::new(server.0.stderr.take().expect("piped"));
        let (line, serving) = mpsc::channel();
        // Reads on to the end, so that the server never waits for a full pipe.
        std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(|text| drop(line.send(text))));
        let first = serving.recv_timeout(Duration::from_secs(SERVING_SECONDS_MAX)).expect("it says something in time");
        assert!(first.starts_with("serving http://127.0.0.1:"), "{first}");
        server
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const NUMBERS: &str = "query activity --every month --last 400m -o csv";

/// Every event and every number of a project without a server.
fn state(folder: &Path) -> (Vec<String>, String) {
    let (lines, _) = ends(folder, "export events", 0);
    ends(folder, "backfill --all", 0);
    let mut all = ids(&lines);
    all.sort();
    (all, ends(folder, NUMBERS, 0).0)
}

#[test]
fn from_nothing_to_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    ends(here, "init", 0);
    ends(here, "check", 0);
    ends(here, "apply --yes", 0);
    let events = "{\"id\":\"1\",\"name\":\"a\",\"actor\":\"ann\",\"time\":\"2026-08-01T10:00:00Z\"}\n\
                  {\"id\":\"2\",\"name\":\"b\",\"actor\":\"bob\",\"time\":\"2026-08-03T10:00:00Z\"}\n";
    std::fs::write(here.join("e.ndjson"), events).expect("written");
    let (first, _) = ends(here, "send e.ndjson --json", 0);
    assert!(first.starts_with(r#"{"accepted":2,"duplicates":0,"#), "{first}");
    let (again, _) = ends(here, "send e.ndjson --json", 0);
    assert!(again.starts_with(r#"{"accepted":0,"duplicates":2,"#), "{again}");
    ends(here, "backfill activity", 0);
    let (rows, _) = ends(here, "query activity --every day --last 3d -o csv", 0);
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "time,events,actors");
    assert_eq!(&rows[1..], ["2026-08-01T00:00:00Z,1,1", "2026-08-02T00:00:00Z,0,0", "2026-08-03T00:00:00Z,1,1"]);
    let (same, _) = ends(here, "query activity --every month --from 2026-08 --to 2026-09 -o csv", 0);
    assert_eq!(same.lines().nth(1), Some("2026-08-01T00:00:00Z,2,2"));
    assert!(ends(here, "explain activity", 0).0.contains("strategy"));
    ends(here, "doctor", 0);
    assert_eq!(ids(&ends(here, "export events", 0).0), ["1", "2"]);
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    assert!(ends(here, "query activity", 2).1.contains("TM0901"));
    ends(here, "init", 0);
    assert!(ends(here, "apply", 2).1.contains("--yes"));
    assert!(ends(here, "query nothing", 2).1.contains("TM0305"));
    assert!(ends(here, "up --listen 0.0.0.0:0", 2).1.contains("tidemill keys add"));
    assert!(ends(here, "ls --target http://127.0.0.1:1", 1).1.contains("TM0909"));
    std::fs::write(here.join("bad.ndjson"), "{\"id\":\"1\"}\n").expect("written");
    ends(here, "send bad.ndjson", 2);
    assert!(ends(here, "quarantine ls", 0).0.contains("TM01"));
    std::fs::write(here.join("insights/bad.yaml"), "insight: bad\ncolour: red\n").expect("written");
    ends(here, "check", 2);
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = project();
    let (secret, _) = ends(folder.path(), "keys add ann --right write --source shop", 0);
    assert!(secret.starts_with("tm_write_"), "{secret}");
    let (list, _) = ends(folder.path(), "keys ls --json", 0);
    assert!(!list.contains(secret.trim()));
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let id = list["keys"][0]["id"].as_str().expect("an id").to_owned();
    ends(folder.path(), &format!("keys revoke {id}"), 0);
    ends(folder.path(), &format!("keys revoke {id}"), 2);
}

#[test]
fn a_csv_file_is_imported_and_its_bad_rows_are_told() {
    let folder = project();
    let here = folder.path();
    let text = "order,at,amount\no1,2026-01-02 03:04:05,12.50\no2,soon,1\no3,2026-01-03,2\n";
    std::fs::write(here.join("orders.csv"), text).expect("written");
    let line = "import orders.csv --map id=order,name='paid',time=at --tz Asia/Kolkata --source shop";
    let (_, said) = ends(here, line, 2);
    assert!(said.contains("2 events accepted, 1 rejected"), "{said}");
    assert!(said.contains("orders.csv:2: "), "{said}");
    let (lines, _) = ends(here, "export events --source shop", 0);
    assert_eq!(ids(&lines), ["o1", "o3"]);
    assert!(lines.contains("2026-01-01T21:34:05Z"), "{lines}");
}

/// A Parquet file of so many orders, some hours apart.
fn orders(path: &Path, name: &str, count: i64) {
    let texts =
        |text: &dyn Fn(i64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..count).map(text))) };
    let times = TimestampMillisecondArray::from_iter_values((0..count).map(|at| 1_420_070_400_000 + at * 600_000));
    let columns = [
        ("order", texts(&|at| format!("{name}-{at}"))),
        ("at", Arc::new(times) as ArrayRef),
        ("amount", Arc::new(Float64Array::from_iter_values((0..count).map(|at| at as f64 / 4.0)))),
        ("country", texts(&|at| ["IN", "DE", ""][at as usize % 3].to_owned())),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

const ORDERS: &str = "--map id=order,name='paid',time=at --source shop";

#[test]
fn parquet_is_imported_the_broken_file_named_and_all_of_it_exported() {
    let folder = project();
    let here = folder.path();
    orders(&here.join("a.parquet"), "a", 300);
    orders(&here.join("c.parquet"), "c", 200);
    let whole = std::fs::read(here.join("a.parquet")).expect("read");
    std::fs::write(here.join("b.parquet"), &whole[..whole.len() / 2]).expect("written");
    let (_, said) = ends(here, &format!("import *.parquet {ORDERS}"), 2);
    assert!(said.contains("500 events accepted"), "{said}");
    assert!(said.contains("refused: b.parquet: ") && said.contains("[TM0133]"), "{said}");
    let (printed, _) = ends(here, &format!("import *.parquet {ORDERS} --json"), 2);
    let again: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&again["accepted"], &again["duplicates"]), (&0.into(), &500.into()), "{printed}");

    let (before, _) = ends(here, "export events", 0);
    assert_eq!(ids(&before).len(), 500);
    ends(here, "export events -o parquet --folder out", 0);
    ends(here, "export events -o parquet --folder out", 2);
    let other = project();
    let (_, said) = ends(other.path(), &format!("import {}/**/*.parquet", here.join("out").display()), 0);
    assert!(said.contains("500 events accepted"), "{said}");
    assert_eq!(before, ends(other.path(), "export events", 0).0);

    let (views, _) = ends(here, "sql", 0);
    assert!(views.contains("create or replace view \"events of shop\""), "{views}");
    assert!(views.contains("create or replace view \"activity\""), "{views}");
    for object in views.lines().filter_map(|line| line.trim().strip_prefix('\'')) {
        let path = object.trim_end_matches(['\'', ',']);
        assert!(Path::new(path).is_file(), "{path}");
    }
}

#[test]
fn an_import_through_a_killed_server_counts_once() {
    let folder = project();
    let here = folder.path();
    orders(&here.join("a.parquet"), "a", 60_000);
    for millis in KILLS_MILLIS {
        let server = Server::start(here);
        let mut command = tidemill(here);
        command.args(["import", "a.parquet"]).args(ORDERS.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        let mut importing = command.spawn().expect("it starts");
        let (ended, end) = mpsc::channel::<()>();
        let _waited = end.recv_timeout(Duration::from_millis(millis));
        server.kill();
        drop(ended);
        importing.wait().expect("it ends");
    }
    let server = Server::start(here);
    ends(here, &format!("import a.parquet {ORDERS}"), 0);
    server.kill();
    let (lines, _) = ends(here, "export events", 0);
    let all = ids(&lines);
    assert_eq!(all.len(), 60_000);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 60_000);
}

#[test]
fn the_demo_prints_numbers_and_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let (printed, said) = ends(folder.path(), "demo --exit", 0);
    assert!(said.contains("12,017 events accepted"), "{said}");
    assert!(printed.contains("$ tidemill query churn --from 2026-01 --to 2026-09 --by dir"), "{printed}");
}

#[test]
fn a_killed_server_loses_nothing_and_counts_nothing_twice() {
    let unkilled = project();
    let file = history().display().to_string();
    ends(unkilled.path(), &format!("send {file}"), 0);
    let (wanted, numbers) = state(unkilled.path());
    assert_eq!(wanted.len(), EVENTS);
    assert_eq!(wanted.iter().cloned().collect::<BTreeSet<_>>(), history_ids());

    let folder = project();
    for millis in KILLS_MILLIS {
        let server = Server::start(folder.path());
        let mut command = tidemill(folder.path());
        command.args(["send", &file]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut sending = command.spawn().expect("it starts");
        let (ended, end) = mpsc::channel::<()>();
        // Nobody sends: this only bounds how far the request has come when its server dies.
        let _waited = end.recv_timeout(Duration::from_millis(millis));
        server.kill();
        drop(ended);
        // Failed or not: what was acknowledged is kept, and everything is sent again.
        sending.wait().expect("it ends");
    }
    let server = Server::start(folder.path());
    ends(folder.path(), &format!("send {file}"), 0);
    server.kill();
    assert_eq!(state(folder.path()), (wanted, numbers));
}

/// Milliseconds after its start at which a server with a backfill under way is killed.
const BACKFILL_KILLS_MILLIS: [u64; 10] = [40, 400, 120, 700, 200, 90, 500, 60, 300, 150];
/// Units in flight of the backfill that is killed.
const KILLED_BUDGET: u64 = 2;

/// Four years of a few events a day each third day, as NDJSON.
fn four_years() -> String {
    let mut text = String::new();
    for day in (0..48 * 30).step_by(3) {
        let (year, month, date) = (2022 + day / 360, day % 360 / 30 + 1, day % 30 % 28 + 1);
        for number in 0..4 {
            let time = format!("{year}-{month:02}-{date:02}T{:02}:15:00Z", (day + 5 * number) % 24);
            let actor = (day * 7 + number) % 23;
            text +=
                &format!("{{\"id\":\"{day}-{number}\",\"name\":\"e\",\"actor\":\"a{actor}\",\"time\":\"{time}\"}}\n");
        }
    }
    text
}

/// Every number of the insights of a project without a server.
fn numbers(folder: &Path) -> Vec<String> {
    let every = ["day", "week", "month", "quarter", "year"];
    let line = |every: &str| format!("query activity --every {every} --from 2022-01 --to 2026-01 -o json");
    let body = |every: &&str| {
        let (text, _) = ends(folder, &line(every), 0);
        text.split("\"completeness\"").next().unwrap_or_default().to_owned()
    };
    every.iter().map(body).collect()
}

#[test]
fn a_backfill_of_four_years_killed_ten_times_ends_as_one_that_was_not() {
    let events = four_years();
    let filled = || {
        let folder = project();
        std::fs::write(folder.path().join("e.ndjson"), &events).expect("written");
        ends(folder.path(), "send e.ndjson", 0);
        folder
    };
    let unkilled = filled();
    ends(unkilled.path(), "backfill --all", 0);
    let folder = filled();
    let here = folder.path();
    let server = Server::start(here);
    // The client that watches is as dead as its server.
    let mut command = tidemill(here);
    command
        .args(["backfill", "--all", "--budget", &KILLED_BUDGET.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut watching = command.spawn().expect("it starts");
    while !run(here, "backfill status").status.success() {
        assert!(watching.try_wait().expect("it is ours").is_none(), "it ended before it had begun a backfill");
    }
    let (ended, end) = mpsc::channel::<()>();
    let mut server = Some(server);
    for millis in BACKFILL_KILLS_MILLIS {
        let _waited = end.recv_timeout(Duration::from_millis(millis));
        if let Some(server) = server.take() {
            server.kill();
        }
        server = Some(Server::start(here));
    }
    drop(ended);
    if let Some(server) = server {
        server.kill();
    }
    let _ = watching.kill();
    watching.wait().expect("it ends");
    // Whatever opens the project next goes on by itself.
    let (list, _) = ends(here, "query activity --last 1d -o json", 0);
    assert!(list.contains("completeness"), "{list}");
    let state: serde_json::Value = serde_json::from_str(&ends(here, "backfill status --json", 0).0).expect("JSON");
    assert_eq!(state["state"], "done", "{state}");
    assert!(state["high_water"].as_u64().is_some_and(|most| (1..=KILLED_BUDGET).contains(&most)), "{state}");
    assert_eq!(numbers(here), numbers(unkilled.path()));
}
