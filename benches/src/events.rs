//! Generated events as a client would send them: NDJSON.

use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, TimestampMicrosecondType};
use tidemill_schemas::time::Timestamp;

/// Properties that are texts.
const TEXTS: [&str; 4] = ["country", "plan", "device", "path"];

/// A batch of the generator as lines of JSON. `time`: what becomes of the event time.
///
/// # Panics
/// When the batch is not the generator's.
pub fn ndjson(batch: &RecordBatch, time: impl Fn(Timestamp) -> Timestamp) -> String {
    let column = |name: &str| batch.column_by_name(name).expect("the generator's column");
    let text = |name: &str| column(name).as_string::<i32>();
    let (id, name, actor) = (text("id"), text("name"), text("actor"));
    let times = column("time").as_primitive::<TimestampMicrosecondType>();
    let amounts = column("amount").as_primitive::<Float64Type>();
    let durations = column("duration_ms").as_primitive::<Int32Type>();
    let texts = TEXTS.map(|name| (name, text(name)));
    let mut lines = String::with_capacity(batch.num_rows() * 256);
    for row in 0..batch.num_rows() {
        let time = time(Timestamp::from_micros(times.value(row)));
        // Nothing generated needs escapes.
        let _ = write!(
            lines,
            "{{\"id\":\"{}\",\"name\":\"{}\",\"actor\":\"{}\",\"time\":\"{time}\",\"properties\":{{\"duration_ms\":{}",
            id.value(row),
            name.value(row),
            actor.value(row),
            durations.value(row)
        );
        for (name, texts) in &texts {
            let _ = write!(lines, ",\"{name}\":\"{}\"", texts.value(row));
        }
        if amounts.is_valid(row) {
            let _ = write!(lines, ",\"amount\":{:.2}", amounts.value(row));
        }
        lines.push_str("}}\n");
    }
    lines
}
