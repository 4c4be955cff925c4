//! The client: every command speaks the HTTP API through it.
//!
//! In: a [`Request`]. Out: a [`Response`], or a failure that says what to do. It goes to the server that runs on the
//! project or to `--target URL`; where there is none, straight into the same router in this process.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tower::ServiceExt;

use crate::deployment;
use crate::failure::Failure;
use crate::json::Json;
use crate::local::{Local, Progress};
use crate::project::Project;
use crate::terminal::Terminal;

pub mod server_file;
pub mod url;

/// Bytes of one answer that are held in memory.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Seconds a connection may take.
const CONNECT_SECONDS_MAX: u64 = 5;
/// Times a request is sent while the server says 429 or 503.
const ATTEMPTS_MAX: u32 = 30;
/// Seconds waited at most before sending again.
const RETRY_SECONDS_MAX: u64 = 30;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: Method,
    /// The path, encoded: see [`url::segment`].
    pub path: String,
    /// Query parameters, as they are meant.
    pub query: Vec<(String, String)>,
    /// The body's type; empty when there is no body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A read.
    pub fn get(path: impl Into<String>) -> Request {
        Request { method: Method::GET, path: path.into(), query: Vec::new(), content_type: "", body: Bytes::new() }
    }

    /// Something sent.
    pub fn send(
        method: Method,
        path: impl Into<String>,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Request {
        Request { method, content_type, body: body.into(), ..Request::get(path) }
    }

    /// The same with one more query parameter.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Request {
        self.query.push((key.to_owned(), value.into()));
        self
    }

    fn target(&self) -> String {
        url::with_query(&self.path, &self.query)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The body as JSON.
    pub fn json(&self) -> Result<Json, Failure> {
        Json::parse(&self.body).ok_or_else(|| {
            Failure::failed("TM0904", "the answer is no JSON").help("does the target run the same version of tidemill?")
        })
    }

    /// Seconds to wait when the server said 429 or 503.
    fn retry_after(&self) -> Option<Duration> {
        if !matches!(self.status, 429 | 503) {
            return None;
        }
        let seconds = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Some(Duration::from_secs(seconds.unwrap_or(1).min(RETRY_SECONDS_MAX)))
    }
}

#[derive(Clone)]
enum Door {
    Remote { base: String, http: reqwest::Client },
    Router(axum::Router),
}

/// Sends requests; cheap to clone into tasks.
#[derive(Clone)]
pub struct Caller {
    door: Door,
    key: Option<String>,
}

/// Speaks to a server, or to the router in this process, whose stores it then holds open.
pub struct Client {
    caller: Caller,
    local: Option<Box<Local>>,
}

impl Client {
    /// To `target` (`local`, a URL, or `aws`); `local` means the server that runs on the project, else this process.
    pub async fn open(target: &str, project: Option<&Project>) -> Result<Client, Failure> {
        let key = std::env::var("TIDEMILL_KEY").ok().filter(|key| !key.is_empty());
        if let Some(stack) = deployment::stack_of(target) {
            // Whoever may use the account's stores needs no key of ours.
            let caller = Caller { door: Door::Router(deployment::router(stack).await?), key: None };
            return Ok(Client { caller, local: None });
        }
        if target != "local" {
            return Ok(Client { caller: Caller { door: remote(&url::base(target)?)?, key }, local: None });
        }
        let Some(project) = project else {
            return Err(Failure::input("TM0901", "a project is needed").help("make one with `tidemill init`"));
        };
        if let Some(base) = server_file::alive(project).await {
            return Ok(Client { caller: Caller { door: remote(&base)?, key }, local: None });
        }
        let local = Local::open(project).await?;
        // A key is for a server; in this process everything is open.
        let caller = Caller { door: Door::Router(local.router()), key: None };
        Ok(Client { caller, local: Some(Box::new(local)) })
    }

    /// Straight into a router; for tests.
    #[cfg(test)]
    pub fn of_router(router: axum::Router) -> Client {
        Client { caller: Caller { door: Door::Router(router), key: None }, local: None }
    }

    /// What sends requests.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// The stores opened in this process, when there is no server.
    pub fn local(&self) -> Option<&Local> {
        self.local.as_deref()
    }

    /// Where requests go, for people; `None` when they stay in this process.
    pub fn address(&self) -> Option<&str> {
        match &self.caller.door {
            Door::Remote { base, .. } => Some(base),
            Door::Router(_) => None,
        }
    }

    /// Gives the opened stores back, to serve them.
    pub fn into_local(self) -> Option<Local> {
        self.local.map(|local| *local)
    }

    /// See [`Caller::ask`].
    pub async fn ask(&self, request: &Request) -> Result<Response, Failure> {
        self.caller.ask(request).await
    }

    /// Sends a request and reads the answer as JSON.
    pub async fn ask_json(&self, request: &Request) -> Result<Json, Failure> {
        self.ask(request).await?.json()
    }

    /// Without a server: brings totals and pages up to date with what was sent.
    pub async fn drain_feed(&self, terminal: &Terminal) -> Result<(), Failure> {
        let Some(local) = self.local() else { return Ok(()) };
        let spinner = terminal.spinner("sealing pages and running totals");
        let drained = local.drain_feed().await;
        spinner.finish_and_clear();
        drained
    }

    /// Without a server: does everything that is due before something is read.
    pub async fn drain(&self, terminal: &Terminal) -> Result<(), Failure> {
        let Some(local) = self.local() else { return Ok(()) };
        let bar = terminal.bar(0, "computing", false);
        let drained = local
            .drain(&mut |progress: Progress| {
                bar.set_message(progress.what);
                bar.set_length(progress.total);
                bar.set_position(progress.done);
            })
            .await;
        bar.finish_and_clear();
        drained
    }
}

impl Caller {
    /// Sends a request, again while the server says that it is busy. Any status comes back as a response.
    pub async fn request(&self, request: &Request) -> Result<Response, Failure> {
        self.request_telling(request, &|_, _| {}).await
    }

    /// The same, and tells what it waits for, and how long, each time before it waits.
    async fn request_telling(
        &self,
        request: &Request,
        on_wait: &(dyn Fn(&Response, Duration) + Sync),
    ) -> Result<Response, Failure> {
        for _ in 1..ATTEMPTS_MAX {
            let response = self.request_once(request).await?;
            let Some(wait) = response.retry_after() else { return Ok(response) };
            on_wait(&response, wait);
            tokio::time::sleep(wait).await;
        }
        self.request_once(request).await
    }

    /// Sends a request; a status of 400 or more is a failure.
    pub async fn ask(&self, request: &Request) -> Result<Response, Failure> {
        self.ask_telling(request, &|_, _| {}).await
    }

    /// The same, and tells what it waits for, and how long, each time before it waits.
    pub async fn ask_telling(
        &self,
        request: &Request,
        on_wait: &(dyn Fn(&Response, Duration) + Sync),
    ) -> Result<Response, Failure> {
        let response = self.request_telling(request, on_wait).await?;
        if response.status >= 400 {
            return Err(Failure::of_response(response.status, &response.body));
        }
        Ok(response)
    }

    /// Sends a body of any length, once: it cannot be read again. A status of 400 or more is a failure.
    pub async fn upload(
        &self,
        request: &Request,
        body: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<Response, Failure> {
        let response = match &self.door {
            Door::Remote { base, http } => {
                let call = http.request(request.method.clone(), format!("{base}{}", request.target()));
                self.finish_remote(base, call.body(reqwest::Body::wrap_stream(body))).await?
            }
            Door::Router(router) => self.finish_in_process(router.clone(), request, Body::from_stream(body)).await?,
        };
        if response.status >= 400 {
            return Err(Failure::of_response(response.status, &response.body));
        }
        Ok(response)
    }

    /// Whether requests stay in this process, which reads the same files.
    pub fn is_here(&self) -> bool {
        matches!(self.door, Door::Router(_))
    }

    /// Names a file of this machine instead of sending it; only where requests stay in this process.
    pub async fn name_file(&self, request: &Request, path: std::path::PathBuf) -> Result<Response, Failure> {
        let Door::Router(router) = &self.door else {
            return Err(Failure::failed("TM0908", "a file can only be named where no network is between"));
        };
        let router = router.clone().layer(axum::Extension(tidemill_api::imports::FileHere(path)));
        let response = self.finish_in_process(router, request, Body::empty()).await?;
        if response.status >= 400 {
            return Err(Failure::of_response(response.status, &response.body));
        }
        Ok(response)
    }

    /// The answer's body as it comes, of any length. A status of 400 or more is a failure.
    pub async fn download(&self, request: &Request) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Failure> {
        let (status, body): (u16, BoxStream<'static, std::io::Result<Bytes>>) = match &self.door {
            Door::Remote { base, http } => {
                let mut call = http.request(request.method.clone(), format!("{base}{}", request.target()));
                if let Some(key) = &self.key {
                    call = call.header(header::AUTHORIZATION, format!("Bearer {key}"));
                }
                let response = call.send().await.map_err(|error| unreachable(base, &error))?;
                (response.status().as_u16(), response.bytes_stream().map_err(std::io::Error::other).boxed())
            }
            Door::Router(router) => {
                let call = axum::http::Request::builder().method(request.method.clone()).uri(request.target());
                let call = call.body(Body::empty());
                let call = call.map_err(|error| Failure::input("TM0908", format!("not a valid request: {error}")))?;
                let response = router.clone().oneshot(call).await.map_err(|never| match never {})?;
                let (parts, body) = response.into_parts();
                (parts.status.as_u16(), body.into_data_stream().map_err(std::io::Error::other).boxed())
            }
        };
        if status >= 400 {
            let body: Vec<Bytes> = body.try_collect().await.map_err(|error| broken_off(&error))?;
            return Err(Failure::of_response(status, &body.concat()));
        }
        Ok(body)
    }

    async fn request_once(&self, request: &Request) -> Result<Response, Failure> {
        match &self.door {
            Door::Remote { base, http } => self.over_http(base, http, request).await,
            Door::Router(router) => self.in_process(router.clone(), request).await,
        }
    }

    async fn over_http(&self, base: &str, http: &reqwest::Client, request: &Request) -> Result<Response, Failure> {
        let mut call = http.request(request.method.clone(), format!("{base}{}", request.target()));
        if !request.content_type.is_empty() {
            call = call.header(header::CONTENT_TYPE, request.content_type).body(request.body.clone());
        }
        self.finish_remote(base, call).await
    }

    async fn finish_remote(&self, base: &str, call: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let call = match &self.key {
            Some(key) => call.header(header::AUTHORIZATION, format!("Bearer {key}")),
            None => call,
        };
        let unreachable = |error: reqwest::Error| unreachable(base, &error);
        let response = call.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Response { status, headers, body: response.bytes().await.map_err(unreachable)? })
    }

    async fn in_process(&self, router: axum::Router, request: &Request) -> Result<Response, Failure> {
        self.finish_in_process(router, request, Body::from(request.body.clone())).await
    }

    async fn finish_in_process(
        &self,
        router: axum::Router,
        request: &Request,
        body: Body,
    ) -> Result<Response, Failure> {
        let mut call = axum::http::Request::builder().method(request.method.clone()).uri(request.target());
        if let Some(key) = &self.key {
            call = call.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if !request.content_type.is_empty() {
            call = call.header(header::CONTENT_TYPE, request.content_type);
        }
        let call = call.body(body);
        let call = call.map_err(|error| Failure::input("TM0908", format!("not a valid request: {error}")))?;
        let response = router.oneshot(call).await.map_err(|never| match never {})?;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, RESPONSE_BYTES_MAX).await;
        let body = body.map_err(|error| Failure::failed("TM0904", format!("the answer broke off: {error}")))?;
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

/// A body that ended before its end.
pub fn broken_off(error: &std::io::Error) -> Failure {
    Failure::failed("TM0904", format!("the answer broke off: {error}"))
}

fn remote(base: &str) -> Result<Door, Failure> {
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX)).build();
    let http = http.map_err(|error| Failure::failed("TM0909", format!("no HTTP client: {error}")))?;
    Ok(Door::Remote { base: base.to_owned(), http })
}

fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let why = if error.is_connect() {
        "nothing answers there"
    } else if error.is_timeout() {
        "it did not answer in time"
    } else {
        "the connection broke off"
    };
    Failure::failed("TM0909", format!("cannot reach {base}: {why}"))
        .help("start a server with `tidemill up`, or leave --target out to work without one")
}

#[cfg(test)]
mod tests;
