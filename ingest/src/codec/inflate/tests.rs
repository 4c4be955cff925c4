use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn plain_bytes_pass_and_gzip_is_told_by_its_magic() {
    assert_eq!(inflate(b"{}").unwrap(), Cow::Borrowed(b"{}"));
    assert_eq!(inflate(b"").unwrap().len(), 0);
    assert_eq!(inflate(&gzip(b"hello")).unwrap().as_ref(), b"hello");
}

#[test]
fn several_members_are_one_stream() {
    let mut body = gzip(b"one\n");
    body.extend(gzip(b"two\n"));
    assert_eq!(inflate(&body).unwrap().as_ref(), b"one\ntwo\n");
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = gzip(&vec![b' '; REQUEST_BYTES_MAX + 1]);
    assert_eq!(inflate(&bomb), Err(BodyError::TooLarge));
    assert_eq!(inflate(&gzip(&vec![b' '; REQUEST_BYTES_MAX])).unwrap().len(), REQUEST_BYTES_MAX);
    assert_eq!(inflate(&vec![b' '; REQUEST_BYTES_MAX + 1]), Err(BodyError::TooLarge));
}

#[test]
fn a_cut_stream_is_told() {
    let mut body = gzip(b"hello world, hello world");
    body.truncate(body.len() - 9);
    assert!(matches!(inflate(&body), Err(BodyError::Gzip(_))));
}
