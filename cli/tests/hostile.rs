//! Files made to hurt, imported by the command itself: each is refused with its reason, the good one beside it goes in,
//! and the process never holds a gigabyte. Linux only: it tells how much a process held at most.
#![cfg(target_os = "linux")]

mod command;

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, Int64Builder, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Fields};
use bytes::Bytes;
use command::tidemill;
use flate2::{Compression as Deflate, write::GzEncoder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

/// What a process may hold.
const RESIDENT_BYTES_MAX: u64 = 1 << 30;
/// Rows of the good file.
const ROWS: usize = 20;
const MIB: usize = 1024 * 1024;

fn file(name: &str, extra: Vec<(&str, ArrayRef)>, layout: WriterPropertiesBuilder) -> Vec<u8> {
    let count = extra.first().map_or(ROWS, |(_, array)| array.len());
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("{name}-{row}"))))),
        ("name", Arc::new(StringArray::from(vec!["opened"; count]))),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..count as i64).map(|row| row * 3_600_000_000))),
        ),
    ];
    columns.extend(extra);
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(layout.build())).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("ended")
}

fn zstd() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("a level")))
}

fn texts(texts: impl IntoIterator<Item = String>) -> Vec<(&'static str, ArrayRef)> {
    vec![("text", Arc::new(StringArray::from_iter_values(texts)) as ArrayRef)]
}

/// The file whose page of the last column claims to inflate to 2 GiB.
fn claims_two_gigabytes(mut file: Vec<u8>, inflated: usize) -> Vec<u8> {
    let held = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(&file)).expect("metadata");
    let column = held.row_group(0).column(3);
    let at = column.dictionary_page_offset().unwrap_or(column.data_page_offset()) as usize;
    let varint = |mut value: u64| {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    // Zigzag; a number of as many bytes, so that the header stays as long.
    let (told, claimed) = (varint(2 * inflated as u64), varint(2 * (i32::MAX as u64)));
    let from = at + file[at..].windows(told.len()).position(|bytes| bytes == told).expect("the size is there");
    assert_eq!(told.len(), claimed.len());
    file[from..from + told.len()].copy_from_slice(&claimed);
    file
}

/// The file whose footer claims 2^31 rows, in the row group and in every column.
fn claims_rows(file: &[u8]) -> Vec<u8> {
    let held = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(file)).expect("metadata");
    let group = held.row_group(0).clone();
    let columns = group
        .columns()
        .iter()
        .map(|column| column.clone().into_builder().set_num_values(1 << 31).build().expect("a column"));
    let columns = columns.collect();
    let group = group.into_builder().set_num_rows(1 << 31).set_column_metadata(columns).build().expect("a row group");
    let footer = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().expect("four")) as usize;
    let mut out = file[..file.len() - 8 - footer].to_vec();
    let held = held.into_builder().set_row_groups(vec![group]).build();
    ParquetMetaDataWriter::new(&mut out, &held).finish().expect("a footer");
    out
}

fn nested(depth: usize) -> Vec<(&'static str, ArrayRef)> {
    let mut array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    for _ in 0..depth {
        let fields = Fields::from(vec![Field::new("s", array.data_type().clone(), true)]);
        array = Arc::new(StructArray::new(fields, vec![array], None));
    }
    vec![("text", array)]
}

/// The most a process held so far; it only grows.
fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Imports a file beside a good one: what was said, and the most the process held.
fn import(name: &str, bytes: &[u8]) -> (String, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    assert!(tidemill(here).arg("init").output().expect("it starts").status.success());
    std::fs::write(here.join(name), bytes).expect("written");
    std::fs::write(here.join("good.parquet"), file("good", Vec::new(), zstd())).expect("written");
    let said = std::fs::File::create(here.join("said")).expect("a file");
    let mut child = tidemill(here)
        .args(["import", name, "good.parquet"])
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .expect("it starts");
    let mut most = 0;
    let status = loop {
        most = most.max(resident_bytes(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::yield_now();
    };
    let said = std::fs::read_to_string(here.join("said")).expect("read");
    assert_eq!(status.code(), Some(2), "{name}: {said}");
    assert!(said.contains(&format!("{ROWS} events accepted")), "{name}: {said}");
    assert!(most > 0, "nothing was measured");
    (said, most)
}

fn refused(name: &str, bytes: &[u8], words: &[&str]) {
    let (said, most) = import(name, bytes);
    println!("{name}: {} bytes, {} MiB held, {said}", bytes.len(), most / MIB as u64);
    for word in words {
        assert!(said.contains(word), "{name}: `{word}` is missing: {said}");
    }
    assert!(most <= RESIDENT_BYTES_MAX, "{name} took {most} bytes");
}

#[test]
fn pages_and_dictionaries_of_gigabytes_are_refused_by_what_they_claim() {
    let dictionary = file("x", texts(["0".repeat(70 * MIB)]), zstd());
    refused("dictionary.parquet", &dictionary, &["dictionary.parquet", "row group 0", "`text`", "INFLATED_BYTES_MAX"]);
    // Its size takes as many bytes as the one it claims.
    let dictionary = file("x", texts(["0".repeat(140 * MIB)]), zstd());
    let claiming = claims_two_gigabytes(dictionary, 140 * MIB + 4);
    refused("claiming.parquet", &claiming, &["row group 0", "`text`", "2147483647 bytes"]);
    let one = file("x", texts(["0".repeat(500 * MIB)]), zstd().set_dictionary_enabled(false));
    refused("one.parquet", &one, &["one.parquet", "row group 0", "`text`", "INFLATED_BYTES_MAX"]);
}

#[test]
fn a_row_group_of_two_billion_rows_is_refused_by_its_pages() {
    let file = claims_rows(&file("x", texts(["a".to_owned(), "b".to_owned()]), zstd()));
    refused("rows.parquet", &file, &["rows.parquet", "row group 0", "`id`", "2147483648"]);
}

#[test]
fn what_is_nested_deeply_is_refused_or_costs_its_rows() {
    refused("deep.parquet", &file("x", nested(40), zstd()), &["20 rejected", "TM0108"]);
    // As many levels as the format's reader takes, and then some; making such a file takes a deep stack.
    let deeper = std::thread::Builder::new().stack_size(512 * MIB).spawn(|| file("x", nested(600), zstd()));
    let deeper = deeper.expect("a thread").join().expect("a file");
    refused("deeper.parquet", &deeper, &["refused", "deeper.parquet"]);
}

#[test]
fn texts_that_share_beginnings_cost_their_rows() {
    let shared = (0..200).map(|row| "x".repeat(MIB) + &row.to_string());
    let layout = zstd().set_dictionary_enabled(false).set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY);
    refused("shared.parquet", &file("x", texts(shared), layout), &["200 rejected", "TM0107"]);
}

#[test]
fn a_long_value_that_every_row_repeats_is_never_copied_for_each() {
    let long = Arc::new(StringArray::from(vec!["x".repeat(6 * MIB)]));
    let repeated = DictionaryArray::new(Int32Array::from(vec![0; 5_000]), long);
    let repeated: Vec<(&str, ArrayRef)> = vec![("text", Arc::new(repeated))];
    let layout = zstd().set_dictionary_page_size_limit(8 * MIB);
    refused("repeated.parquet", &file("x", repeated, layout), &["5,000 rejected", "`text` has 6291456 bytes"]);
    let lists = |rows: usize, items: usize| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for _ in 0..rows {
            (0..items).for_each(|_| lists.values().append_value("x".repeat(8_000)));
            lists.append(true);
        }
        vec![("text", Arc::new(lists.finish()) as ArrayRef)]
    };
    refused("lists.parquet", &file("x", lists(1_000, 30), zstd()), &["1,000 rejected", "TM0107"]);
}

#[test]
fn columns_that_are_held_together_are_bounded_together() {
    let columns = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let wide = columns.map(|name| (name, Arc::new(StringArray::from(vec!["0".repeat(60 * MIB)])) as ArrayRef));
    refused("wide.parquet", &file("x", wide.to_vec(), zstd()), &["wide.parquet", "row group 0", "GROUP_BYTES_MAX"]);
}

#[test]
fn a_map_of_a_million_entries_costs_few_of_them() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for entry in 0..4_000_000 {
        maps.keys().append_value(format!("key{entry}"));
        maps.values().append_value(entry);
    }
    maps.append(true).expect("a map");
    let map = vec![("text", Arc::new(maps.finish()) as ArrayRef)];
    refused("map.parquet", &file("x", map, zstd()), &["1 rejected", "TM0105"]);
}

#[test]
fn a_line_of_a_gigabyte_costs_itself() {
    let mut packed = GzEncoder::new(Vec::new(), Deflate::fast());
    for _ in 0..1_024 {
        packed.write_all(&[b'y'; MIB]).expect("packed");
    }
    packed.write_all(b"\n{\"id\":\"a\"}\n").expect("packed");
    refused("lines.ndjson.gz", &packed.finish().expect("packed"), &["2 rejected", "lines.ndjson.gz:1", "TM0104"]);
}
