use proptest::prelude::*;
use tidemill_ingest::manifest::PageRef;
use tidemill_ingest::page::footer::Opened;
use tidemill_ingest::page::{Record, encode};
use tidemill_schemas::calendar::{Zone, utc_date};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::{Expr, Read};
use tidemill_schemas::metric::Function;
use tidemill_schemas::value::Type;

use super::*;
use crate::fold::Limits;
use crate::fold::reach::Reach;
use crate::on_request_crew::Crew;
use crate::on_request_read::{Insight, Open, Reading, planned};
use crate::spill::MemorySpill;
use crate::states;
use crate::testing::*;

const FIRST: &str = "2026-10-24";
const LAST: &str = "2026-10-27";

fn event(at: usize, row: &Row) -> Event {
    Event {
        id: format!("e{at}"),
        source: row.source.clone(),
        name: row.name.clone(),
        actor: row.actor.clone(),
        time: row.time,
        received: row.received,
        rev: 0,
        deleted: false,
        properties: row.properties.clone().into_iter().collect(),
    }
}

/// Pages of these rows by UTC day, some rows each.
fn pages(rows: &[Row], at_most: usize) -> Vec<(Date, Vec<bytes::Bytes>)> {
    let mut days: BTreeMap<Date, Vec<Record>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let record = Record { event: event(at, row), correction: false };
        days.entry(utc_date(row.time)).or_default().push(record);
    }
    let page = |day: Date, records: &[Record]| encode("shop", day, records, &|_| Type::Text).unwrap().bytes;
    days.into_iter()
        .map(|(day, records)| (day, records.chunks(at_most).map(|chunk| page(day, chunk)).collect()))
        .collect()
}

/// What these plans read.
fn reading(plans: &[Arc<Plan>]) -> Reading {
    let insight = |plan: &Arc<Plan>| Insight {
        names: plan.names.clone(),
        source: plan.source.clone(),
        reach: Some(Reach::new(plan, date(FIRST), date(LAST))),
        values: plan.counts_values(),
        included: BTreeSet::new(),
    };
    let columns = plans.iter().flat_map(|plan| plan.columns().iter().cloned()).collect();
    Reading { columns, insights: plans.iter().map(insight).collect() }
}

fn groups(bytes: &bytes::Bytes, reading: &mut Reading) -> Vec<Group> {
    let whole = Parts::whole(bytes.clone());
    let Opened::Footer(footer) = Footer::open(&whole, bytes.len() as u64, true).unwrap() else { panic!("cut off") };
    let page = PageRef {
        tenant: "main".into(),
        source: "shop".into(),
        day: date(FIRST),
        object: "page".into(),
        bytes: bytes.len() as u64,
        hash: String::new(),
        rows: 0,
        corrections: 0,
        min_time: at("2026-10-23T00:00:00Z"),
        max_time: at("2026-10-28T00:00:00Z"),
    };
    let open = Open { page, footer, whole: Some(whole), corrected: None };
    planned(open, reading).into_iter().map(|(group, _)| group).collect()
}

/// The days of every insight by a crew of that many workers.
fn by_crew(plans: &[Arc<Plan>], pages: &[(Date, Vec<bytes::Bytes>)], workers: usize) -> Vec<Vec<(Date, Vec<u8>)>> {
    let wanted: Arc<BTreeSet<Column>> =
        Arc::new(plans.iter().flat_map(|plan| plan.columns().iter().cloned()).collect());
    let limits = Limits::default();
    let fold = |plan: &Arc<Plan>| {
        Some(Fold::new(plan.clone(), date(FIRST), date(LAST), limits, Box::new(MemorySpill::default())))
    };
    let folds = (0..workers).map(|_| Folds::new(plans.iter().map(fold).collect(), wanted.clone())).collect();
    let mut crew = Crew::start(plans.to_vec(), limits.groups_max, folds);
    let mut reading = reading(plans);
    futures::executor::block_on(async {
        let mut all = Vec::new();
        for (day, pages) in pages {
            for group in pages.iter().flat_map(|page| groups(page, &mut reading)) {
                assert!(crew.fold(group).await.is_empty());
            }
            all.extend(crew.finish_before(Zone::utc().day(*day).end).await.0);
        }
        all.extend(crew.end().await.0);
        let mut days = vec![Vec::new(); plans.len()];
        for (at, over) in all.into_iter().flatten() {
            days[at].extend(over.iter().map(|(date, cells)| (*date, states::to_bytes(cells).unwrap())));
        }
        days
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neither_workers_nor_what_statistics_spare_ever_show(
        rows in rows(),
        at_most in 1usize..30,
        workers in 1usize..4,
    ) {
        let plan = |by: &[&str], zone: &str| Arc::new(Plan::new(&definition(every_metric(), by, zone)));
        let plans = [plan(&[], "UTC"), plan(&["country"], "Europe/Berlin"), plan(&["kind", "country"], "Asia/Kolkata")];
        prop_assert_eq!(by_crew(&plans, &pages(&rows, at_most), workers), by_fold(&plans, &rows));
    }

    #[test]
    fn values_counted_without_rows_are_those_of_the_rows(
        days in proptest::collection::vec(rows(), 1..6),
        workers in 1usize..3,
    ) {
        let actors = || Expr::Read(Read { column: Column::Actor, at: None });
        let metrics = || vec![
            metric("rows", Function::Count),
            metric("actors", Function::CountDistinct(actors())),
            metric("about", Function::ApproxCountDistinct(actors())),
        ];
        let plan = |zone: &str| Arc::new(Plan::new(&definition(metrics(), &[], zone)));
        // As many rows as give a page dictionaries.
        let prompt = |row: Row| Row { received: row.time, ..row };
        let rows: Vec<Row> = days.into_iter().flatten().map(prompt).collect();
        let rows: Vec<Row> = rows.iter().cycle().take(rows.len() * 60).cloned().collect();
        let pages = pages(&rows, 5_000);
        for zone in ["UTC", "Asia/Kolkata"] {
            let plans = [plan(zone)];
            let mut reading = reading(&plans);
            let large = pages.iter().flat_map(|(_, pages)| pages).flat_map(|page| groups(page, &mut reading));
            for group in large.filter(|group| group.count >= 512) {
                prop_assert!(zone != "UTC" || matches!(group.what, What::Values(_)));
            }
            prop_assert_eq!(by_crew(&plans, &pages, workers), by_fold(&plans, &rows));
        }
    }
}

/// The same by a fold of each insight over all rows at once.
fn by_fold(plans: &[Arc<Plan>], rows: &[Row]) -> Vec<Vec<(Date, Vec<u8>)>> {
    let days = |plan: &Arc<Plan>| {
        let spill = Box::new(MemorySpill::default());
        let mut fold = Fold::new(plan.clone(), date(FIRST), date(LAST), Limits::default(), spill);
        fold.update(&batch(rows, Layout::default()), None).unwrap();
        let days = fold.finish().unwrap();
        days.iter().map(|(date, day)| (*date, states::to_bytes(day).unwrap())).collect()
    };
    plans.iter().map(days).collect()
}

#[test]
fn a_page_that_is_damaged_ends_the_pass() {
    let rows = [row("2026-10-25T10:00:00Z", &[("amount", number("1"))])];
    let plans = [Arc::new(Plan::new(&definition(every_metric(), &[], "UTC")))];
    let pages = pages(&rows, 10);
    for workers in [1, 2] {
        let mut group = groups(&pages[0].1[0], &mut reading(&plans)).remove(0);
        group.parts = Parts::new(group.parts.length(), Vec::new());
        let fold = || {
            Fold::new(plans[0].clone(), date(FIRST), date(LAST), Limits::default(), Box::new(MemorySpill::default()))
        };
        let columns = Arc::new(plans[0].columns().clone());
        let folds = (0..workers).map(|_| Folds::new(vec![Some(fold())], columns.clone())).collect();
        let mut crew = Crew::start(plans.to_vec(), 10, folds);
        let broken = futures::executor::block_on(async {
            let mut broken = crew.fold(group).await;
            broken.extend(crew.end().await.1);
            broken
        });
        assert!(matches!(broken.as_slice(), [Broken::Page(why)] if why.contains("unreadable")), "{broken:?}");
    }
}
