//! Who may import whom, and what only `on_*.rs` and `*_store.rs` may do.

use super::repository::{File, complain, files};

/// Crate (by folder) → our crates it may depend on, dev-dependencies included.
const MAY_IMPORT: [(&str, &[&str]); 13] = [
    ("schemas", &[]),
    ("infra/ports", &["schemas"]),
    ("infra/local", &["schemas", "ports"]),
    ("infra/aws", &["schemas", "ports"]),
    ("infra/lambda", &["schemas", "ports", "aws", "ingest", "aggregator", "rollups", "api"]),
    ("ingest", &["schemas", "ports"]),
    ("aggregator", &["schemas", "ports", "ingest"]),
    ("rollups", &["schemas", "ports", "ingest", "aggregator"]),
    ("api", &["schemas", "ports", "ingest", "aggregator", "rollups"]),
    ("cli", &["schemas", "ports", "local", "aws", "ingest", "aggregator", "rollups", "api"]),
    ("tests", &["schemas", "ports", "local", "aws", "lambda", "ingest", "aggregator", "rollups", "api", "cli"]),
    ("benches", &["schemas", "ports", "local", "ingest", "aggregator", "rollups", "api", "tests"]),
    ("ci", &[]),
];

/// The crates whose files are pure unless their name says otherwise.
const PURE: [&str; 4] = ["schemas/", "ingest/", "aggregator/", "rollups/"];

/// What a pure file never says: ports, storage, clocks, I/O, threads, async.
const IMPURE: [&str; 16] = [
    "async fn",
    "async move",
    "async |",
    ".await",
    "tokio",
    "futures::",
    "object_store",
    "tidemill_ports",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
];

fn tables(manifest: &File) -> Vec<String> {
    let parsed: toml::Table = manifest.text.parse().unwrap_or_else(|why| panic!("{}: {why}", manifest.path));
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| parsed.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

#[test]
fn crates_import_along_the_chain() {
    let mut complaints = Vec::new();
    for manifest in files(&["Cargo.toml"]).iter().filter(|file| file.path != "Cargo.toml") {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(crate_folder, _)| *crate_folder == folder) else {
            complaints.push(format!("{}: a crate the import table does not know; add it there", manifest.path));
            continue;
        };
        let package = format!("name = \"tidemill-{}\"", folder.rsplit('/').next().unwrap_or_default());
        if !manifest.text.contains(&package) {
            complaints.push(format!("{}: the package must be called by its folder: {package}", manifest.path));
        }
        for dependency in tables(manifest) {
            match dependency.strip_prefix("tidemill-") {
                Some(ours) if !allowed.contains(&ours) => {
                    complaints.push(format!("{}: may not import {dependency}", manifest.path));
                }
                None if dependency.starts_with("aws") && !["infra/aws", "infra/lambda"].contains(&folder) => {
                    complaints.push(format!("{}: {dependency} belongs into infra/aws or infra/lambda", manifest.path));
                }
                _ => {}
            }
        }
        if folder == "ci" && !tables(manifest).is_empty() {
            complaints.push("ci/Cargo.toml: ci has no dependencies".to_owned());
        }
    }
    complain(complaints);
}

#[test]
fn only_handlers_and_stores_touch_the_outside() {
    let mut complaints = Vec::new();
    for file in files(&[".rs"]) {
        let outside = file.name().starts_with("on_") || file.name().ends_with("_store.rs") || file.is_test();
        if outside || !PURE.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        for (number, line) in file.lines() {
            let code = line.split("//").next().unwrap_or_default();
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                let path = &file.path;
                complaints.push(format!("{path}:{number}: `{word}` in a pure file; only on_*.rs and *_store.rs may"));
            }
        }
    }
    complain(complaints);
}

#[test]
fn dependencies_come_from_the_public_registries() {
    let mut complaints = Vec::new();
    let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
    let allowed = [
        "crates.io",
        "index.crates.io",
        "static.crates.io",
        "pypi.org",
        "files.pythonhosted.org",
        "registry.npmjs.org",
    ];
    let suspicious = ["registry", "mirror", "proxy", "artifact", "nexus", "wheel", "pypi", "npm"];
    for file in files(&[]) {
        for (number, line) in file.lines() {
            let at = format!("{}:{number}", file.path);
            if file.name() == "Cargo.lock" && line.starts_with("source =") && !line.contains(crates_io) {
                complaints.push(format!("{at}: {line}"));
            }
            if line.starts_with("[source.") || line.starts_with("--index-url") || line.starts_with("--find-links") {
                complaints.push(format!("{at}: settings of one machine: {line}"));
            }
            for url in line.split("://").skip(1) {
                let host: String = url.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
                if suspicious.iter().any(|word| host.contains(word)) && !allowed.contains(&host.as_str()) {
                    complaints.push(format!("{at}: `{host}` is no public registry"));
                }
            }
        }
    }
    complain(complaints);
}
