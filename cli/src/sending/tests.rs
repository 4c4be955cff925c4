use std::io::Write;
use std::sync::Mutex;

use axum::Router;
use axum::routing::post;

use super::*;
use crate::client::Client;

static BODIES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Takes every line but those that hold `bad`, which it rejects by their index.
fn server() -> Client {
    async fn events(body: String) -> String {
        let bad = |(index, line): (usize, &str)| {
            let rejected =
                format!(r#"{{"index":{index},"id":"i{index}","code":"TM0102","message":"`name` is missing"}}"#);
            line.contains("bad").then_some(rejected)
        };
        let rejected: Vec<String> = body.lines().enumerate().filter_map(bad).collect();
        let accepted = body.lines().count() - rejected.len();
        let rejected = rejected.join(",");
        if let Ok(mut bodies) = BODIES.lock() {
            bodies.push(body);
        }
        format!(r#"{{"success":true,"status":1,"accepted":{accepted},"duplicates":1,"rejected":[{rejected}]}}"#)
    }
    Client::of_router(Router::new().route("/v1/events", post(events)).layer(axum::extract::DefaultBodyLimit::disable()))
}

async fn sent(inputs: Vec<Input>) -> Result<Summary, Failure> {
    send(server().caller(), inputs, None, 4, &ProgressBar::hidden()).await
}

fn bytes(text: &str) -> Input {
    Input::Bytes("mem", text.as_bytes().to_vec())
}

#[tokio::test]
async fn rejections_name_their_line() {
    let summary = sent(vec![bytes("{\"a\":1}\n\n{\"bad\":1}\n  \n{\"bad\":2}\r\n{\"a\":2}")]).await.expect("sent");
    assert_eq!((summary.accepted, summary.duplicates, summary.rejected_count()), (2, 1, 2));
    let examples = &summary.rejected["TM0102"].examples;
    assert_eq!(examples, &["mem:3: i1: `name` is missing", "mem:5: i2: `name` is missing"]);
    assert_eq!(summary.line(), "2 events accepted, 1 there already, 2 rejected");
}

#[tokio::test]
async fn arrays_and_objects_over_lines_become_lines() {
    let array = sent(vec![bytes("\u{feff}[\n {\"a\":\n 1},\n {\"bad\":1}]")]).await.expect("sent");
    assert_eq!((array.accepted, array.rejected_count()), (1, 1));
    assert_eq!(array.rejected["TM0102"].examples, ["mem:4: i1: `name` is missing"]);
    let object = sent(vec![bytes("{\n\"a\":1\n}\n{\"b\":\n2}\n")]).await.expect("sent");
    assert_eq!(object.accepted, 2);
    let cut_first_line = sent(vec![bytes("{\"bad\":\n{\"a\":1}\n")]).await.expect("sent");
    assert_eq!((cut_first_line.accepted, cut_first_line.rejected_count()), (1, 1));
    let failure = sent(vec![bytes("[{\"a\":1},\n{]")]).await.expect_err("not JSON");
    assert!(failure.message.starts_with("mem:2:"), "{}", failure.message);
}

#[tokio::test]
async fn gzip_is_known_by_its_magic_and_a_cut_file_is_an_error() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"a\":1}\n{\"a\":2}\n").expect("written");
    let whole = gzip.finish().expect("finished");
    assert_eq!(sent(vec![Input::Bytes("x", whole.clone())]).await.expect("sent").accepted, 2);
    let cut = Input::Bytes("x", whole[..whole.len() - 12].to_vec());
    assert_eq!(sent(vec![cut]).await.expect_err("cut off").code, "TM0914");
}

#[tokio::test]
async fn large_inputs_are_split_at_line_ends() {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(60_000));
    let summary = sent(vec![bytes(&line.repeat(400))]).await.expect("sent");
    assert_eq!(summary.accepted, 400);
    assert!(summary.duplicates >= 3, "at least three requests");
    let bodies = BODIES.lock().expect("no panic while locked");
    assert!(bodies.iter().all(|body| body.len() <= chunk::CHUNK_BYTES_MAX && body.ends_with('\n')));
}

#[tokio::test]
async fn a_line_beyond_every_limit_costs_one_line() {
    let text = format!("{{\"a\":1}}\n\"{}\"\n{{\"a\":2}}\n", "x".repeat(5 * 1024 * 1024));
    let summary = sent(vec![bytes(&text)]).await.expect("sent");
    assert_eq!((summary.accepted, summary.rejected["TM0104"].count), (2, 1));
}

#[tokio::test]
async fn a_missing_file_says_what_was_sent_before() {
    let inputs = vec![bytes("{\"a\":1}"), Input::File("no/such.ndjson".into())];
    let failure = sent(inputs).await.expect_err("missing");
    assert_eq!(failure.message, "there is no file no/such.ndjson");
    assert!(failure.detail[0].contains("sending again is safe"));
}
