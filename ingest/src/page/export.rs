//! Export: a day's live events as one Parquet file that says what it is.
//!
//! In: batches of a source's UTC day, withdrawn and superseded rows taken out, and the columns its pages have. Out: a
//! file with `id source name actor time rev` and a column per property and type, whose field metadata name the
//! property. `tidemill import` makes the same events of it; other readers see plain columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tidemill_schemas::decimal::DECIMAL_SCALE_MAX;
use tidemill_schemas::page::{
    ACTOR, ID, META_PROPERTY, META_TYPE, NAME, PAGE_ROW_GROUP_ROWS, RARE, REV, SOURCE, TIME, envelope_fields,
};
use tidemill_schemas::value::Type;

use super::PageError;
use super::writer::{as_stored, both, stored_as, type_of};

/// Metadata key of an exported file: its version.
pub const META_EXPORT: &str = "tidemill.export";
/// The version of exported files.
pub const EXPORT_FORMAT: u32 = 1;
/// The envelope columns of an export.
const ENVELOPE: [&str; 6] = [ID, SOURCE, NAME, ACTOR, TIME, REV];

/// Holds every number there is; for the rare day whose numbers fit into no narrower column together. Not everyone reads
/// decimals this wide.
const WIDEST: DataType = DataType::Decimal256(38 + DECIMAL_SCALE_MAX, DECIMAL_SCALE_MAX as i8);

/// The property columns that hold what several pages have.
#[derive(Clone, Debug, Default)]
pub struct Wide {
    columns: BTreeMap<(String, Type), DataType>,
    has_rare: bool,
}

impl Wide {
    /// Takes the columns of a page in.
    pub fn add(&mut self, schema: &Schema) {
        self.has_rare |= schema.field_with_name(RARE).is_ok();
        for field in schema.fields() {
            let (Some(property), Some(at)) =
                (field.metadata().get(META_PROPERTY), field.metadata().get(META_TYPE).and_then(|word| type_of(word)))
            else {
                continue;
            };
            let stored = stored_as(field.data_type());
            let key = (property.clone(), at);
            let held = match self.columns.get(&key) {
                None => stored,
                Some(held) if *held == WIDEST => WIDEST,
                Some(held) => both(held, &stored).unwrap_or(WIDEST),
            };
            self.columns.insert(key, held);
        }
    }
}

/// A file that is being exported.
pub struct Exporter {
    wide: Wide,
    writer: ArrowWriter<Vec<u8>>,
}

impl Exporter {
    /// Begins a file.
    ///
    /// # Errors
    /// Parquet's own.
    pub fn new(wide: Wide) -> Result<Exporter, PageError> {
        let envelope = envelope_fields().into_iter().filter(|field| ENVELOPE.contains(&field.name().as_str()));
        let mut fields: Vec<Field> = envelope.collect();
        for ((property, at), stored) in &wide.columns {
            let name = if *at == Type::Text { property.clone() } else { format!("{property}${}", at.word()) };
            let metadata = HashMap::from([
                (META_PROPERTY.to_owned(), property.clone()),
                (META_TYPE.to_owned(), at.word().to_owned()),
            ]);
            fields.push(Field::new(name, stored.clone(), true).with_metadata(metadata));
        }
        if wide.has_rare {
            fields.push(Field::new(RARE, DataType::Utf8, true));
        }
        let marked = KeyValue::new(META_EXPORT.to_owned(), EXPORT_FORMAT.to_string());
        let layout = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(PAGE_ROW_GROUP_ROWS))
            .set_key_value_metadata(Some(vec![marked]))
            .build();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        Ok(Exporter { wide, writer: ArrowWriter::try_new(Vec::new(), schema, Some(layout))? })
    }

    /// Adds live rows.
    ///
    /// # Errors
    /// [`PageError`]: not page columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), PageError> {
        let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        let mut add = |name: &str, array: ArrayRef| {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        };
        for name in ENVELOPE {
            let array = batch.column_by_name(name);
            add(name, array.ok_or_else(|| PageError::Format(format!("no column `{name}`")))?.clone());
        }
        for ((property, at), stored) in &self.wide.columns {
            let held = batch.schema_ref().fields().iter().position(|field| {
                field.metadata().get(META_PROPERTY) == Some(property)
                    && field.metadata().get(META_TYPE).is_some_and(|word| word == at.word())
            });
            add(
                property,
                match held {
                    Some(at) => as_stored(batch.column(at), stored)?,
                    None => new_null_array(stored, batch.num_rows()),
                },
            );
        }
        if self.wide.has_rare {
            let rare = batch.column_by_name(RARE).cloned();
            add(RARE, rare.unwrap_or_else(|| new_null_array(&DataType::Utf8, batch.num_rows())));
        }
        self.writer.write(&RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)?;
        Ok(())
    }

    /// The bytes that are finished; the rest comes with the next call or with [`Exporter::end`].
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// Parquet's own.
    pub fn end(self) -> Result<Vec<u8>, PageError> {
        Ok(self.writer.into_inner()?)
    }
}
