//! What the unit tests share: rows, batches of them in any encoding a page may have, definitions, and random ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use proptest::prelude::*;
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::calendar::{Date, WeekStart, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::{Body, Definition, From, Refresh, Standard};
use tidemill_schemas::expression::{Column, Comparison, Expr, Read};
use tidemill_schemas::metric::{Function, Metric};
use tidemill_schemas::page;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Type, Value};

use crate::columns::Frame;
use crate::eval::EvalError;
use crate::fold::{Fold, Limits};
use crate::metric::DayCells;
use crate::plan::Plan;
use crate::spill::MemorySpill;

/// An event as tests write it.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub source: String,
    pub actor: Option<String>,
    pub time: Timestamp,
    pub received: Timestamp,
    pub properties: BTreeMap<String, Value>,
}

/// How a batch is laid out; nothing of it may show in a result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Texts without dictionaries.
    pub plain: bool,
    /// Numbers as decimals even where they are integers.
    pub decimals: bool,
    /// Every property in `$rare`.
    pub rare: bool,
}

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub fn number(text: &str) -> Value {
    Value::Number(Decimal::parse(text).unwrap())
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn read(key: &str, wanted: Type) -> Expr {
    Expr::Read(Read { column: Column::Property(key.to_owned()), at: Some(wanted) })
}

pub fn any(key: &str) -> Expr {
    Expr::Read(Read { column: Column::Property(key.to_owned()), at: None })
}

pub fn amount() -> Expr {
    read("amount", Type::Number)
}

pub fn row(time: &str, properties: &[(&str, Value)]) -> Row {
    Row {
        id: "e".to_owned(),
        name: "order".to_owned(),
        source: "shop".to_owned(),
        actor: None,
        time: at(time),
        received: at(time),
        properties: properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    }
}

fn texts(values: Vec<Option<String>>, plain: bool) -> ArrayRef {
    let values = values.iter().map(|value| value.as_deref());
    if plain {
        Arc::new(values.collect::<StringArray>())
    } else {
        Arc::new(values.collect::<DictionaryArray<Int32Type>>())
    }
}

fn property(rows: &[Row], key: &str, wanted: Type, layout: Layout) -> Option<(Field, ArrayRef)> {
    let values: Vec<Option<&Value>> =
        rows.iter().map(|row| row.properties.get(key).filter(|value| value.type_of() == Some(wanted))).collect();
    values.iter().flatten().next()?;
    let array: ArrayRef = match wanted {
        Type::Bool => {
            let bools = values.iter().map(|value| value.map(|value| *value == Value::Bool(true)));
            Arc::new(bools.collect::<BooleanArray>())
        }
        Type::Number => {
            let decimal = |value: &Option<&Value>| match value {
                Some(Value::Number(number)) => Some(*number),
                _ => None,
            };
            let numbers: Vec<Option<Decimal>> = values.iter().map(decimal).collect();
            let scale = numbers.iter().flatten().map(|number| number.scale()).max().unwrap_or(0);
            let unscaled = |number: &Decimal| number.unscaled_at(scale).unwrap();
            let fits = |number: &Decimal| number.scale() == 0 && i64::try_from(number.unscaled()).is_ok();
            if !layout.decimals && numbers.iter().flatten().all(fits) {
                let narrow = |number: &Option<Decimal>| number.map(|n| i64::try_from(n.unscaled()).unwrap());
                Arc::new(numbers.iter().map(narrow).collect::<Int64Array>())
            } else {
                let wide = numbers.iter().map(|number| number.as_ref().map(unscaled));
                let array: Decimal128Array = wide.collect();
                Arc::new(array.with_precision_and_scale(38, scale as i8).unwrap())
            }
        }
        _ => {
            let text = |value: &Option<&Value>| match value {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            };
            texts(values.iter().map(text).collect(), layout.plain)
        }
    };
    let metadata = HashMap::from([
        (page::META_PROPERTY.to_owned(), key.to_owned()),
        (page::META_TYPE.to_owned(), wanted.word().to_owned()),
    ]);
    let name = page::column_name(key, wanted, Type::Text);
    Some((Field::new(name, array.data_type().clone(), true).with_metadata(metadata), array))
}

/// The rows as a batch with the page schema.
pub fn batch(rows: &[Row], layout: Layout) -> RecordBatch {
    let times = |of: fn(&Row) -> Timestamp| -> ArrayRef {
        let micros = rows.iter().map(|row| of(row).micros());
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    };
    let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        columns.push((Field::new(name, array.data_type().clone(), true), array));
    };
    add(page::ID, texts(rows.iter().map(|row| Some(row.id.clone())).collect(), true));
    add(page::SOURCE, texts(rows.iter().map(|row| Some(row.source.clone())).collect(), layout.plain));
    add(page::NAME, texts(rows.iter().map(|row| Some(row.name.clone())).collect(), layout.plain));
    add(page::ACTOR, texts(rows.iter().map(|row| row.actor.clone()).collect(), layout.plain));
    add(page::TIME, times(|row| row.time));
    add(page::RECEIVED, times(|row| row.received));
    if layout.rare {
        let object = |row: &Row| {
            let mut json = String::from("{");
            for (key, value) in &row.properties {
                json.push_str(if json.len() > 1 { "," } else { "" });
                json.push_str(&format!("\"{key}\":"));
                value.write_json(&mut json);
            }
            (json.len() > 1).then(|| json + "}")
        };
        add(page::RARE, texts(rows.iter().map(object).collect(), true));
    } else {
        let mut keys: Vec<&String> = rows.iter().flat_map(|row| row.properties.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            columns.extend(
                [Type::Bool, Type::Number, Type::Text].into_iter().filter_map(|t| property(rows, key, t, layout)),
            );
        }
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub fn metric(name: &str, function: Function) -> Metric {
    Metric { name: name.to_owned(), function, filter: None }
}

pub fn definition(metrics: Vec<Metric>, by: &[&str], zone: &str) -> Definition {
    Definition {
        name: "revenue".to_owned(),
        title: None,
        owner: None,
        source: None,
        timezone: Zone::named(zone).unwrap(),
        week_start: WeekStart::Sunday,
        refresh: Refresh::Minutes5,
        by: by.iter().map(|key| Column::Property((*key).to_owned())).collect(),
        top: 2,
        alerts: Vec::new(),
        body: Body::Standard(Standard { from: From::All, filter: None, metrics }),
    }
}

/// One metric of every kind.
pub fn every_metric() -> Vec<Metric> {
    let paid = Expr::Compare(Comparison::Gt, Box::new(amount()), Box::new(Expr::Literal(number("0.5"))));
    let mut metrics = vec![
        metric("rows", Function::Count),
        metric("kinds", Function::CountOf(any("kind"))),
        metric("sum", Function::Sum(amount())),
        metric("avg", Function::Avg(amount())),
        metric("least", Function::Min(amount())),
        metric("last_country", Function::Max(read("country", Type::Text))),
        metric("paid", Function::Percent(paid.clone())),
        metric("distinct", Function::CountDistinct(any("kind"))),
        metric("amounts", Function::CountDistinct(amount())),
        metric("approx", Function::ApproxCountDistinct(amount())),
        metric("median", Function::Quantile(amount(), Decimal::parse("0.5").unwrap())),
    ];
    metrics.push(Metric { filter: Some(paid), ..metric("paid_sum", Function::Sum(amount())) });
    metrics
}

/// Counts and sums only.
pub fn additive_metrics() -> Vec<Metric> {
    every_metric().into_iter().filter(|metric| metric.function.is_additive()).collect()
}

/// Numbers of every shape.
pub fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-5i64..20).prop_map(|n| Value::Number(Decimal::from(n))),
        3 => (-5000i128..5000, 0u32..4).prop_map(|(n, scale)| Value::Number(Decimal::new(n, scale).unwrap())),
        1 => any_i64(),
    ]
}

fn any_i64() -> impl Strategy<Value = Value> {
    proptest::num::i64::ANY.prop_map(|n| Value::Number(Decimal::from(n)))
}

/// Events of a few days around a change of clocks in Berlin.
pub fn rows() -> impl Strategy<Value = Vec<Row>> {
    let texts = prop_oneof![Just(""), Just("a"), Just("B"), Just("de"), Just("Ärger"), Just("34"), Just("a%c")];
    let kind = prop_oneof![
        Just(Value::Null),
        texts.clone().prop_map(text),
        numbers(),
        proptest::bool::ANY.prop_map(Value::Bool)
    ];
    let country = proptest::option::of(texts);
    let start = at("2026-10-23T00:00:00Z").micros();
    let minute = 60_000_000i64;
    let one = (0i64..5 * 24 * 60, 0i64..3000, country, kind, proptest::option::of(numbers()), 0usize..3).prop_map(
        move |(minutes, delay, country, kind, amount, name)| {
            let time = Timestamp::from_micros(start + minutes * minute);
            let mut properties = BTreeMap::new();
            if let Some(country) = country {
                properties.insert("country".to_owned(), text(country));
            }
            if kind != Value::Null {
                properties.insert("kind".to_owned(), kind);
            }
            if let Some(amount) = amount {
                properties.insert("amount".to_owned(), amount);
            }
            Row {
                id: minutes.to_string(),
                name: ["order", "visit", "search"][name].to_owned(),
                source: "shop".to_owned(),
                actor: (minutes % 3 > 0).then(|| format!("u{}", minutes % 7)),
                time,
                received: time.plus_micros(delay * minute),
                properties,
            }
        },
    );
    proptest::collection::vec(one, 0..60)
}

/// Any layout.
pub fn layouts() -> impl Strategy<Value = Layout> {
    (proptest::bool::ANY, proptest::bool::ANY, proptest::bool::weighted(0.2))
        .prop_map(|(plain, decimals, rare)| Layout { plain, decimals, rare })
}

/// The cells of one day of all rows.
pub fn cells(plan: &Arc<Plan>, rows: &[Row]) -> DayCells {
    let (first, last) = (date("2026-10-23"), date("2026-10-28"));
    let mut fold = Fold::new(Arc::clone(plan), first, last, Limits::default(), Box::new(MemorySpill::default()));
    fold.update(&batch(rows, Layout::default()), None).unwrap();
    let mut merged = DayCells::empty(plan);
    fold.finish().unwrap().into_iter().for_each(|(_, day)| merged.merge(day).unwrap());
    merged
}

/// A frame of a batch on its own.
pub fn frame_of<'a>(batch: &'a RecordBatch, wanted: &BTreeSet<Column>) -> Result<Frame<'a>, EvalError> {
    Frame::new(batch, wanted, Bounds::default(), Box::leak(Box::default()))
}
