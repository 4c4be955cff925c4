//! `GET /openapi.json`: what the interface answers, for tools.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::read::REPRESENTATIONS;

/// A route of the interface.
struct Route {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// The right a key needs; empty: none.
    right: &'static str,
    query: &'static [(&'static str, &'static str)],
    /// The media type of the body taken; empty: none.
    takes: &'static str,
    /// The status of success.
    status: &'static str,
    /// Whether it is answered in any of [`REPRESENTATIONS`].
    is_read: bool,
}

const READ_QUERY: &[(&str, &str)] = &[
    (
        "from",
        "first day: 2026-08-01, 2026-08 for the first of the month, RFC 3339 or epoch milliseconds at the start of a day in the insight's zone",
    ),
    ("to", "the first day behind the range, written alike"),
    ("last", "instead of from: 7d, 4w, 12m, 2q or 1y back from the newest event"),
    ("every", "day, week, month, quarter or year; without it the range is one row"),
    ("by", "columns of the definition's breakdown, separated by commas; * for all"),
    ("limit", "rows at most"),
    ("cursor", "`next` of the answer before"),
    ("partial", "allow (default) or refuse"),
    ("show", "of paths: paths (default) or transitions"),
    ("fingerprint", "of an earlier definition: its numbers, as far as they were computed"),
];

const fn route(path: &'static str, method: &'static str, right: &'static str, summary: &'static str) -> Route {
    Route { path, method, summary, right, query: &[], takes: "", status: "200", is_read: false }
}

fn routes() -> Vec<Route> {
    let read = |path, summary| Route { query: READ_QUERY, is_read: true, ..route(path, "get", "read", summary) };
    vec![
        Route {
            takes: "application/json",
            query: &[("source", "the source of events that name none")],
            ..route("/v1/events", "post", "write", "Send events: an object, an array or NDJSON, gzip or not")
        },
        Route {
            query: &[("from", "first UTC day"), ("to", "last UTC day"), ("source", "one source")],
            ..route("/v1/events", "get", "read", "The live events, one JSON object per line")
        },
        Route {
            query: &[("from", "first UTC day"), ("to", "last UTC day"), ("source", "one source")],
            ..route("/v1/events/days", "get", "read", "The sources and UTC days that have events")
        },
        Route {
            query: &[("source", "a source"), ("day", "a UTC day")],
            ..route("/v1/events/parquet", "get", "read", "A source's live events of a UTC day, as Parquet")
        },
        Route {
            query: &[("limit", "events at most"), ("cursor", "`next` of the answer before")],
            ..route("/v1/quarantine", "get", "admin", "Refused events with the reason")
        },
        Route { takes: "application/json", ..route("/v1/imports", "post", "write", "Open an import of files") },
        route("/v1/imports/{id}", "get", "write", "How far an import is"),
        route("/v1/imports/{id}", "delete", "write", "Drop an import that is not committed"),
        Route {
            takes: "application/vnd.apache.parquet",
            query: &[("name", "the file's name, for messages"), ("format", "parquet (the default) or ndjson")],
            ..route("/v1/imports/{id}/files/{nth}", "put", "write", "Upload a file of an import")
        },
        route("/v1/imports/{id}/commit", "post", "write", "Commit an import: all of its rows, or none"),
        route("/v1/sql", "get", "read", "Views for DuckDB over the pages"),
        Route { takes: "application/json", ..route("/v1/plan", "post", "read", "What applying files would change") },
        route("/v1/insights", "get", "read", "Every insight"),
        route("/v1/insights/{name}", "get", "read", "An insight with its text"),
        Route { takes: "application/yaml", ..route("/v1/insights/{name}", "put", "admin", "Apply a definition") },
        route("/v1/insights/{name}", "delete", "admin", "Remove an insight; its numbers stay"),
        route("/v1/insights/{name}/explain", "get", "read", "How an insight's numbers are made"),
        read("/v1/insights/{name}/digest", "The headline: one row"),
        read("/v1/insights/{name}/series", "A row per period, and per group with `by`"),
        read("/v1/insights/{name}/breakdown", "The groups of a range"),
        read("/v1/insights/{name}/steps", "Of a funnel: actors by step"),
        read("/v1/insights/{name}/matches", "Of a pattern: its matches"),
        read(
            "/v1/insights/{name}/paths",
            "Of paths: the ways taken most; with show=transitions, from station to station",
        ),
        read("/v1/insights/{name}/cohorts", "Of a cohort: who came back, by cohort and offset"),
        read("/v1/insights/{name}/correlations", "Of a correlation: coefficients by lag, or drivers"),
        read("/v1/insights/{name}/comparison", "Of a comparison: both sides, and the change"),
        Route {
            takes: "application/json",
            status: "202",
            ..route("/v1/backfills", "post", "admin", "Compute history: {insights, from, to, months, budget, dry_run}")
        },
        route("/v1/backfills", "get", "read", "The latest backfills"),
        route("/v1/backfills/{id}", "get", "read", "How far a backfill has come"),
        route("/v1/backfills/{id}", "delete", "admin", "Cancel a backfill; what is in flight may end"),
        Route {
            query: &[("budget", "units in flight at most")],
            ..route("/v1/backfills/{id}/resume", "post", "admin", "Go on, and run what failed once more")
        },
        route("/v1/keys", "get", "admin", "Every key, without secrets"),
        Route { takes: "application/json", ..route("/v1/keys", "post", "admin", "Make a key: {name, right, source}") },
        route("/v1/keys/{id}", "delete", "admin", "Revoke a key"),
        route("/v1/status", "get", "read", "How the system is"),
        route("/v1/compact", "post", "admin", "Rewrite the pages of a source's UTC day that is over"),
        route("/v1/clean", "post", "admin", "Remove blobs that nothing has referred to for a day"),
        route("/healthz", "get", "", "Whether the stores answer"),
        route("/metrics", "get", "read", "Prometheus metrics"),
        route("/openapi.json", "get", "", "This document"),
    ]
}

/// `GET /openapi.json`.
pub async fn openapi() -> Json<Value> {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let of_path = paths.entry(route.path).or_insert_with(|| json!({}));
        of_path[route.method] = operation(&route);
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tidemill",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Send events, define insights, read exact numbers. Numbers are exact decimals written as JSON numbers.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": problem_schema() },
        },
    }))
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for name in ["name", "id"] {
        if route.path.contains(&format!("{{{name}}}")) {
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        }
    }
    for (name, description) in route.query {
        let schema = json!({ "type": "string" });
        parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
    }
    let problem = json!({
        "description": "A problem",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": { route.status: { "description": "Done" }, "default": problem },
    });
    if route.is_read {
        operation["responses"]["200"] = read_response();
        operation["responses"]["304"] = json!({ "description": "The ETag in If-None-Match is still the answer's" });
    }
    if !route.right.is_empty() {
        operation["security"] = json!([{ "key": [] }]);
        operation["description"] = json!(format!("Takes a {} key; none on loopback.", route.right));
    }
    if !route.takes.is_empty() {
        operation["requestBody"] = json!({ "required": true, "content": { route.takes: {} } });
    }
    operation
}

/// The answer of a read, in whichever form `Accept` asks for.
fn read_response() -> Value {
    let content: Map<String, Value> =
        REPRESENTATIONS.into_iter().map(|form| (form.media_type().to_owned(), json!({}))).collect();
    let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "description": "Done",
        "content": content,
        "headers": {
            "ETag": header("Strong; of this form of the answer"),
            "Tidemill-Partial": header("true when days are missing; in every form but JSON, which says so itself"),
            "Tidemill-Complete-Through": header("everything before this instant is in; in every form but JSON"),
            "Tidemill-Next": header("the `cursor` of the next slice, if there is one; in every form but JSON"),
        },
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "message", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "description": "stable, TM0123" },
            "message": { "type": "string" },
            "detail": {},
        },
    })
}
