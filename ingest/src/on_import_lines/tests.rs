use super::*;

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// All text of a file, piece by piece, and how many lines were too long.
fn all(path: &PathBuf) -> (Vec<u8>, usize, usize) {
    let (file, mut bytes, mut too_long) = (open(path).expect("opened"), Vec::new(), 0);
    let mut first = 0;
    for piece in file.pieces() {
        assert_eq!(piece.first_line, first);
        let mut found = 0;
        for text in texts(path, piece.start, piece.end).expect("opened") {
            let text = text.expect("read");
            found += text.lines();
            too_long += usize::from(text.too_long.is_some());
            if text.too_long.is_none() {
                bytes.extend_from_slice(&text.bytes);
            }
        }
        assert_eq!(found, piece.lines);
        first += found;
    }
    assert_eq!(first, file.lines());
    (bytes, file.pieces.len(), too_long)
}

#[test]
fn every_line_is_in_one_piece() {
    let mut whole = Vec::new();
    for nth in 0..40_000 {
        whole.extend_from_slice(format!("{nth} {}\n", "x".repeat(nth * 7 % 2_000)).as_bytes());
    }
    whole.extend_from_slice(b"no line end");
    let (_folder, path) = written("a.ndjson", &whole);
    let (read, pieces, too_long) = all(&path);
    assert!(read == whole);
    assert!(pieces > 1, "{pieces}");
    assert_eq!(too_long, 0);
}

#[test]
fn a_line_without_end_is_passed_over() {
    let mut whole = b"first\n".to_vec();
    whole.extend(std::iter::repeat_n(b'y', 3 * LINE_BYTES_MAX));
    whole.extend_from_slice(b"\nlast\n\n");
    let (_folder, path) = written("a.ndjson", &whole);
    let (read, _, too_long) = all(&path);
    assert_eq!((read.as_slice(), too_long), (b"first\nlast\n\n".as_slice(), 1));
    let (_folder, path) = written("b.ndjson", &whole[..whole.len() - 8]);
    assert_eq!(all(&path).2, 1);
}

#[test]
fn what_is_packed_is_unpacked_and_what_is_cut_off_is_told() {
    let plain = b"{}\n{}\n".repeat(1_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("packed");
    let packed = [gzip.finish().expect("packed"), zstd::encode_all(plain.as_slice(), 1).expect("packed")];
    for (bytes, kind) in packed.iter().zip(["gzip", "zstd"]) {
        let (folder, path) = written("a", bytes);
        let to = folder.path().join("b");
        assert_eq!(unpack(&path, &to), Ok(true));
        assert!(std::fs::read(&to).expect("read") == plain);
        std::fs::write(&path, &bytes[..bytes.len() - 4]).expect("written");
        let suspect = unpack(&path, &to).expect_err("it is cut off");
        assert!(suspect.reason.contains(kind), "{}", suspect.reason);
    }
    let (folder, path) = written("a", &plain);
    assert_eq!(unpack(&path, &folder.path().join("b")), Ok(false));
    assert_eq!(open(&folder.path().join("b")).expect_err("there is none").row_group, None);
    let (_folder, empty) = written("e", b"");
    assert_eq!(open(&empty).expect("opened").lines(), 0);
}
