//! Writing: one thread makes the events, another one the files.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tidemill_schemas::calendar::Date;

use super::History;

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 122_880;
/// Batches waiting to be written.
const BATCHES_WAITING_MAX: usize = 8;

/// Writes all of a history below `out`; what was made, in words.
///
/// # Errors
/// In words: what could not be written.
pub fn write(mut history: History, out: &Path) -> Result<String, String> {
    let (batches, waiting) = mpsc::sync_channel::<(Date, RecordBatch)>(BATCHES_WAITING_MAX);
    let (schema, out) = (history.schema(), out.to_owned());
    let writer = std::thread::spawn(move || -> Result<u64, String> {
        let mut open: Option<(Date, ArrowWriter<File>)> = None;
        let mut bytes = 0;
        for (date, batch) in waiting {
            if open.as_ref().is_none_or(|(held, _)| *held != date) {
                bytes += end(open.take())?;
                let folder = out.join(format!("date={date}"));
                std::fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
                let file = File::create(folder.join("events.parquet")).map_err(|why| why.to_string())?;
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(layout()));
                open = Some((date, writer.map_err(|why| why.to_string())?));
            }
            if let Some((_, writer)) = &mut open {
                writer.write(&batch).map_err(|why| why.to_string())?;
            }
        }
        Ok(bytes + end(open)?)
    });
    let mut rows = 0;
    'days: for (date, count) in history.days() {
        history.open(count);
        let mut first = 0;
        while let Some(batch) = history.batch(date, count, first) {
            first += batch.num_rows() as u64;
            if batches.send((date, batch)).is_err() {
                break 'days;
            }
        }
        rows += first;
    }
    drop(batches);
    let bytes = writer.join().map_err(|_| "the writer panicked".to_owned())??;
    Ok(format!("{rows} events of {} actors over {} days, {bytes} bytes", history.actors(), history.days().len()))
}

fn end(open: Option<(Date, ArrowWriter<File>)>) -> Result<u64, String> {
    let Some((_, mut writer)) = open else { return Ok(0) };
    writer.finish().map_err(|why| why.to_string())?;
    Ok(writer.bytes_written() as u64)
}

fn layout() -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("a level of zstd");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_dictionary_enabled(ColumnPath::from("id"), false)
        .set_column_dictionary_enabled(ColumnPath::from("properties"), false)
        .build()
}
