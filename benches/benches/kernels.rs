//! Kernels: what one step costs, apart from everything around it. `cargo bench --bench kernels`.
//!
//! Every step works on the same generated events, in memory: 40,960 of them as JSON, as events, as a page and as the
//! batches of that page. Throughput is in events.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill_aggregator::additive::deltas;
use tidemill_aggregator::content::Content;
use tidemill_aggregator::fold::{Fold, Limits};
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::spill_store::{FileSpill, scratch};
use tidemill_aggregator::states::merge::merge;
use tidemill_aggregator::states::to_content;
use tidemill_benches::events::ndjson;
use tidemill_benches::project::FIRST;
use tidemill_ingest::codec::body;
use tidemill_ingest::page::{Record, Wanted, changes_to_batch, encode, open};
use tidemill_schemas::definition::parse::parse;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Type, Value};
use tidemill_tests::history::History;

/// Events every step works on.
const ROWS: u64 = 40_960;
/// Days merged.
const DAYS: usize = 31;

/// The same events in every form.
struct Forms {
    json: Vec<u8>,
    now: Timestamp,
    events: Vec<Event>,
    page: Bytes,
}

impl Forms {
    fn new() -> Forms {
        let mut history = History::new(ROWS, 1, FIRST, 1);
        history.open(ROWS);
        let (mut json, mut first) = (String::new(), 0);
        while let Some(batch) = history.batch(FIRST, ROWS, first) {
            first += batch.num_rows() as u64;
            json.push_str(&ndjson(&batch, |time| time));
        }
        let now = Timestamp::parse("2026-01-01T00:00:00Z").expect("a time");
        let decoded = body::decode(json.as_bytes(), "default", now).expect("a body");
        let events: Vec<Event> = decoded.events.into_iter().map(|event| event.expect("an event")).collect();
        let page = encode("default", FIRST, &records(&events), &primary).expect("a page").bytes;
        Forms { json: json.into_bytes(), now, events, page }
    }

    fn batches(&self, plan: &Plan) -> Vec<RecordBatch> {
        let wanted = Wanted::Columns { columns: plan.columns(), identity: false };
        open(self.page.clone(), wanted).expect("a page").map(|batch| batch.expect("a batch")).collect()
    }
}

fn records(events: &[Event]) -> Vec<Record> {
    events.iter().map(|event| Record { event: event.clone(), correction: false }).collect()
}

/// The type a property was first seen with: that of the generator.
fn primary(property: &str) -> Type {
    if ["amount", "duration_ms"].contains(&property) { Type::Number } else { Type::Text }
}

fn plan(metrics: &str, rest: &str) -> Arc<Plan> {
    let text = format!("insight: kernel\ntype: standard\n{rest}\nmetrics:\n  value: {metrics}\n");
    let parsed = parse("kernel.yaml", &text).expect("a definition");
    Arc::new(Plan::new(&parsed[0].definition))
}

fn fold(plan: &Arc<Plan>, batches: &[RecordBatch]) -> Fold {
    let mut fold = Fold::new(plan.clone(), FIRST, FIRST, Limits::default(), Box::new(FileSpill::default()));
    for batch in batches {
        fold.update(batch, None).expect("a fold");
    }
    fold
}

fn reading(criterion: &mut Criterion) {
    let forms = Forms::new();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(ROWS));
    let distinct = plan("count(distinct actor)", "from: '*'");
    group.bench_function("decode time, name and actor of a page", |bench| {
        let columns: BTreeSet<_> =
            distinct.columns().iter().cloned().chain(plan("count(*)", "from: a").columns().iter().cloned()).collect();
        bench.iter(|| {
            let wanted = Wanted::Columns { columns: &columns, identity: false };
            open(forms.page.clone(), wanted)
                .expect("a page")
                .map(|batch| batch.expect("a batch").num_rows())
                .sum::<usize>()
        });
    });
    for (name, plan) in [
        ("filter by name and sum", plan("sum(amount)", "from: purchase")),
        ("filter by two columns and count", plan("count(*)", "from: product_view\nwhere: plan = 'pro'")),
        ("group by device and average", plan("avg(duration_ms)", "from: '*'\nby: [device]")),
        ("group by path and count", plan("count(*)", "from: '*'\nby: [path]")),
        ("count distinct actors", distinct),
        ("estimate distinct actors", plan("approx_count_distinct(actor)", "from: '*'")),
        ("median", plan("quantile(duration_ms, 0.5)", "from: '*'")),
    ] {
        let batches = forms.batches(&plan);
        group.bench_function(name, |bench| bench.iter(|| fold(&plan, &batches).finish().expect("a day")));
    }
    group.finish();
}

fn merging(criterion: &mut Criterion) {
    let forms = Forms::new();
    let plan = plan("count(distinct actor)", "from: '*'");
    let mut events = forms.events.clone();
    let contents: Vec<Content> = (0..DAYS)
        .map(|day| {
            // Every day has some actors of its own.
            for event in events.iter_mut().skip(day % 7).step_by(7) {
                event.actor = Some(format!("{}-{day}", event.id));
            }
            let refs: Vec<&Event> = events.iter().collect();
            let days = fold(&plan, &[changes_to_batch(&refs).expect("a batch")]).finish().expect("a day");
            to_content(&days[0].1, scratch()).expect("memory")
        })
        .collect();
    let bytes: u64 = contents.iter().map(Content::bytes).sum();
    let mut group = criterion.benchmark_group("merge");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("31 days of distinct actors", |bench| {
        bench.iter(|| merge(&plan, &contents, &scratch()).expect("memory").total.events);
    });
    group.finish();
}

fn arriving(criterion: &mut Criterion) {
    let forms = Forms::new();
    let mut group = criterion.benchmark_group("arrive");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("parse and validate JSON", |bench| {
        bench.iter(|| body::decode(&forms.json, "default", forms.now).expect("a body").events.len());
    });
    group.bench_function("keys of events", |bench| {
        let tenant = Tenant::local();
        bench.iter(|| {
            for event in &forms.events {
                black_box(keys::event(&tenant, &event.source, &event.id));
            }
        });
    });
    let records = records(&forms.events);
    group.bench_function("encode a page", |bench| {
        bench.iter(|| encode("default", FIRST, &records, &primary).expect("a page").bytes.len());
    });
    let refs: Vec<&Event> = forms.events.iter().collect();
    group.bench_function("columns of changes", |bench| {
        bench.iter(|| changes_to_batch(&refs).expect("a batch").num_rows());
    });
    let batch = changes_to_batch(&refs).expect("a batch");
    let totals = plan("sum(amount)", "from: purchase\nby: [country]");
    group.bench_function("fold into running totals", |bench| {
        bench.iter(|| deltas(&totals, &batch, None, 1).expect("totals").len());
    });
    group.finish();
    assert!(forms.events.iter().all(|event| !matches!(event.properties.get("country"), None | Some(Value::Null))));
}

criterion_group!(kernels, reading, merging, arriving);
criterion_main!(kernels);
