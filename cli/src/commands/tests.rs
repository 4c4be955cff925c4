//! Commands against a small stand-in for a server, over HTTP: what they ask for, and how they end.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use clap::Parser;

use crate::failure::{Exit, Failure};
use crate::session::Session;
use crate::terminal::Terminal;

type Calls = Arc<Mutex<Vec<String>>>;

fn answer(method: &Method, path: &str) -> (StatusCode, &'static str) {
    let ok = |body| (StatusCode::OK, body);
    match (method.as_str(), path) {
        ("GET", "/healthz") => ok("ok"),
        ("POST", "/v1/plan") => ok(r#"{"insights":[
            {"insight":"a","change":"create","strategy":"incremental","reason":"counts","stale_days":1200,"text":"insight: a"},
            {"insight":"b","change":"unchanged","strategy":"recompute","reason":"distinct","stale_days":0,"text":"insight: b"}],
            "diagnostics":[{"severity":"warning","rendered":"warning[TM0250]: never seen"}]}"#),
        ("PUT", "/v1/insights/a") => {
            ok(r#"{"insight":"a","change":"created","strategy":"incremental","warnings":["slow"]}"#)
        }
        ("GET", "/v1/insights") => {
            ok(r#"{"insights":[{"insight":"a","metrics":["n"]},{"insight":"gone","metrics":[]}]}"#)
        }
        ("GET", "/v1/insights/a") => {
            ok(r#"{"insight":"a","timezone":"UTC","text":"insight: a","strategy":"incremental"}"#)
        }
        ("GET", "/v1/insights/a/explain") => {
            ok(r#"{"strategy":"incremental","metrics":[{"name":"n","function":"count"}]}"#)
        }
        ("GET", "/v1/insights/a/series" | "/v1/insights/a/digest") => {
            ok(r#"{"rows":[{"time":"2026-08-01T00:00:00Z","n":3}],"completeness":{"partial":true},"next":null}"#)
        }
        ("POST", "/v1/events") => ok(r#"{"success":true,"accepted":1,"duplicates":0,
            "rejected":[{"index":1,"id":null,"code":"TM0102","message":"`id` is missing"}]}"#),
        ("GET", "/v1/events") => ok("{\"id\":\"1\"}\n"),
        ("POST", "/v1/backfills") => ok(r#"{"id":"b1","days":3,"insights":["a"],"requests":1}"#),
        ("GET", "/v1/backfills/b1") => ok(r#"{"id":"b1","state":"done","days_total":3,"days_done":3,"failures":[]}"#),
        ("GET", "/v1/quarantine") => ok(r#"{"quarantined":[{"id":"x","code":"TM0102","message":"m"}],"next":null}"#),
        ("GET", "/v1/keys") => {
            ok(r#"{"keys":[{"id":"k1","name":"ann","right":"write","source":null,"created_at":"t"}]}"#)
        }
        ("POST", "/v1/keys") => ok(r#"{"secret":"tm_write_x","key":{"id":"k1"}}"#),
        ("DELETE", "/v1/keys/k1") => ok(r#"{"revoked":"k1"}"#),
        ("GET", "/v1/status") => ok(r#"{"events":12017,"dead_letters":2,"lag":[]}"#),
        _ => (
            StatusCode::NOT_FOUND,
            r#"{"status":404,"code":"TM0301","message":"no insight","detail":"did you mean `a`?"}"#,
        ),
    }
}

/// Runs a command line against the stand-in, in a project with one definition.
async fn run(line: &str) -> (Result<(), Failure>, Vec<String>) {
    let (done, calls, _) = run_and_read(line).await;
    (done, calls)
}

/// The same, with what was printed on stdout and stderr.
async fn run_and_read(line: &str) -> (Result<(), Failure>, Vec<String>, String) {
    let calls = Calls::default();
    let kept = Arc::clone(&calls);
    let router = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| async move {
        let body = String::from_utf8_lossy(&body).into_owned();
        if let Ok(mut calls) = kept.lock() {
            calls.push(format!("{method} {uri} {body}").trim_end().to_owned());
        }
        answer(&method, uri.path())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tidemill.toml"), "").expect("written");
    std::fs::create_dir(folder.path().join("insights")).expect("made");
    let definition = "insight: a\ntype: standard\nfrom: '*'\nmetrics:\n  n: count(*)\n";
    std::fs::write(folder.path().join("insights/a.yaml"), definition).expect("written");
    std::fs::write(folder.path().join("e.ndjson"), "{\"id\":\"1\"}\n{}\n").expect("written");
    let line = line.replace("DIR", &folder.path().display().to_string());
    let words = ["tidemill"].into_iter().chain(line.split_whitespace());
    let arguments = crate::Arguments::try_parse_from(words).expect("a valid command line");
    let terminal = Terminal::new(arguments.json, true);
    let captured = Arc::clone(&terminal.captured);
    let session = Session { terminal, folder: Some(folder.path().to_path_buf()), target: url };
    let done = arguments.command.run(&session).await;
    server.abort();
    let calls = calls.lock().expect("nobody panicked").clone();
    let printed = String::from_utf8_lossy(&captured.lock().expect("nobody panicked")).into_owned();
    (done, calls, printed)
}

#[tokio::test]
async fn answers_are_printed_in_the_format_asked_for() {
    for (line, expected) in [
        ("query a --every day -o csv", "time,n\n2026-08-01T00:00:00Z,3\n"),
        ("query a -o ndjson", "{\"time\":\"2026-08-01T00:00:00Z\",\"n\":3}\n"),
        ("query a", " from        n\n───────────────\n 2026-08-01  3\n partial\n"),
        ("explain a", "strategy  incremental\nmetrics\n  - n · function count\n"),
        ("export events", "{\"id\":\"1\"}\n"),
        ("send DIR/e.ndjson --json", ""),
    ] {
        let (_, _, printed) = run_and_read(line).await;
        if expected.is_empty() {
            assert!(
                printed.starts_with(r#"{"accepted":1,"duplicates":0,"rejected":[{"code":"TM0102","count":1"#),
                "{printed}"
            );
        } else {
            assert_eq!(printed, expected, "{line}");
        }
    }
    let (_, _, printed) = run_and_read("plan").await;
    assert!(printed.contains("warning[TM0250]: never seen"), "{printed}");
    assert!(
        printed.contains(" +  a        create     incremental  1,200                          counts"),
        "{printed}"
    );
    assert!(printed.ends_with("not in files (kept): gone\n"), "{printed}");
}

#[tokio::test]
async fn apply_puts_what_changes_and_nothing_else() {
    let (done, calls) = run("apply --yes").await;
    assert_eq!(done, Ok(()));
    let puts: Vec<&String> = calls.iter().filter(|call| call.starts_with("PUT")).collect();
    assert_eq!(puts, ["PUT /v1/insights/a insight: a"]);
}

#[tokio::test]
async fn apply_without_anybody_to_ask_needs_yes() {
    let (done, calls) = run("apply").await;
    assert_eq!(done.expect_err("nobody to ask").help.as_deref(), Some("add --yes"));
    assert!(calls.iter().all(|call| !call.starts_with("PUT")));
}

#[tokio::test]
async fn reading_commands_end_well() {
    for line in [
        "plan",
        "plan --json",
        "check",
        "ls",
        "ls --json",
        "show a",
        "explain a",
        "quarantine ls",
        "keys ls --json",
        "keys revoke k1",
        "export events --source git",
        "backfill a --from 2026-08",
        "backfill status b1",
        "backfill --all --dry-run",
        "completions bash",
        "query a --every day -o csv",
        "query a --last 7d -o markdown",
        "query a -o ndjson",
        "query a --from 2026-08-01 --to 2026-08-02 --json",
    ] {
        let (done, _) = run(line).await;
        assert_eq!(done, Ok(()), "{line}");
    }
}

#[tokio::test]
async fn a_partial_answer_can_fail() {
    let (done, _) = run("query a --fail-on-partial").await;
    assert_eq!(done.expect_err("partial").exit, Exit::Partial);
}

#[tokio::test]
async fn an_unknown_insight_is_told_with_the_servers_hint() {
    for line in ["show b", "explain b", "query b"] {
        let failure = run(line).await.0.expect_err(line);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::BadInput, "TM0301"));
        assert_eq!(failure.detail, ["did you mean `a`?"]);
    }
}

#[tokio::test]
async fn rejected_events_make_exit_code_2() {
    let (done, calls) = run("send DIR/e.ndjson").await;
    assert_eq!(done, Err(Failure::silent(Exit::BadInput)));
    assert_eq!(calls, ["POST /v1/events {\"id\":\"1\"}\n{}"]);
    // History in files goes the way of imports, lines as well as columns.
    let (_, calls) = run("import DIR/*.ndjson --source shop").await;
    assert!(calls[0].starts_with("POST /v1/imports"), "{calls:?}");
    assert_eq!(run("send DIR/none.ndjson").await.0.expect_err("missing").code, "TM0902");
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn buckets_need_a_build_that_reads_them() {
    let (done, calls) = run("import s3://bucket/*.parquet").await;
    let failure = done.expect_err("no bucket is read");
    assert_eq!((failure.code.as_str(), failure.exit), ("TM0926", Exit::BadInput));
    assert!(failure.help.is_some_and(|help| help.contains("--features s3")));
    assert!(calls.is_empty(), "{calls:?}");
}

#[tokio::test]
async fn a_keys_secret_is_all_that_is_printed() {
    let (done, calls, printed) = run_and_read("keys add ann --right write --source shop").await;
    assert_eq!((done, printed.as_str()), (Ok(()), "tm_write_x\n"));
    assert_eq!(calls, [r#"POST /v1/keys {"name":"ann","right":"write","source":"shop"}"#]);
    let (_, _, printed) = run_and_read("keys ls").await;
    assert!(printed.contains(" k1  ann   write  any     t"), "{printed}");
    assert_eq!(run("keys add ann --right read --source shop").await.0.expect_err("no limit").code, "TM0924");
    assert_eq!(run("keys revoke k2").await.0.expect_err("unknown").exit, Exit::BadInput);
}

#[tokio::test]
async fn doctor_shows_worries_but_does_not_fail_on_them() {
    assert_eq!(run("doctor").await.0, Ok(()));
    assert_eq!(run("doctor --json").await.0, Ok(()));
}

#[test]
fn the_command_line_is_well_formed() {
    use clap::CommandFactory;
    crate::Arguments::command().debug_assert();
}

#[cfg(not(feature = "aws"))]
#[tokio::test]
async fn a_build_without_aws_says_how_to_get_one_with_it() {
    for line in ["deploy --yes", "destroy --yes tidemill"] {
        let (done, calls) = run(line).await;
        let failure = done.expect_err("it cannot");
        assert_eq!(failure.code, "TM0946", "{line}");
        assert!(failure.help.is_some_and(|help| help.contains("--features aws")), "{line}");
        assert!(calls.is_empty(), "{line}: {calls:?}");
    }
}
