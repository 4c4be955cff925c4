use arrow::datatypes::DataType;
use proptest::prelude::*;
use tidemill_ports::Item;
use tidemill_schemas::event::Event;
use tidemill_schemas::value::Value;

use super::*;
use crate::arbitrary;
use crate::event_store::{encode, image};
use crate::page::changes_to_batch;

/// What a batch says of a property, by row and type; numbers as decimals, whatever their column's scale.
fn told(batch: &RecordBatch) -> BTreeMap<(String, String, usize), String> {
    let mut told = BTreeMap::new();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let Some(property) = field.metadata().get(META_PROPERTY) else { continue };
        let at = &field.metadata()[META_TYPE];
        for row in (0..batch.num_rows()).filter(|row| array.is_valid(*row)) {
            let shown = arrow::util::display::array_value_to_string(array, row).expect("a value");
            let shown = if at == "number" { shown.parse::<Decimal>().expect("a number").to_string() } else { shown };
            told.insert((property.clone(), at.clone(), row), shown);
        }
    }
    told
}

fn items(events: &[Event]) -> Vec<Item> {
    events.iter().map(|event| Item { rank: event.rev, body: encode(event).expect("an event") }).collect()
}

proptest! {
    #[test]
    fn an_image_is_its_event(event in arbitrary::event()) {
        let item = Item { rank: event.rev, body: encode(&event).unwrap() };
        prop_assert_eq!(image(&item).unwrap().event().unwrap(), event);
    }

    #[test]
    fn images_say_what_whole_events_say(events in proptest::collection::vec(arbitrary::event(), 0..12)) {
        let items = items(&events);
        let images: Vec<Image<'_>> = items.iter().map(|item| image(item).unwrap()).collect();
        let images: Vec<&Image<'_>> = images.iter().collect();
        let wanted: BTreeSet<Column> = events
            .iter()
            .flat_map(|event| event.properties.keys().cloned().map(Column::Property))
            .chain([Column::Id, Column::Source, Column::Name, Column::Actor, Column::Time])
            .collect();
        let whole = changes_to_batch(&events.iter().collect::<Vec<_>>()).unwrap();
        // Without a common scale whole events have room in `$rare`, and this way says so.
        let Some(batch) = images_to_batch(&images, &wanted).unwrap() else { return Ok(()) };
        prop_assert_eq!(told(&batch), told(&whole));
        for column in ["id", "source", "name", "actor", "time", "received"] {
            let shown = |batch: &RecordBatch, row| {
                // Instants as microseconds: their zone is of no concern.
                let array = batch.column_by_name(column).unwrap();
                let array = match array.data_type() {
                    DataType::Timestamp(..) => arrow::compute::cast(array, &DataType::Int64).unwrap(),
                    _ => array.clone(),
                };
                arrow::util::display::array_value_to_string(&array, row).unwrap()
            };
            for row in 0..events.len() {
                prop_assert_eq!(shown(&batch, row), shown(&whole, row));
            }
        }
    }
}

#[test]
fn only_what_is_wanted_is_read() {
    let event = |value: Value| Event {
        properties: BTreeMap::from([("a".to_owned(), value), ("b".to_owned(), Value::Bool(true))]),
        ..crate::codec::native::tombstone("i".to_owned(), "s".to_owned(), 0, arbitrary::now())
    };
    let items = items(&[event(Value::Number(Decimal::from(7i64))), event(Value::Text("t".to_owned()))]);
    let images: Vec<Image<'_>> = items.iter().map(|item| image(item).expect("an image")).collect();
    let wanted = BTreeSet::from([Column::Property("a".to_owned()), Column::Property("none".to_owned())]);
    let batch = images_to_batch(&images.iter().collect::<Vec<_>>(), &wanted).expect("columns").expect("a scale");
    let of = |at: &str, row: usize, shown: &str| (("a".to_owned(), at.to_owned(), row), shown.to_owned());
    assert_eq!(told(&batch), BTreeMap::from([of("number", 0, "7"), of("text", 1, "t")]));
    assert_eq!(batch.num_columns(), 3);
}
