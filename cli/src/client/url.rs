//! URLs: base addresses and percent-encoding. Pure.

use crate::failure::Failure;

/// The base of a target, without a slash at its end: `http://host:port`.
pub fn base(target: &str) -> Result<String, Failure> {
    if target == "aws" {
        return Err(Failure::input("TM0910", "this version has no --target aws").help("use a URL or `local`"));
    }
    if target.starts_with("https://") {
        return Err(Failure::input("TM0910", "https targets need TLS, which this version does not speak")
            .help("use http:// through a tunnel or a proxy on this machine"));
    }
    let url = reqwest::Url::parse(target).ok().filter(|url| url.scheme() == "http" && url.host_str().is_some());
    if url.is_none() {
        return Err(Failure::input("TM0910", format!("`{target}` is neither `local` nor a URL"))
            .help("write it like http://127.0.0.1:7600"));
    }
    Ok(target.trim_end_matches('/').to_owned())
}

/// One path segment, encoded.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
        }
    }
    out
}

/// A path with its query.
pub fn with_query(path: &str, query: &[(String, String)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{}={}", segment(key), segment(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_unreserved_is_encoded() {
        assert_eq!(segment("a b/ü&=+%"), "a%20b%2F%C3%BC%26%3D%2B%25");
        let query = [("from".to_owned(), "2026-08-01T00:00:00+05:30".to_owned())];
        assert_eq!(with_query("/v1/x", &query), "/v1/x?from=2026-08-01T00%3A00%3A00%2B05%3A30");
        assert_eq!(with_query("/v1/x", &[]), "/v1/x");
    }

    #[test]
    fn a_target_is_a_plain_http_url() {
        assert_eq!(base("http://127.0.0.1:7600/").expect("a URL"), "http://127.0.0.1:7600");
        for wrong in ["7600", "ftp://x", "https://x", "aws", "http://"] {
            assert_eq!(base(wrong).expect_err(wrong).code, "TM0910");
        }
    }
}
