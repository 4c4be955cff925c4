//! `tidemill import s3://…`, against a bucket of moto on this machine.
//!
//! It builds the command with the feature `s3`, imports the same generated Parquet from a bucket and from its folder, and
//! compares the answers byte for byte; then it asks for what is not there. The bucket ends with its standard input, so
//! that it never outlives this program, however that ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::demo::tidemill;
use crate::history::{generate, glob, numbers};
use crate::ministack::without_variables;
use crate::python::{install_into, interpreter_of};
use crate::step::{Place, WHOLE, cargo};

/// Events of the history.
const ROWS: &str = "20000";
/// Where moto is installed.
const ENVIRONMENT: &str = "venv-s3";
const BUCKET: &str = "history";
/// Variables of the environment and their values.
type Variables<'a> = &'a [(&'a str, &'a str)];
/// The variables of someone who may read the bucket.
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// Runs all of it.
///
/// # Errors
/// When a step fails, the answers differ, or a mistake is not told for what it is.
pub fn run(place: &Place) -> Result<(), String> {
    install_into(place, ENVIRONMENT, "tests/s3/requirements.txt")?;
    // Features of the whole workspace, so that little is built again; of its programs, only these.
    let programs = ["build", "--workspace", "--bin", "tidemill", "--bin", "generate"];
    cargo(place, &[&programs[..], &["--features", WHOLE]].concat())?;
    let scratch = place.scratch.join("s3");
    let files = scratch.join("files");
    fs::create_dir_all(&scratch).map_err(|why| format!("{}: {why}", scratch.display()))?;
    generate(place, &files.join("generated"), ROWS)?;
    let bucket = Bucket::serve(place, &files)?;
    compare(place, &scratch, &files, &bucket)?;
    mistakes(place, &scratch.join("bucket/project"), &bucket)
}

/// The same files, from their folder and from the bucket.
fn compare(place: &Place, scratch: &Path, files: &Path, bucket: &Bucket) -> Result<(), String> {
    let with_keys = || bucket.command(place, &KEYS);
    let here = numbers(&with_keys, &scratch.join("folder/project"), &glob(files), "json")?;
    let pattern = format!("s3://{BUCKET}/generated/**/*.parquet");
    let there = numbers(&with_keys, &scratch.join("bucket/project"), &pattern, "json")?;
    if here != there {
        return Err(format!("the folder's numbers are\n{here}\nand the bucket's\n{there}"));
    }
    println!("the same {} bytes from the folder and from the bucket", here.len());
    // A prefix names the same objects; every row of theirs is known.
    let mut again = with_keys();
    again.arg("--project").arg(scratch.join("bucket/project")).args(["import", "--json"]);
    let again = told(again.arg(format!("s3://{BUCKET}/generated")))?;
    if again.code != Some(0) || !again.out.contains(&format!("\"duplicates\":{ROWS}")) {
        return Err(format!("importing the prefix again said {}{}", again.out, again.err));
    }
    Ok(())
}

/// What is not there, and who may not ask.
fn mistakes(place: &Place, project: &Path, bucket: &Bucket) -> Result<(), String> {
    // Nothing listens there: no credentials are to be had from the machine either.
    let nobody = [("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")];
    let cases: [(&str, Variables<'_>, [&str; 3]); 6] = [
        ("s3://no-such-bucket/*.parquet", &KEYS, ["TM0926", "there is no bucket `no-such-bucket`", "AWS_ENDPOINT_URL"]),
        ("s3://history/other/*.parquet", &KEYS, ["TM0902", "no object matches", "s3://history/other/*.parquet"]),
        ("s3://history/other.parquet", &KEYS, ["TM0902", "there is no object", "s3://history/other.parquet"]),
        ("s3:///other.parquet", &KEYS, ["TM0926", "names no bucket", "s3://bucket/prefix/*.parquet"]),
        ("s3://history/generated", &nobody, ["TM0926", "no credentials for S3", "AWS_ACCESS_KEY_ID"]),
        ("s3://history/generated", &KEYS[..1], ["TM0926", "no credentials for S3", "AWS_SECRET_ACCESS_KEY"]),
    ];
    let mut failures = Vec::new();
    for (pattern, variables, words) in cases {
        let mut command = bucket.command(place, variables);
        let said = told(command.arg("--project").arg(project).args(["import", pattern]))?;
        println!("$ tidemill import {pattern}\n{}", said.err.trim_end());
        if said.code != Some(2) || !words.iter().all(|word| said.err.contains(word)) {
            failures.push(format!("{pattern}: exit code {:?}, wanted 2 and {}", said.code, words.join(", ")));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// What a command that may fail said.
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

fn told(command: &mut Command) -> Result<Told, String> {
    let done = command.output().map_err(|why| format!("{}: {why}", command.get_program().display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Told { code: done.status.code(), out: text(&done.stdout), err: text(&done.stderr) })
}

/// A served bucket; it ends when this is dropped.
struct Bucket {
    server: Child,
    endpoint: String,
}

impl Bucket {
    /// Serves a folder's files as a bucket.
    fn serve(place: &Place, files: &Path) -> Result<Bucket, String> {
        let script = place.root.join("tests/s3/bucket.py");
        let mut python = Command::new(interpreter_of(place, ENVIRONMENT));
        without_variables(python.arg(&script).arg(BUCKET).arg(files));
        let server = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let server = server.map_err(|why| format!("{}: {why}", script.display()))?;
        let mut bucket = Bucket { server, endpoint: String::new() };
        let out = bucket.server.stdout.take().ok_or("the bucket has no output")?;
        BufReader::new(out).read_line(&mut bucket.endpoint).map_err(|why| format!("the bucket: {why}"))?;
        bucket.endpoint = bucket.endpoint.trim().to_owned();
        if bucket.endpoint.is_empty() {
            return Err(format!("{} ended before it served anything", script.display()));
        }
        Ok(bucket)
    }

    /// The command of someone who sees the bucket, and has these variables besides.
    fn command(&self, place: &Place, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(tidemill(place));
        without_variables(&mut command);
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_ALLOW_HTTP", "true");
        command.envs(variables.iter().copied());
        command
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
