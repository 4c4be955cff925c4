//! Batches over HTTP, one request at a time on each of a few connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemill_ports::{Clock, SystemClock};
use tidemill_tests::generator::Random;

use crate::{cpu_of, shape, told};

/// Sends `events` and says what the server took, up to the answers and until its feed is worked off.
pub fn send(address: &str, server: u32, events: usize, batch: usize, connections: usize) {
    let seed = SystemClock.now().micros().unsigned_abs();
    println!("seed {seed}: {events} events in batches of {batch} over {connections} connections");
    let bodies = bodies(seed, events, batch);
    let bytes: usize = bodies.iter().map(String::len).sum();
    let (server, clock) = (server.to_string(), SystemClock);
    let (cpu, client, started) = (cpu_of(&server), cpu_of("self"), clock.now().micros());
    let (next, again) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = TcpStream::connect(address).expect("the server listens");
                connection.set_nodelay(true).expect("a socket option");
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    again.fetch_add(post(&mut connection, body), Ordering::Relaxed);
                }
            });
        }
    });
    let took = (clock.now().micros() - started) as f64 / 1e6;
    let spent = cpu_of(&server) - cpu;
    println!(
        "answered: {:.2} s wall, {:.0} events/s ({} bytes an event, {} answers 429); server {:.2} CPU s, client {:.2}",
        took,
        events as f64 / took,
        bytes / events,
        again.load(Ordering::Relaxed),
        spent.as_secs_f64(),
        (cpu_of("self") - client).as_secs_f64(),
    );
    told("server, up to the last answer", events, spent);
    wait(address);
    told("server, until totals and pages have everything", events, cpu_of(&server) - cpu);
}

fn bodies(seed: u64, events: usize, batch: usize) -> Vec<String> {
    let (mut random, now) = (Random::of(seed), SystemClock.now());
    let mut bodies = Vec::new();
    for from in (0..events).step_by(batch) {
        let lines = from..events.min(from + batch);
        bodies.push(lines.map(|_| shape::line(&mut random, now)).collect());
    }
    bodies
}

/// Posts until it is taken; how often it was put off.
fn post(connection: &mut TcpStream, body: &str) -> u64 {
    let mut put_off = 0;
    loop {
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: tidemill\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all(head.as_bytes()).expect("the server reads");
        connection.write_all(body.as_bytes()).expect("the server reads");
        let (status, answer) = answer(connection);
        match status {
            200 => {
                assert!(answer.contains("\"rejected\":[]"), "{answer}");
                return put_off;
            }
            429 | 503 => std::thread::park_timeout(Duration::from_millis(200)),
            _ => panic!("{status}: {answer}"),
        }
        put_off += 1;
    }
}

fn answer(connection: &mut TcpStream) -> (u16, String) {
    let mut held = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = connection.read(&mut piece).expect("an answer");
        assert!(read > 0, "the server hung up");
        held.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&held);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        let length: usize = length.expect("a content-length");
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            return (status, body.to_owned());
        }
    }
}

/// Waits until the server says that neither consumer of the feed is behind.
fn wait(address: &str) {
    loop {
        let mut connection = TcpStream::connect(address).expect("the server listens");
        connection.write_all(b"GET /v1/status HTTP/1.1\r\nhost: tidemill\r\n\r\n").expect("the server reads");
        let (_, status) = answer(&mut connection);
        let lag = |field: &str| {
            let rest = status.split(&format!("\"{field}\":")).nth(1).unwrap_or_default();
            rest.split([',', '}']).next().and_then(|number| number.trim().parse::<i64>().ok()).unwrap_or(i64::MAX)
        };
        if lag("seal_lag_seconds") <= 0 && lag("totals_lag_seconds") <= 0 {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
}
