//! `reads`: how long it takes to read one number, while a thousand are asked for each second.
//!
//! In: days of so many events. Out: for each of them, quantiles of the time from when a request was due to when its
//! answer was there, over loopback HTTP with kept connections. A request that is due is sent whatever became of the
//! ones before it on other connections; one that has to wait for its connection is told with its waiting.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Method;
use clap::Parser;
use tidemill_benches::cell::{Started, Usage};
use tidemill_benches::engine::runtime;
use tidemill_benches::project::{FIRST, Project, target};
use tidemill_benches::wired::{ask, compute};
use tidemill_local::Store;
use tidemill_ports::SystemClock;
use tidemill_schemas::calendar::next;
use tidemill_schemas::request::Reason;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Of the rate asked for, below which latencies say nothing of the server.
const ATTAINED_MIN: f64 = 0.98;

const INSIGHT: &str = "insight: actors
type: standard
from: '*'
metrics:
  actors: count(distinct actor)
  typical: avg(duration_ms)
by: [country]
";

/// Latency of digests over HTTP.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of each day measured.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 10_000_000])]
    rows: Vec<u64>,
    /// Requests a second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Seconds measured, after one that is not.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    connections: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!(
        "{:>12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>14}",
        "events a day", "reads", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "CPU µs a read"
    );
    for rows in &arguments.rows {
        if let Err(why) = measure(&arguments, *rows) {
            eprintln!("reads: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments, rows: u64) -> Result<(), String> {
    let project = Project::of(&target()?.join("bench").join(format!("day-{rows}")), (rows, 1), 1, None)?;
    let server = runtime(1)?;
    // The store stays open while its router is served.
    let (_store, listener, router) = server.block_on(ready(&project))?;
    let address = listener.local_addr().map_err(|why| why.to_string())?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let until = async move {
            let _ended = stopped.await;
        };
        server.block_on(async { axum::serve(listener, router).with_graceful_shutdown(until).await })
    });
    let asked = runtime(1)?.block_on(all(arguments, address));
    let _told = stop.send(());
    serving.join().map_err(|_| "the server panicked".to_owned())?.map_err(|why| why.to_string())?;
    let (mut micros, Usage { wall, cpu }) = asked?;
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{rows:>12}{:>10}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>14.0}",
        micros.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        cpu / micros.len() as f64 * 1e6
    );
    let attained = micros.len() as f64 / wall;
    if attained < f64::from(arguments.rate) * ATTAINED_MIN {
        println!("  only {attained:.0} a second were answered: the machine is too busy, and what is told is waiting");
    }
    Ok(())
}

/// A router over a project whose day is computed, and an address to serve it on.
async fn ready(project: &Project) -> Result<(Arc<Store>, tokio::net::TcpListener, axum::Router), String> {
    let store = Arc::new(Store::open(&project.store, Arc::new(SystemClock)).map_err(|why| why.to_string())?);
    let context = Arc::new(store.context());
    let router = tidemill_api::router(context.clone(), true);
    let applied = ask(&router, Method::PUT, "/v1/insights/actors", "application/yaml", Body::from(INSIGHT)).await?;
    let fingerprint = applied["fingerprint"].as_str().ok_or("the definition has no fingerprint")?;
    compute(&context, "actors", fingerprint, FIRST, Reason::Rollup).await?;
    let answer = ask(&router, Method::GET, &path(), "", Body::empty()).await?;
    eprintln!("{answer}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|why| why.to_string())?;
    Ok((store, listener, router))
}

fn path() -> String {
    format!("/v1/insights/actors/digest?from={FIRST}&to={}", next(FIRST))
}

/// Every answer's microseconds, and what both sides used.
async fn all(arguments: &Arguments, address: SocketAddr) -> Result<(Vec<u64>, Usage), String> {
    let connections = arguments.connections.max(1);
    let every = Duration::from_secs(1) / arguments.rate.max(1);
    let warm = Duration::from_secs(1);
    let (begin, requests) = (now() + Duration::from_millis(50), arguments.rate * (arguments.seconds + 1));
    let mut clients = JoinSet::new();
    for client in 0..connections {
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut micros = Vec::new();
            for nth in (client..requests).step_by(connections as usize) {
                let due = begin + every * nth;
                tokio::time::sleep_until(due.into()).await;
                connection.get(&path()).await?;
                if due >= begin + warm {
                    micros.push(u64::try_from((now() - due).as_micros()).unwrap_or(u64::MAX));
                }
            }
            Ok::<_, String>(micros)
        });
    }
    tokio::time::sleep_until((begin + warm).into()).await;
    let started = Started::now();
    let mut all = Vec::new();
    while let Some(micros) = clients.join_next().await {
        all.extend(micros.map_err(|why| why.to_string())??);
    }
    Ok((all, started.usage()))
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

/// A kept connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(address: SocketAddr) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await.map_err(|why| why.to_string())?;
        stream.set_nodelay(true).map_err(|why| why.to_string())?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Asks, and reads the answer to its end.
    async fn get(&mut self, path: &str) -> Result<(), String> {
        let broken = |why: std::io::Error| why.to_string();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).await.map_err(broken)?;
        let (mut line, mut length, mut first) = (String::new(), 0, true);
        loop {
            line.clear();
            self.0.read_line(&mut line).await.map_err(broken)?;
            if first && !line.contains(" 200 ") {
                return Err(format!("answered {}", line.trim()));
            }
            first = false;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| format!("unreadable header {line}"))?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.map(|_| ()).map_err(broken)
    }
}
