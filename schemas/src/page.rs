//! The schema of pages: one Parquet object holds changes of one source and one UTC day of event time.
//!
//! Envelope columns first, then one column per property and type, then what is rare as JSON text. Files are plain
//! Parquet that DuckDB, Athena and Spark read as they stand: a property's column bears the property's own name unless
//! it would hide an envelope column.
//!
//! | column | type | |
//! |---|---|---|
//! | `id` `source` `name` `actor` | UTF8, dictionary | `actor` may be null |
//! | `time` `received` | TIMESTAMP(µs, UTC) | event time; our clock |
//! | `rev` | INT64 | revision |
//! | `deleted` | BOOLEAN | this revision withdraws the event from this day |
//! | properties | BOOLEAN, INT64, DECIMAL(p, s), UTF8 | named by [`column_name`] |
//! | `$rare` | UTF8 | JSON object of the properties without a column of their own; null when there are none |

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::value::Type;

/// The version of this layout, kept in every file's metadata and in the manifest.
pub const PAGE_FORMAT: u32 = 1;
/// Properties of one page that get columns of their own; the rest go to `$rare`.
pub const PAGE_PROPERTY_COLUMNS_MAX: usize = 256;
/// Rows of one row group.
pub const PAGE_ROW_GROUP_ROWS: usize = 122_880;
/// UTC days one chain entry may hold objects for.
pub const SEAL_DAYS_MAX: usize = 3_500;
/// Changes one page may hold.
pub const SEAL_CHANGES_MAX: usize = 200_000;

/// Column of the id.
pub const ID: &str = "id";
/// Column of the source.
pub const SOURCE: &str = "source";
/// Column of the event name.
pub const NAME: &str = "name";
/// Column of the actor.
pub const ACTOR: &str = "actor";
/// Column of the event time.
pub const TIME: &str = "time";
/// Column of our clock at acceptance.
pub const RECEIVED: &str = "received";
/// Column of the revision.
pub const REV: &str = "rev";
/// Column that marks a withdrawal.
pub const DELETED: &str = "deleted";
/// Column of the rare properties.
pub const RARE: &str = "$rare";

/// Metadata key of a field: the property's key.
pub const META_PROPERTY: &str = "tidemill.property";
/// Metadata key of a field: the property's type, as [`Type::word`].
pub const META_TYPE: &str = "tidemill.type";

const ENVELOPE: [&str; 9] = [ID, SOURCE, NAME, ACTOR, TIME, RECEIVED, REV, DELETED, RARE];

/// The envelope's fields, in order, without `$rare`.
pub fn envelope_fields() -> Vec<Field> {
    let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Field::new(ID, DataType::Utf8, false),
        Field::new(SOURCE, text(), false),
        Field::new(NAME, text(), false),
        Field::new(ACTOR, text(), true),
        Field::new(TIME, time(), false),
        Field::new(RECEIVED, time(), false),
        Field::new(REV, DataType::Int64, false),
        Field::new(DELETED, DataType::Boolean, false),
    ]
}

/// The column of a property at a type. `primary` is the type the property was first seen with in its source: that one
/// bears the property's own name, further types carry a suffix. A property named like an envelope column, in any
/// letter case (DuckDB ignores it), is prefixed.
pub fn column_name(property: &str, at: Type, primary: Type) -> String {
    let mut name = String::new();
    if ENVELOPE.iter().any(|column| column.eq_ignore_ascii_case(property)) {
        name.push_str("properties.");
    }
    name.push_str(property);
    if at != primary {
        name.push('$');
        name.push_str(at.word());
    }
    name
}
