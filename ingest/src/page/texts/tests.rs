use std::sync::Arc;

use arrow::array::{DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Int32Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;

use super::*;

/// A file of one column of these arrays, in one row group.
fn file(nullable: bool, arrays: &[ArrayRef]) -> Bytes {
    let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, nullable)]));
    let layout = WriterProperties::builder().build();
    let writer = ArrowWriter::try_new(Vec::new(), schema, Some(layout)).expect("a writer");
    let (mut file, _) = writer.into_serialized_writer().expect("a writer");
    let mut texts = Texts::new(nullable, ZstdLevel::try_new(1).expect("a level"));
    arrays.iter().for_each(|array| texts.write(array).expect("written"));
    let column = file.schema_descr().column(0);
    let (bytes, close) = texts.close(column).expect("closed");
    let mut group = file.next_row_group().expect("a row group");
    group.append_column(&bytes, close).expect("appended");
    group.close().expect("closed");
    file.into_inner().expect("ended").into()
}

fn read(file: Bytes) -> (Vec<Option<String>>, ArrowReaderMetadata) {
    // The offsets of the pages must be right, too.
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&file, options).expect("metadata");
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone()).build().expect("a reader");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("read")).collect();
    (batches.iter().flat_map(owned).collect(), metadata)
}

fn owned(batch: &RecordBatch) -> Vec<Option<String>> {
    batch.column(0).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn comes_back(nullable: bool, arrays: &[ArrayRef]) -> ArrowReaderMetadata {
    let given: Vec<Option<String>> = arrays
        .iter()
        .flat_map(|array| {
            let texts = cast(array, &DataType::Utf8).expect("texts");
            texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect();
    let (found, metadata) = read(file(nullable, arrays));
    assert!(found == given, "{} rows of {}", found.len(), given.len());
    let chunk = metadata.metadata().row_group(0).column(0);
    assert_eq!(chunk.num_values(), given.len() as i64);
    let statistics = chunk.statistics().expect("statistics");
    let nulls = given.iter().filter(|text| text.is_none()).count() as u64;
    assert_eq!(statistics.null_count_opt(), Some(nulls));
    let (least, greatest) = (given.iter().flatten().min(), given.iter().flatten().max());
    let bound =
        |text: Option<&String>| text.filter(|text| text.len() <= BOUND_BYTES_MAX).cloned().map(String::into_bytes);
    assert_eq!(statistics.min_bytes_opt().map(<[u8]>::to_vec), bound(least));
    assert_eq!(statistics.max_bytes_opt().map(<[u8]>::to_vec), bound(greatest));
    metadata
}

fn views(texts: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(texts.collect::<StringViewArray>())
}

#[test]
fn texts_come_back_whatever_form_they_had() {
    let word = |at: usize| format!("{}{}", ["a", "a longer one than a view holds ", "é", ""][at % 4], at % 37);
    let some = |at: usize| (!at.is_multiple_of(5)).then(|| word(at));
    let dictionary: DictionaryArray<Int32Type> =
        (0..900).map(some).collect::<Vec<_>>().iter().map(Option::as_deref).collect();
    let arrays = [
        views((0..50_000).map(some)),
        Arc::new(dictionary) as ArrayRef,
        Arc::new((0..1_000).map(some).collect::<StringArray>()),
        views(std::iter::repeat_n(Some("the same long text in every row".to_owned()), 30_000)),
        views(std::iter::repeat_n(None, 10)),
        views(std::iter::empty()),
    ];
    let metadata = comes_back(true, &arrays);
    let index = metadata.metadata().page_index_for_row_group(0);
    assert!(index.offset_index(0).expect("an offset index").page_locations().len() > 3);
    // By the offsets, in the middle of a page, over its end, and in another one.
    let whole = file(true, &arrays);
    let all = read(whole.clone()).0;
    let picked = RowSelection::from(vec![
        RowSelector::skip(39_990),
        RowSelector::select(20),
        RowSelector::skip(30_000),
        RowSelector::select(9),
    ]);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(whole, metadata.clone()).with_row_selection(picked);
    let found: Vec<Option<String>> =
        reader.build().expect("a reader").flat_map(|batch| owned(&batch.expect("read"))).collect();
    assert_eq!(found, [&all[39_990..40_010], &all[70_010..70_019]].concat());
    comes_back(false, &[views((0..5_000).map(|at| Some(word(at))))]);
    comes_back(true, &[views(std::iter::repeat_n(None, 300))]);
    comes_back(false, &[views(std::iter::once(Some("x".repeat(100))))]);
}

#[test]
fn a_dictionary_that_grows_too_large_ends_and_the_rest_lies_plain() {
    let text = |at: usize| (at % 11 != 3).then(|| format!("{:0>60}", at * 7_919 % 60_000));
    let metadata = comes_back(true, &[views((0..40_000).map(text)), views((40_000..70_000).map(text))]);
    let encodings: Vec<Encoding> = metadata.metadata().row_group(0).column(0).encodings().collect();
    assert!(encodings.contains(&Encoding::RLE_DICTIONARY) && encodings.contains(&Encoding::PLAIN), "{encodings:?}");
}

#[test]
fn views_of_different_arrays_are_never_mixed_up() {
    // The same view words, other texts behind them.
    let arrays: Vec<ArrayRef> = (0..4)
        .map(|nth| views((0..600).map(|at| Some(format!("text of array {nth}, number {:>4}", at % 3)))))
        .collect();
    comes_back(false, &arrays);
}

#[test]
fn a_null_where_there_must_be_none_is_an_error() {
    let mut texts = Texts::new(false, ZstdLevel::try_new(1).expect("a level"));
    assert!(texts.write(&views([None].into_iter())).is_err());
}
