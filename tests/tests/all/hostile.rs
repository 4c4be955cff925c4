//! Files that lie: each is refused with its reason, named by row group and column, and the others go in.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::World;

/// Rows of a good file.
const ROWS: usize = 60;
/// Files with bytes changed at random.
const CHANGED: u64 = 400;

fn now() -> Timestamp {
    Timestamp::parse("2026-08-20T12:00:00Z").expect("a time")
}

fn rows(name: &str, texts: Vec<String>) -> Vec<(&'static str, ArrayRef)> {
    let count = texts.len();
    vec![
        ("id", Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("{name}-{row}")))) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["opened"; count]))),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..count as i64).map(|row| row * 3_600_000_000))),
        ),
        ("amount", Arc::new(Int64Array::from_iter_values(0..count as i64))),
        ("text", Arc::new(StringArray::from(texts))),
    ]
}

fn written(columns: Vec<(&'static str, ArrayRef)>, layout: WriterProperties) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.expect("columns of one length");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(layout)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("ended")
}

fn layout() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder().set_max_row_group_row_count(Some(25))
}

fn good(name: &str) -> Vec<u8> {
    written(rows(name, (0..ROWS).map(|row| format!("t{}", row % 7)).collect()), layout().build())
}

fn metadata(file: &[u8]) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(file)).expect("metadata")
}

/// The file with another footer.
fn with(file: &[u8], metadata: &ParquetMetaData) -> Vec<u8> {
    let footer = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().expect("four")) as usize;
    let mut out = file[..file.len() - 8 - footer].to_vec();
    ParquetMetaDataWriter::new(&mut out, metadata).finish().expect("a footer");
    out
}

/// The file whose nth row group or one of its columns was changed.
fn changed(
    file: &[u8],
    change: impl Fn(parquet::file::metadata::RowGroupMetaDataBuilder) -> parquet::file::metadata::RowGroupMetaDataBuilder,
) -> Vec<u8> {
    let held = metadata(file);
    let groups = held.row_groups().iter().enumerate().map(|(at, group)| {
        if at == 1 { change(group.clone().into_builder()).build().expect("a row group") } else { group.clone() }
    });
    let groups = groups.collect();
    with(file, &held.into_builder().set_row_groups(groups).build())
}

/// The file whose column of row group 1 was changed.
fn changed_column(
    file: &[u8],
    column: usize,
    change: impl Fn(
        parquet::file::metadata::ColumnChunkMetaDataBuilder,
    ) -> parquet::file::metadata::ColumnChunkMetaDataBuilder,
) -> Vec<u8> {
    let mut columns = metadata(file).row_group(1).columns().to_vec();
    columns[column] = change(columns[column].clone().into_builder()).build().expect("a column");
    changed(file, |group| group.set_column_metadata(columns.clone()))
}

/// Imports a good file and a bad one: what was said of the bad one.
async fn refused(bad: Vec<u8>) -> String {
    let world = World::new(now(), 1);
    let receipt = world.import("", &[good("before"), bad, good("after")]).await;
    assert_eq!(receipt["accepted"], 2 * ROWS, "{receipt}");
    assert_eq!(receipt["files"].as_array().map(Vec::len), Some(1), "{receipt}");
    assert_eq!(receipt["files"][0]["file"], "f1");
    assert_eq!(receipt["files"][0]["code"], "TM0133");
    receipt["files"][0]["message"].as_str().expect("words").to_owned()
}

async fn refused_for(bad: Vec<u8>, why: &[&str]) {
    let said = refused(bad).await;
    for word in why {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
}

#[tokio::test]
async fn cut_off_files_are_refused() {
    let file = good("x");
    for length in [0, 1, 11, 12, file.len() / 2, file.len() - 1] {
        refused(file[..length].to_vec()).await;
    }
    refused_for(file[..file.len() - 4].to_vec(), &["cut off"]).await;
    refused_for(b"id,name,time\na,b,2026-01-01\nlonger than a footer\n".to_vec(), &["not a Parquet file"]).await;
}

#[tokio::test]
async fn lying_footers_are_refused() {
    let file = good("x");
    let mut long = file.clone();
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    refused_for(long, &["footer claims 4294967295 bytes"]).await;
    refused_for(changed(&file, |group| group.set_num_rows(1 << 40)), &["row group 1", "values for 1099511627776 rows"])
        .await;
    refused_for(changed_column(&file, 3, |column| column.set_num_values(1 << 40)), &["row group 1", "column `amount`"])
        .await;
    refused_for(
        changed_column(&file, 4, |column| column.set_total_compressed_size(1 << 40)),
        &["row group 1", "column `text`", "beyond the file's"],
    )
    .await;
    refused_for(
        changed_column(&file, 2, |column| column.set_data_page_offset(-9).set_dictionary_page_offset(None)),
        &["column `time`"],
    )
    .await;
    // A column that points at another one's bytes.
    let elsewhere = metadata(&file).row_group(0).column(3).data_page_offset();
    refused(changed_column(&file, 4, |column| column.set_data_page_offset(elsewhere).set_dictionary_page_offset(None)))
        .await;
}

fn zstd() -> parquet::file::properties::WriterPropertiesBuilder {
    layout().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("a level")))
}

#[tokio::test]
async fn dictionaries_and_pages_that_inflate_too_far_are_refused() {
    let huge = || vec!["0".repeat(70 * 1024 * 1024)];
    let dictionary = written(rows("x", huge()), zstd().build());
    assert!(dictionary.len() < 1024 * 1024, "{} bytes", dictionary.len());
    refused_for(dictionary, &["row group 0", "column `text`", "INFLATED_BYTES_MAX"]).await;
    let plain = written(rows("x", huge()), zstd().set_dictionary_enabled(false).build());
    refused_for(plain, &["row group 0", "column `text`", "INFLATED_BYTES_MAX"]).await;
}

#[tokio::test]
async fn a_page_that_inflates_to_more_than_it_says_is_refused() {
    let gzip = Compression::GZIP(GzipLevel::try_new(6).expect("a level"));
    let layout = layout().set_dictionary_enabled(false).set_compression(gzip).build();
    let file = written(rows("x", vec!["0".repeat(70 * 1024 * 1024)]), layout);
    // Field 2 of the page's header: 70 MiB and the length before it, zigzag; said to be 60 MB.
    let varint = |mut value: u64| {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    let at = metadata(&file).row_group(0).column(4).data_page_offset() as usize;
    let from = file[at..at + 40].windows(4).position(|bytes| {
        let value = bytes.iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7F));
        (140_000_000..160_000_000).contains(&value)
    });
    let from = at + from.expect("the size is there");
    let mut lying = file.clone();
    (&mut lying[from..from + 4]).write_all(&varint(120_000_000)).expect("four bytes");
    refused_for(lying, &["row group 0", "column `text`", "inflates to more than the 60000000 bytes"]).await;
}

#[tokio::test]
async fn one_dictionary_entry_repeated_costs_its_rows_only() {
    // 6 MB of text, named by every row: as plain strings 25 rows would be 150 MB, and a million rows 6 TB.
    let texts = vec!["x".repeat(6 * 1024 * 1024); ROWS];
    let file = written(rows("x", texts), zstd().build());
    let world = World::new(now(), 1);
    let receipt = world.import("", &[file, good("y")]).await;
    assert_eq!(receipt["accepted"], ROWS, "{receipt}");
    assert_eq!(receipt["rejected_count"], ROWS, "{receipt}");
    assert_eq!(receipt["rejected"][0]["code"], "TM0107", "{receipt}");
}

#[tokio::test]
async fn values_that_share_beginnings_come_in_small_batches() {
    let texts = (0..ROWS).map(|row| "x".repeat(1024 * 1024) + &row.to_string()).collect();
    let layout = zstd().set_dictionary_enabled(false).set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY);
    let file = written(rows("x", texts), layout.build());
    let world = World::new(now(), 1);
    let receipt = world.import("", &[file]).await;
    assert_eq!((&receipt["accepted"], &receipt["rejected_count"]), (&0.into(), &ROWS.into()), "{receipt}");
}

#[tokio::test]
async fn columns_of_wrong_types_refuse_their_rows_and_missing_ones_the_file() {
    let inner =
        (Arc::new(Field::new("x", DataType::Int64, true)), Arc::new(Int64Array::from_iter_values(0..3)) as ArrayRef);
    let nested: ArrayRef = Arc::new(StructArray::from(vec![inner]));
    let world = World::new(now(), 1);
    for field in ["id", "time"] {
        let mut columns = rows(field, vec!["t".to_owned(); 3]);
        columns.iter_mut().filter(|(name, _)| *name == field).for_each(|column| column.1 = nested.clone());
        let receipt = world.import("", &[written(columns, layout().build())]).await;
        assert_eq!(
            receipt["accepted"].as_u64().expect("a count") + receipt["rejected_count"].as_u64().expect("a count"),
            3,
            "{receipt}"
        );
    }
    let columns = rows("x", vec!["t".to_owned(); 3]).split_off(1);
    let receipt = world.import("", &[written(columns, layout().build()), good("x")]).await;
    assert_eq!(receipt["accepted"], ROWS, "{receipt}");
    assert_eq!(receipt["files"][0]["code"], "TM0131", "{receipt}");
}

#[tokio::test]
async fn whatever_bytes_change_nothing_breaks() {
    let file = good("x");
    let mut random = Random::of(11);
    let mut bad = 0;
    for nth in 0..CHANGED {
        let world = World::new(now(), 1);
        let mut changed = file.clone();
        for _ in 0..1 + random.below(4) {
            // The footer and the page headers are where it hurts.
            let from = if random.chance(60) { changed.len() * 2 / 3 } else { 4 };
            let at = from + random.below((changed.len() - from) as u64) as usize;
            changed[at] = random.bits() as u8;
        }
        let receipt = world.import("", &[changed, good("y")]).await;
        let whole = |key: &str| receipt[key].as_u64().expect("a count");
        assert!(whole("accepted") >= ROWS as u64, "file {nth}: {receipt}");
        bad += receipt["files"].as_array().map_or(0, Vec::len);
    }
    assert!(bad > CHANGED as usize / 4, "only {bad} were refused");
}
