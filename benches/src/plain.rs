//! Pages as peers like them best: the same bytes, but for one key of the footer.
//!
//! A page's footer holds the Arrow schema it was written from, in which texts are dictionaries. Polars and DataFusion
//! take that as an order to read dictionaries, and are up to twice as slow for it. Here the key has another name, so
//! that they read texts as they read them from anyone's files. DuckDB and ClickHouse do not look at it.

use std::fs;
use std::path::Path;

/// The key, and what it is called instead.
const KEYS: (&[u8], &[u8]) = (b"ARROW:schema", b"-RROW:schema");
/// The footer's length and the magic at a file's end.
const TAIL_BYTES: usize = 8;

/// Copies a page without the hint.
///
/// # Errors
/// In words: it cannot be read or written, or is no Parquet file.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut bytes = fs::read(from).map_err(|why| format!("{}: {why}", from.display()))?;
    let footer = footer(&mut bytes).ok_or_else(|| format!("{}: not a Parquet file", from.display()))?;
    let found: Vec<usize> =
        footer.windows(KEYS.0.len()).enumerate().filter_map(|(at, word)| (word == KEYS.0).then_some(at)).collect();
    for at in found {
        footer[at..at + KEYS.1.len()].copy_from_slice(KEYS.1);
    }
    fs::write(to, bytes).map_err(|why| format!("{}: {why}", to.display()))
}

fn footer(bytes: &mut [u8]) -> Option<&mut [u8]> {
    let end = bytes.len().checked_sub(TAIL_BYTES)?;
    let length = u32::from_le_bytes(bytes.get(end..end + 4)?.try_into().ok()?);
    let start = end.checked_sub(usize::try_from(length).ok()?)?;
    bytes.get_mut(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_footer_changes() {
        let mut file = b"PAR1 ARROW:schema in a column".to_vec();
        let begins = file.len();
        file.extend(b"footer ARROW:schema ...");
        let length = u32::try_from(file.len() - begins).expect("short");
        file.extend(length.to_le_bytes());
        file.extend(b"PAR1");
        let folder = std::env::temp_dir().join(format!("tidemill-plain-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::write(&from, &file).expect("written");
        copy(&from, &to).expect("copied");
        let copied = fs::read(&to).expect("read");
        assert_eq!(copied[..begins], file[..begins]);
        assert!(copied[begins..].starts_with(b"footer -RROW:schema ..."));
        assert_eq!(copied.len(), file.len());
        fs::write(&from, b"no").expect("written");
        assert!(copy(&from, &to).is_err());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
