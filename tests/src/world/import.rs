//! Imports into a world, over HTTP like everything else.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

use super::{World, json};

impl World {
    /// Opens an import and uploads files; its path.
    ///
    /// # Panics
    /// When an upload is refused as a request.
    pub async fn upload(&self, map: &str, files: &[Vec<u8>]) -> String {
        let map = (!map.is_empty()).then_some(map);
        let body = serde_json::json!({ "map": map }).to_string();
        let begun = json(&self.must("POST", "/v1/imports", &body).await);
        let path = format!("/v1/imports/{}", begun["id"].as_str().expect("an id"));
        for (nth, file) in files.iter().enumerate() {
            let (status, answer) =
                self.call("PUT", &format!("{path}/files/{nth}?name=f{nth}"), None, file.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        path
    }

    /// Imports NDJSON, a file each; the receipt.
    pub async fn import_lines(&self, files: &[String]) -> serde_json::Value {
        let begun = json(&self.must("POST", "/v1/imports", "{}").await);
        let path = format!("/v1/imports/{}", begun["id"].as_str().expect("an id"));
        for (nth, file) in files.iter().enumerate() {
            let put = format!("{path}/files/{nth}?name=f{nth}&format=ndjson");
            let (status, answer) = self.call("PUT", &put, None, file.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        json(&self.must("POST", &format!("{path}/commit"), "").await)
    }

    /// The bytes of a read that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let request = Request::builder().uri(path).body(Body::empty()).expect("tests build requests");
        let Ok(response) = self.router.clone().oneshot(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        to_bytes(response.into_body(), usize::MAX).await.expect("answers end").to_vec()
    }

    /// Imports Parquet files; the receipt. A commit that fails is sent again.
    pub async fn import(&self, map: &str, files: &[Vec<u8>]) -> serde_json::Value {
        let path = self.upload(map, files).await;
        json(&self.must("POST", &format!("{path}/commit"), "").await)
    }
}
