//! Answers as typed columns: an Arrow stream or a Parquet file, numbers exact.
//!
//! Counts are INT64. Other metrics are DECIMAL(38, s): averages and shares at their fixed scale, sums and quantiles at
//! the largest scale in the answer. `time` is TIMESTAMP(µs) in the insight's zone. Everything else is text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::metric::RATIO_SCALE;
use tidemill_schemas::time::Timestamp;

use crate::render::json::Json;
use crate::render::rows::Rows;

/// Why rows cannot be columns, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnsError {
    /// What is wrong.
    pub message: String,
    /// What to do about it, where there is something.
    pub help: Option<&'static str>,
}

/// Metric → its function's SQL name, as `explain` says.
pub type Functions = BTreeMap<String, String>;

/// The rows as one batch.
pub fn batch(rows: &Rows, functions: &Functions, zone: &str) -> Result<RecordBatch, ColumnsError> {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (at, name) in rows.columns.iter().enumerate() {
        let array = column(rows, at, name, functions.get(name).map(String::as_str), zone)?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.cells.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| broken(&error))
}

/// An Arrow IPC stream.
pub fn stream(batch: &RecordBatch) -> Result<Vec<u8>, ColumnsError> {
    let mut out = Vec::new();
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(&mut out, &batch.schema()).map_err(|error| broken(&error))?;
    writer.write(batch).and_then(|()| writer.finish()).map_err(|error| broken(&error))?;
    drop(writer);
    Ok(out)
}

/// A Parquet file, zstd.
pub fn parquet(batch: &RecordBatch) -> Result<Vec<u8>, ColumnsError> {
    let level = parquet::basic::ZstdLevel::default();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(level))
        .build();
    let mut out = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), Some(properties))
        .map_err(|error| broken(&error))?;
    writer.write(batch).map_err(|error| broken(&error))?;
    writer.close().map_err(|error| broken(&error))?;
    Ok(out)
}

fn broken(error: &dyn std::error::Error) -> ColumnsError {
    ColumnsError { message: format!("the answer cannot be written as columns: {error}"), help: None }
}

fn column(rows: &Rows, at: usize, name: &str, function: Option<&str>, zone: &str) -> Result<ArrayRef, ColumnsError> {
    if name == "time" {
        return Ok(times(rows, at, zone));
    }
    let numbers = rows.is_number(at);
    let empty = rows.column(at).all(|cell| *cell == Json::Null);
    match function {
        Some("count" | "count(distinct)" | "approx_count_distinct") if numbers || empty => whole(rows, at, name),
        Some("avg" | "percent") if numbers || empty => decimals(rows, at, name, RATIO_SCALE),
        // A sum or a quantile over no values is null: still a number's column.
        Some("sum" | "quantile") if empty => decimals(rows, at, name, 0),
        _ if numbers => decimals(rows, at, name, 0),
        _ => Ok(texts(rows, at)),
    }
}

fn number(cell: &Json, name: &str) -> Result<Option<Decimal>, ColumnsError> {
    let Json::Number(text) = cell else { return Ok(None) };
    let parsed = Decimal::parse(text);
    parsed.map(Some).map_err(|why| ColumnsError { message: format!("`{name}` holds {text}: {why}"), help: None })
}

fn whole(rows: &Rows, at: usize, name: &str) -> Result<ArrayRef, ColumnsError> {
    let mut values = Vec::with_capacity(rows.cells.len());
    for cell in rows.column(at) {
        let value = number(cell, name)?;
        match value.map(|value| (value.scale(), i64::try_from(value.unscaled()))) {
            None => values.push(None),
            Some((0, Ok(value))) => values.push(Some(value)),
            Some(_) => return decimals(rows, at, name, 0),
        }
    }
    Ok(Arc::new(Int64Array::from(values)))
}

fn decimals(rows: &Rows, at: usize, name: &str, scale_min: u8) -> Result<ArrayRef, ColumnsError> {
    let numbers = rows.column(at).map(|cell| number(cell, name)).collect::<Result<Vec<_>, _>>()?;
    let scale = numbers.iter().flatten().map(|value| value.scale()).max().unwrap_or(0).max(scale_min);
    let at_scale = |value: &Option<Decimal>| value.map(|value| value.unscaled_at(scale).ok_or(value)).transpose();
    let values = numbers.iter().map(at_scale).collect::<Result<Vec<_>, _>>();
    let too_wide = |value: Decimal| ColumnsError {
        message: format!("`{name}`: {value} and its neighbours need more than 38 digits together"),
        help: Some("ask for JSON or CSV, which have no such limit"),
    };
    let values = values.map_err(too_wide)?;
    let array = Decimal128Array::from(values).with_precision_and_scale(38, i8::try_from(scale).unwrap_or(18));
    let array = array.map_err(|error| broken(&error))?;
    array.validate_decimal_precision(38).map_err(|error| broken(&error))?;
    Ok(Arc::new(array))
}

fn times(rows: &Rows, at: usize, zone: &str) -> ArrayRef {
    let instant = |cell: &Json| cell.text().and_then(Timestamp::parse).map(Timestamp::micros);
    let values: Vec<Option<i64>> = rows.column(at).map(instant).collect();
    let zone = if zone.is_empty() { "UTC" } else { zone };
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone(zone))
}

fn texts(rows: &Rows, at: usize) -> ArrayRef {
    let text = |cell: &Json| (*cell != Json::Null).then(|| cell.shown());
    let array: StringArray = rows.column(at).map(text).collect();
    debug_assert_eq!(arrow::array::Array::data_type(&array), &DataType::Utf8);
    Arc::new(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> RecordBatch {
        let json = br#"[{"time":"2026-08-01T00:00:00+05:30","plan":"pro","orders":12,"revenue":1234.50,"mean":102.875},
            {"time":"2026-08-02T00:00:00+05:30","plan":null,"orders":0,"revenue":null,"mean":null}]"#;
        let functions = [("orders", "count"), ("revenue", "sum"), ("mean", "avg")];
        let functions = functions.map(|(name, word)| (name.to_owned(), word.to_owned())).into();
        batch(&Rows::of(Json::parse(json).expect("it is JSON").items()), &functions, "Asia/Kolkata").expect("columns")
    }

    #[test]
    fn types_follow_the_functions() {
        let schema = sample().schema();
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("Asia/Kolkata".into()));
        let expected =
            [&time, &DataType::Utf8, &DataType::Int64, &DataType::Decimal128(38, 1), &DataType::Decimal128(38, 6)];
        assert_eq!(types, expected);
    }

    #[test]
    fn parquet_and_arrow_read_back() {
        let batch = sample();
        let bytes = bytes::Bytes::from(parquet(&batch).expect("written"));
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a file");
        let read: Vec<RecordBatch> = reader.build().expect("a reader").map(|batch| batch.expect("a batch")).collect();
        assert_eq!(read, std::slice::from_ref(&batch));
        let bytes = stream(&batch).expect("written");
        let mut reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("a stream");
        assert_eq!(reader.next().expect("one batch").expect("it reads"), batch);
    }

    #[test]
    fn a_number_beyond_the_columns_range_is_an_error() {
        let json = br#"[{"x":99999999999999999999999999999999999999},{"x":0.5}]"#;
        let rows = Rows::of(Json::parse(json).expect("it is JSON").items());
        let error = batch(&rows, &Functions::new(), "UTC").expect_err("39 digits");
        assert!(error.message.contains("more than 38 digits"), "{error:?}");
    }
}
