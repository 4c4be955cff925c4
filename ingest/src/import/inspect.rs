//! Inspection: what a Parquet file claims about itself, before anything is allocated for it.
//!
//! In: the bytes of a file that anybody may have made. Out: its metadata and the batch size that is safe, or the row
//! group and column that is not. Every data page's header is read and no page's content, but where the codec would
//! inflate without a bound. Nothing here trusts a number that it has not compared with another one.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use super::thrift::{self, PageHeader};

/// Bytes of a file's footer.
pub const FOOTER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one data page or dictionary, inflated.
pub const INFLATED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of the dictionaries and largest pages of a row group's columns, inflated, together: they are held at once.
pub const GROUP_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Columns of a file, nested ones counted by their leaves.
pub const COLUMNS_MAX: usize = 4_096;
/// Rows of one file.
pub const FILE_ROWS_MAX: u64 = 1 << 32;
/// Values of one column in one row group where rows hold lists.
pub const LIST_VALUES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a page that are held for each row of a batch, at most, in columns whose values repeat others' beginnings.
const PREFIX_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Rows of one batch.
pub const IMPORT_BATCH_ROWS: usize = 8_192;
/// Bytes of a page's header.
const HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read for a header at first.
const HEADER_BYTES_GUESS: usize = 512;
/// What gzip inflates one byte to, at most.
const GZIP_RATIO_MAX: u64 = 1_032;
/// Compressed bytes of a page in the old LZ4 framing, whose reader knows no bound.
const LZ4_FRAME_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The row group, from 0.
    pub row_group: Option<usize>,
    /// The column, with dots.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Suspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(row_group) = self.row_group {
            write!(f, "row group {row_group}, ")?;
        }
        if let Some(column) = &self.column {
            write!(f, "column `{}`: ", column.escape_debug())?;
        }
        f.write_str(&self.reason)
    }
}

fn whole(reason: impl Into<String>) -> Suspect {
    Suspect { row_group: None, column: None, reason: reason.into() }
}

/// A file that passed.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Its footer.
    pub metadata: ParquetMetaData,
    /// Rows, as its row groups say.
    pub rows: u64,
    /// Rows that may be held at once.
    pub batch_rows: usize,
}

/// Reads the footer and checks it against the file.
///
/// # Errors
/// What is wrong with it.
pub fn footer<R: ChunkReader>(file: &R) -> Result<ParquetMetaData, Suspect> {
    let length = file.len();
    if length < 12 {
        return Err(whole(format!("{length} bytes are no Parquet file")));
    }
    let tail = file.get_bytes(length - 8, 8).map_err(|why| whole(why.to_string()))?;
    let head = file.get_bytes(0, 4).map_err(|why| whole(why.to_string()))?;
    if &head[..] == b"PARE" || &tail[4..] == b"PARE" {
        return Err(whole("the file is encrypted; write it without encryption"));
    }
    if &head[..] != b"PAR1" || &tail[4..] != b"PAR1" {
        let side = if &head[..] == b"PAR1" { "end: it was cut off, or is still being written" } else { "beginning" };
        return Err(whole(format!("not a Parquet file: no `PAR1` at its {side}")));
    }
    let claimed = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if claimed > length - 12 || claimed > FOOTER_BYTES_MAX {
        return Err(whole(format!(
            "the footer claims {claimed} bytes; the file has {length}, and FOOTER_BYTES_MAX allows {FOOTER_BYTES_MAX}"
        )));
    }
    let bytes = file.get_bytes(length - 8 - claimed, claimed as usize).map_err(|why| whole(why.to_string()))?;
    let metadata = ParquetMetaDataReader::decode_metadata(&bytes).map_err(|why| whole(format!("the footer: {why}")))?;
    claims(&metadata, length - 8 - claimed)?;
    Ok(metadata)
}

/// Numbers of the footer, against each other and the bytes before it.
fn claims(metadata: &ParquetMetaData, room: u64) -> Result<(), Suspect> {
    let schema = metadata.file_metadata().schema_descr();
    if schema.num_columns() > COLUMNS_MAX {
        return Err(whole(format!("{} columns; COLUMNS_MAX allows {COLUMNS_MAX}", schema.num_columns())));
    }
    let mut rows: u64 = 0;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let in_group = |column: Option<String>, reason: String| Suspect { row_group: Some(at), column, reason };
        let claimed = u64::try_from(group.num_rows());
        let claimed = claimed.map_err(|_| in_group(None, format!("it claims {} rows", group.num_rows())))?;
        rows = rows.saturating_add(claimed);
        if group.num_columns() != schema.num_columns() {
            return Err(in_group(None, format!("{} columns of {}", group.num_columns(), schema.num_columns())));
        }
        for column in group.columns() {
            let name = || Some(column.column_path().string());
            let (start, length) = range(column).ok_or_else(|| in_group(name(), "negative offsets".to_owned()))?;
            if start < 4 || start.checked_add(length).is_none_or(|end| end > room) {
                let reason =
                    format!("it claims the bytes {start} to {}, beyond the file's", start.saturating_add(length));
                return Err(in_group(name(), reason));
            }
            if column.column_descr().max_rep_level() == 0 && column.num_values() != group.num_rows() {
                let reason = format!("{} values for {} rows", column.num_values(), group.num_rows());
                return Err(in_group(name(), reason));
            }
        }
    }
    if rows > FILE_ROWS_MAX {
        return Err(whole(format!("it claims {rows} rows; FILE_ROWS_MAX allows {FILE_ROWS_MAX}")));
    }
    if metadata.file_metadata().num_rows() != rows as i64 {
        let claimed = metadata.file_metadata().num_rows();
        return Err(whole(format!("the footer claims {claimed} rows, its row groups {rows}")));
    }
    Ok(())
}

/// Where a column chunk lies, without the panics of asking it.
fn range(column: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let first = match column.dictionary_page_offset() {
        Some(offset) if offset > 0 => offset.min(column.data_page_offset()),
        _ => column.data_page_offset(),
    };
    Some((u64::try_from(first).ok()?, u64::try_from(column.compressed_size()).ok()?))
}

/// Reads every page's header.
///
/// # Errors
/// The first row group and column that cannot be read safely.
pub fn inspect<R: ChunkReader>(file: &R) -> Result<Inspected, Suspect> {
    let metadata = footer(file)?;
    let mut batch_rows = IMPORT_BATCH_ROWS as u64;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let mut held = 0;
        for column in group.columns() {
            let suspect =
                |reason: String| Suspect { row_group: Some(at), column: Some(column.column_path().string()), reason };
            let found = chunk(file, column).map_err(suspect)?;
            held += found.dictionary_bytes + found.page_bytes;
            if held > GROUP_BYTES_MAX {
                return Err(suspect(format!(
                    "with the columns before it, {held} bytes of pages are held at once; GROUP_BYTES_MAX allows \
                     {GROUP_BYTES_MAX}: write smaller pages and dictionaries"
                )));
            }
            batch_rows = batch_rows.min(found.batch_rows);
        }
    }
    let rows = metadata.row_groups().iter().map(|group| group.num_rows() as u64).sum();
    Ok(Inspected { metadata, rows, batch_rows: batch_rows.max(1) as usize })
}

/// What reading one column of one row group takes.
struct Chunk {
    /// Rows that may be read at once.
    batch_rows: u64,
    /// Bytes of its dictionary, inflated.
    dictionary_bytes: u64,
    /// Bytes of its largest page of values, inflated.
    page_bytes: u64,
}

fn chunk<R: ChunkReader>(file: &R, column: &ColumnChunkMetaData) -> Result<Chunk, String> {
    let (start, length) = range(column).ok_or("negative offsets")?;
    let descriptor = column.column_descr();
    if descriptor.physical_type() == Type::FIXED_LEN_BYTE_ARRAY
        && u64::try_from(descriptor.type_length()).map_or(true, |length| length > INFLATED_BYTES_MAX)
    {
        return Err(format!("values of {} bytes each", descriptor.type_length()));
    }
    let (mut at, mut values, mut dictionary_bytes, mut page_bytes) = (0, 0u64, 0u64, 0u64);
    while at < length && values < column.num_values().unsigned_abs() {
        let (header, header_bytes) = header(file, start + at, length - at)?;
        let size = |size: i32, what: &str| u64::try_from(size).map_err(|_| format!("a page of {size} {what} bytes"));
        let (compressed, inflated) = (size(header.compressed, "compressed")?, size(header.inflated, "inflated")?);
        if inflated > INFLATED_BYTES_MAX {
            let what = if header.is_dictionary { "dictionary" } else { "page" };
            return Err(format!("a {what} claims {inflated} bytes; INFLATED_BYTES_MAX allows {INFLATED_BYTES_MAX}"));
        }
        if header_bytes + compressed > length - at {
            return Err(format!("a page claims {compressed} bytes; {} are left", length - at - header_bytes));
        }
        let count = u64::try_from(header.values).map_err(|_| format!("a page of {} values", header.values))?;
        bomb(file, column.compression(), start + at + header_bytes, compressed, inflated)?;
        if !header.is_dictionary {
            values += count;
            page_bytes = page_bytes.max(inflated);
        } else if count > INFLATED_BYTES_MAX {
            return Err(format!("a dictionary claims {count} values"));
        } else {
            dictionary_bytes += inflated;
        }
        at += header_bytes + compressed;
    }
    if values != column.num_values().unsigned_abs() {
        return Err(format!("its pages hold {values} values, the footer claims {}", column.num_values()));
    }
    if descriptor.max_rep_level() > 0 && values > LIST_VALUES_MAX {
        return Err(format!("{values} values in lists; LIST_VALUES_MAX allows {LIST_VALUES_MAX}"));
    }
    let mut batch_rows = IMPORT_BATCH_ROWS as u64;
    if column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY) {
        batch_rows = batch_rows.min(PREFIX_BYTES_MAX / page_bytes.max(1));
    }
    if descriptor.physical_type() == Type::FIXED_LEN_BYTE_ARRAY {
        batch_rows = batch_rows.min(PREFIX_BYTES_MAX / (descriptor.type_length().unsigned_abs().max(1) as u64));
    }
    Ok(Chunk { batch_rows, dictionary_bytes, page_bytes })
}

fn header<R: ChunkReader>(file: &R, at: u64, left: u64) -> Result<(PageHeader, u64), String> {
    let mut guess = HEADER_BYTES_GUESS;
    loop {
        let length = left.min(guess as u64) as usize;
        let bytes = file.get_bytes(at, length).map_err(|why| why.to_string())?;
        match thrift::page_header(&bytes) {
            Ok((header, used)) => return Ok((header, used as u64)),
            Err(thrift::Unreadable::CutOff) if (length as u64) < left && guess < HEADER_BYTES_MAX => guess *= 16,
            Err(_) => return Err(format!("the page header at byte {at} is unreadable")),
        }
    }
}

/// Whether a page inflates to more than it says, where the codec's reader has no bound of its own.
fn bomb<R: ChunkReader>(file: &R, codec: Compression, at: u64, compressed: u64, inflated: u64) -> Result<(), String> {
    let grows = match codec {
        Compression::GZIP(_) if compressed.saturating_mul(GZIP_RATIO_MAX) > INFLATED_BYTES_MAX => {
            let bytes = file.get_bytes(at, compressed as usize).map_err(|why| why.to_string())?;
            grows_beyond(MultiGzDecoder::new(&bytes[..]), inflated)
        }
        Compression::BROTLI(_) => {
            let bytes = file.get_bytes(at, compressed as usize).map_err(|why| why.to_string())?;
            grows_beyond(brotli::Decompressor::new(&bytes[..], 4_096), inflated)
        }
        Compression::LZ4 if compressed > LZ4_FRAME_BYTES_MAX => {
            return Err(format!(
                "an LZ4 frame of {compressed} bytes; LZ4_FRAME_BYTES_MAX allows {LZ4_FRAME_BYTES_MAX}; use lz4_raw or zstd"
            ));
        }
        _ => false,
    };
    if grows { Err(format!("a page inflates to more than the {inflated} bytes it claims")) } else { Ok(()) }
}

fn grows_beyond(inflate: impl Read, most: u64) -> bool {
    // What cannot be inflated is the reader's to refuse.
    std::io::copy(&mut inflate.take(most + 1), &mut std::io::sink()).is_ok_and(|found| found > most)
}

/// Indexes are never needed, and never trusted.
pub fn without_indexes() -> parquet::arrow::arrow_reader::ArrowReaderOptions {
    parquet::arrow::arrow_reader::ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip)
}
