//! S3 Express One Zone on this machine: a door before an emulator's bucket that behaves as a directory bucket does.
//!
//! It gives out sessions and refuses requests without one of them; it refuses to list from somewhere on, or
//! under a prefix that does not end in `/`, lists in no order, and has ETags that are no digest of the content. What it
//! keeps, the emulator keeps. In: an emulator. Out: a bucket behind the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

use crate::emulator::Emulator;

/// Bytes of one object.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A served directory bucket.
pub struct Express {
    /// Where it answers.
    pub endpoint: String,
    served: tokio::task::JoinHandle<()>,
}

impl Drop for Express {
    fn drop(&mut self) {
        self.served.abort();
    }
}

struct Door {
    emulator: String,
    http: reqwest::Client,
    asked: AtomicU64,
}

impl Express {
    /// Serves one before an emulator.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn serve(emulator: &Emulator) -> Express {
        let door =
            Door { emulator: emulator.endpoint().to_owned(), http: reqwest::Client::new(), asked: AtomicU64::new(0) };
        let router = Router::new().fallback(pass).with_state(Arc::new(door));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let served = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Express { endpoint, served }
    }

    /// What carries requests here, those for sessions too, which go to AWS's own host whatever the endpoint is.
    pub fn connector(&self) -> Arc<dyn HttpConnector> {
        Arc::new(Here(self.endpoint.clone()))
    }
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    match answer(&door, request).await {
        Ok(response) => response,
        Err((status, code)) => (status, format!("<Error><Code>{code}</Code></Error>")).into_response(),
    }
}

type Refusal = (StatusCode, &'static str);

async fn answer(door: &Door, request: Request) -> Result<Response, Refusal> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let now = door.asked.fetch_add(1, Ordering::Relaxed);
    if query.split('&').any(|part| part.trim_end_matches('=') == "session") {
        return Ok(session(now));
    }
    let token = request.headers().get("x-amz-s3session-token").and_then(|token| token.to_str().ok());
    let token = token.ok_or((StatusCode::BAD_REQUEST, "MissingSessionToken"))?;
    let since = token.parse::<u64>().map_err(|_| (StatusCode::FORBIDDEN, "InvalidToken"))?;
    if since >= now {
        return Err((StatusCode::FORBIDDEN, "InvalidToken"));
    }
    let part = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    if request.method() == Method::GET && part("list-type").is_some() {
        if part("start-after").is_some() {
            return Err((StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
        }
        if part("prefix").is_some_and(|prefix| !prefix.is_empty() && !prefix.ends_with("%2F") && !prefix.ends_with('/'))
        {
            return Err((StatusCode::BAD_REQUEST, "InvalidRequest"));
        }
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| (StatusCode::BAD_REQUEST, "IncompleteBody"))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut call = door.http.request(parts.method.clone(), format!("{}{path}", door.emulator)).body(body);
    for (name, value) in &parts.headers {
        if name != header::HOST && name != header::CONTENT_LENGTH && name != "x-amz-s3session-token" {
            call = call.header(name, value);
        }
    }
    let unreachable = (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
    let answered = call.send().await.map_err(|_| unreachable)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answered.status();
    for (name, value) in answered.headers() {
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING || parts.method == Method::HEAD {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if let Some(etag) = response.headers().get(header::ETAG) {
        let other = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(etag.as_bytes()));
        response.headers_mut().insert(header::ETAG, HeaderValue::from_str(&other).map_err(|_| unreachable)?);
    }
    let bytes = answered.bytes().await.map_err(|_| unreachable)?;
    let listed = part("list-type").is_some() && parts.method == Method::GET;
    *response.body_mut() = if listed { shuffled(&bytes) } else { Body::from(bytes) };
    Ok(response)
}

/// A session, named by when it was given out.
fn session(now: u64) -> Response {
    let body = format!(
        "<CreateSessionResult><Credentials><SessionToken>{now}</SessionToken><SecretAccessKey>secret\
         </SecretAccessKey><AccessKeyId>id</AccessKeyId><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </CreateSessionResult>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// A listing whose entries come in another order.
fn shuffled(listing: &[u8]) -> Body {
    let text = String::from_utf8_lossy(listing).into_owned();
    let (start, end) = ("<Contents>", "</Contents>");
    let (Some(first), Some(last)) = (text.find(start), text.rfind(end)) else { return Body::from(text) };
    let entries = &text[first..last + end.len()];
    let mut entries: Vec<&str> = entries.split_inclusive(end).collect();
    entries.sort_by_key(|entry| xxhash_rust::xxh3::xxh3_64(entry.as_bytes()));
    Body::from(format!("{}{}{}", &text[..first], entries.concat(), &text[last + end.len()..]))
}

/// Carries every request to one address.
#[derive(Debug)]
struct Here(String);

impl HttpConnector for Here {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(&options.clone().with_allow_http(true))?;
        Ok(HttpClient::new(Rewritten { to: self.0.clone(), client }))
    }
}

#[derive(Debug)]
struct Rewritten {
    to: String,
    client: HttpClient,
}

#[async_trait]
impl HttpService for Rewritten {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("{}{path}", self.to).parse::<Uri>().expect("an address and a path");
        self.client.execute(request).await
    }
}
