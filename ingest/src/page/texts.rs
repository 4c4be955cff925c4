//! Text columns with a dictionary, one row group's: what a page's file has most of.
//!
//! In: arrays of texts. Out: a column chunk, dictionary first, as any Parquet writer would have made it. What makes it
//! quicker than the general one: texts that came from one dictionary have equal views, so most are never hashed, and the
//! statistics are those of the dictionary, not of every row. Beyond [`DICTIONARY_BYTES_MAX`] texts lie plain.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

use super::{PageError, hybrid};

/// Bytes of one dictionary.
const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;
/// Rows of one data page.
const DATA_PAGE_ROWS_MAX: usize = 20_000;
/// Bytes of one data page whose texts lie plain.
const DATA_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Views remembered with their codes, once there is an array of [`REMEMBERED_ROWS_MIN`].
const REMEMBERED: usize = 1 << 10;
/// Rows that make remembering worth its memory.
const REMEMBERED_ROWS_MIN: usize = 256;
/// Bytes of a text that lie in its view.
const INLINE_BYTES_MAX: u32 = 12;
/// Bytes of a text up to which it is told as a column's least or greatest.
const BOUND_BYTES_MAX: usize = 64;

thread_local! {
    /// A thread's compressor and its level: setting one up costs more than packing a small page.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// A hash that is one already.
#[derive(Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Clone, Copy, Default)]
struct Remembered {
    view: u128,
    code: u32,
    /// The array the view belongs to; 0: any, the text lies in the view.
    array: u32,
    held: bool,
}

/// The texts of one column in one row group.
pub(super) struct Texts {
    level: ZstdLevel,
    nullable: bool,
    /// The dictionary as it is stored: each text behind its length.
    words: Vec<u8>,
    /// Where each word begins, and how long it is.
    spans: Vec<(u32, u32)>,
    /// Words by the hashes of their texts; the few that share one follow each other.
    by_hash: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    remembered: Vec<Remembered>,
    arrays: u32,
    /// The page at hand: codes of its texts, or the texts themselves; and which rows have one.
    codes: Vec<u32>,
    plain: Vec<u8>,
    is_plain: bool,
    valid: Vec<u32>,
    pages: Vec<(CompressedPage, usize)>,
    rows: usize,
    nulls: u64,
    /// Bounds of the texts that lie plain.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Texts {
    pub(super) fn new(nullable: bool, level: ZstdLevel) -> Texts {
        let (words, spans, by_hash, codes, plain, valid, pages) = Default::default();
        let remembered = Vec::new();
        Texts {
            level,
            nullable,
            words,
            spans,
            by_hash,
            remembered,
            arrays: 0,
            codes,
            plain,
            is_plain: false,
            valid,
            pages,
            rows: 0,
            nulls: 0,
            bounds: None,
            bytes: 0,
        }
    }

    /// Bytes it holds in memory.
    pub(super) fn memory_size(&self) -> usize {
        let remembered = self.remembered.len() * size_of::<Remembered>();
        let page = (self.codes.len() + self.valid.len()) * 4 + self.plain.len();
        self.words.len() + self.spans.len() * 32 + remembered + page + self.bytes
    }

    /// Adds an array of texts in whatever form they lie.
    pub(super) fn write(&mut self, array: &ArrayRef) -> Result<(), PageError> {
        let texts = cast(array, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        if !self.nullable && texts.null_count() > 0 {
            return Err(ParquetError::General("a column without nulls got one".to_owned()).into());
        }
        self.arrays += 1;
        if self.remembered.is_empty() && texts.len() >= REMEMBERED_ROWS_MIN {
            self.remembered = vec![Remembered::default(); REMEMBERED];
        }
        for row in 0..texts.len() {
            if self.valid.len() >= DATA_PAGE_ROWS_MAX || self.plain.len() >= DATA_PAGE_BYTES_MAX {
                self.end_page()?;
            }
            self.rows += 1;
            if texts.is_null(row) {
                self.nulls += 1;
                self.valid.push(0);
                continue;
            }
            if self.is_plain {
                self.add_plain(texts.value(row).as_bytes());
            } else {
                let code = self.code(texts, row);
                self.codes.push(code);
            }
            self.valid.push(1);
            if !self.is_plain && self.words.len() > DICTIONARY_BYTES_MAX {
                self.end_page()?;
                self.is_plain = true;
            }
        }
        Ok(())
    }

    fn add_plain(&mut self, text: &[u8]) {
        self.plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.plain.extend_from_slice(text);
        match &mut self.bounds {
            None => self.bounds = Some((text.to_vec(), text.to_vec())),
            Some((least, _)) if text < least.as_slice() => *least = text.to_vec(),
            Some((_, greatest)) if text > greatest.as_slice() => *greatest = text.to_vec(),
            Some(_) => {}
        }
    }

    fn code(&mut self, texts: &StringViewArray, row: usize) -> u32 {
        let view = texts.views()[row];
        let mixed = ((view >> 64) as u64 ^ view as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = (mixed >> (64 - REMEMBERED.trailing_zeros())) as usize;
        // Equal views of one array are equal texts; a text that lies in its view is equal anywhere.
        let array = if view as u32 <= INLINE_BYTES_MAX { 0 } else { self.arrays };
        if let Some(known) = self.remembered.get(slot)
            && known.held
            && known.view == view
            && known.array == array
        {
            return known.code;
        }
        let code = self.look_up(texts.value(row).as_bytes());
        if let Some(slot) = self.remembered.get_mut(slot) {
            *slot = Remembered { view, code, array, held: true };
        }
        code
    }

    fn word(&self, code: u32) -> Option<&[u8]> {
        let (start, length) = *self.spans.get(code as usize)?;
        self.words.get(start as usize..(start + length) as usize)
    }

    fn look_up(&mut self, text: &[u8]) -> u32 {
        let mut hash = xxh3_64(text);
        loop {
            match self.by_hash.get(&hash) {
                Some(code) if self.word(*code) == Some(text) => return *code,
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let code = self.spans.len() as u32;
        self.words.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.spans.push((self.words.len() as u32, text.len() as u32));
        self.words.extend_from_slice(text);
        self.by_hash.insert(hash, code);
        code
    }

    fn end_page(&mut self) -> Result<(), PageError> {
        if self.valid.is_empty() {
            return Ok(());
        }
        let (rows, mut body) = (self.valid.len(), Vec::new());
        if self.nullable {
            let mut levels = Vec::new();
            hybrid::write(&mut levels, &self.valid, 1);
            body.extend_from_slice(&(levels.len() as u32).to_le_bytes());
            body.extend_from_slice(&levels);
        }
        let encoding = if self.is_plain {
            body.append(&mut self.plain);
            Encoding::PLAIN
        } else {
            let width = hybrid::width(self.spans.len());
            body.push(width);
            hybrid::write(&mut body, &self.codes, width);
            self.codes.clear();
            Encoding::RLE_DICTIONARY
        };
        self.valid.clear();
        let page = Page::DataPage {
            buf: self.compress(&body)?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, body.len());
        self.bytes += page.compressed_size();
        self.pages.push((page, rows));
        Ok(())
    }

    fn compress(&self, body: &[u8]) -> Result<Bytes, PageError> {
        let level = self.level.compression_level();
        let packed = COMPRESSOR.with_borrow_mut(|held| {
            let compressor = match held {
                Some((at, compressor)) if *at == level => compressor,
                held => &mut held.insert((level, Compressor::new(level)?)).1,
            };
            compressor.compress(body)
        });
        Ok(packed.map_err(|why| ParquetError::General(format!("zstd: {why}")))?.into())
    }

    /// Ends the row group: the chunk's bytes, and what there is to say of it.
    pub(super) fn close(mut self, column: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), PageError> {
        self.end_page()?;
        let mut sink = TrackedWrite::new(Vec::with_capacity(self.bytes + self.words.len() / 2));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let (mut inflated, mut first_row, mut locations) = (0, 0, Vec::with_capacity(self.pages.len()));
        let mut counts: BTreeMap<Encoding, i32> = BTreeMap::new();
        // Also an empty one: pages of nulls alone are dictionary pages, and readers ask for it.
        let buf = self.compress(&self.words)?;
        let num_values = self.spans.len() as u32;
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        inflated += writer.write_page(CompressedPage::new(page, self.words.len()))?.uncompressed_size;
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        for (page, rows) in std::mem::take(&mut self.pages) {
            let encoding = page.encoding();
            *counts.entry(encoding).or_default() += 1;
            if !encodings.contains(&encoding) {
                encodings.push(encoding);
            }
            let spec = writer.write_page(page)?;
            inflated += spec.uncompressed_size;
            let (offset, compressed_page_size) = (spec.offset as i64, spec.compressed_size as i32);
            locations.push(PageLocation { offset, compressed_page_size, first_row_index: first_row });
            first_row += rows as i64;
        }
        // Says that all values are in the dictionary, if they are: distinct counts then need no row.
        let stats = |(encoding, count)| PageEncodingStats { page_type: PageType::DATA_PAGE, encoding, count };
        let data_page_offset = locations.first().map_or(0, |first| first.offset);
        let bytes = Bytes::from(sink.into_inner()?);
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(self.level))
            .set_encodings(encodings)
            .set_page_encoding_stats(counts.into_iter().map(stats).collect())
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(inflated as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(data_page_offset)
            .set_dictionary_page_offset(Some(0))
            .set_statistics(self.statistics())
            .build()?;
        let offset_index = OffsetIndexMetaData { page_locations: locations, unencoded_byte_array_data_bytes: None };
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offset_index),
        };
        Ok((bytes, close))
    }

    fn statistics(&self) -> Statistics {
        let words = (0..self.spans.len() as u32).filter_map(|code| self.word(code));
        let plain = self.bounds.iter().flat_map(|(least, greatest)| [least.as_slice(), greatest.as_slice()]);
        let bound = |text: Option<&[u8]>| {
            text.filter(|text| text.len() <= BOUND_BYTES_MAX).map(|text| ByteArray::from(text.to_vec()))
        };
        let all = words.chain(plain);
        let (least, greatest) = (bound(all.clone().min()), bound(all.max()));
        Statistics::ByteArray(ValueStatistics::new(least, greatest, None, Some(self.nulls), false))
    }
}

#[cfg(test)]
mod tests;
