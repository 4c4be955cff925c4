use axum::routing::{get, post};
use axum::{Json as Body, Router};

use super::*;
use crate::failure::Exit;

#[tokio::test]
async fn requests_go_straight_into_a_router() {
    async fn echo(axum::extract::RawQuery(query): axum::extract::RawQuery, body: String) -> String {
        format!("{}|{body}", query.unwrap_or_default())
    }
    let client = Client::of_router(Router::new().route("/v1/x", post(echo)));
    let request = Request::send(Method::POST, "/v1/x", "text/plain", "hello").with("a", "1 2");
    let response = client.ask(&request).await.expect("answered");
    assert_eq!(response.body, "a=1%202|hello");
}

#[tokio::test]
async fn an_error_body_is_a_failure() {
    let problem = (axum::http::StatusCode::NOT_FOUND, r#"{"code":"TM0301","message":"no insight `x`"}"#);
    let client = Client::of_router(Router::new().route("/v1/insights/x", get(move || async move { problem })));
    let failure = client.ask_json(&Request::get("/v1/insights/x")).await.expect_err("not found");
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::BadInput, "TM0301"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let busy = || async {
        if CALLS.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err((axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]));
        }
        Ok(Body(serde_json::json!({"ok": true})))
    };
    let client = Client::of_router(Router::new().route("/", get(busy)));
    let json = client.ask_json(&Request::get("/")).await.expect("answered at last");
    assert!(json.is_true_at("ok"));
    assert_eq!(CALLS.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn over_http_and_a_server_that_is_down() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().route("/healthz", get(|| async { "ok" }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::open(&base, None).await.expect("opened");
    assert_eq!(client.ask(&Request::get("/healthz")).await.expect("answered").body, "ok");
    server.abort();
    let _ = server.await;
    let client = Client::open("http://127.0.0.1:1", None).await.expect("opened");
    let failure = client.ask(&Request::get("/healthz")).await.expect_err("nobody is there");
    assert_eq!(failure.message, "cannot reach http://127.0.0.1:1: nothing answers there");
    assert_eq!(failure.exit, Exit::Failed);
}

#[tokio::test]
async fn a_left_over_server_file_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = Project { root: folder.path().to_path_buf(), settings: crate::settings::Settings::default() };
    assert_eq!(server_file::alive(&project).await, None);
    let announced = server_file::announce(&project, "http://127.0.0.1:1").expect("written");
    assert_eq!(server_file::alive(&project).await, None);
    drop(announced);
    assert!(!project.store().join("server.json").exists());
}
