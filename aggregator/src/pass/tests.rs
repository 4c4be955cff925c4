use proptest::prelude::*;
use tidemill_ingest::page::footer::Opened;
use tidemill_ingest::page::{Record, Wanted, encode};
use tidemill_schemas::calendar::{Zone, utc_date};
use tidemill_schemas::event::Event;
use tidemill_schemas::value::Type;

use super::*;
use crate::fold::Limits;
use crate::fold::reach::{Need, Reach};
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
    let mut days: std::collections::BTreeMap<Date, Vec<Record>> = std::collections::BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let record = Record { event: event(at, row), correction: false };
        days.entry(utc_date(row.time)).or_default().push(record);
    }
    let page = |day: Date, records: &[Record]| encode("shop", day, records, &|_| Type::Text).unwrap().bytes;
    days.into_iter()
        .map(|(day, records)| (day, records.chunks(at_most).map(|chunk| page(day, chunk)).collect()))
        .collect()
}

fn groups(bytes: &bytes::Bytes, plans: &[Arc<Plan>], reaches: &mut [Reach]) -> Vec<Group> {
    let parts = Parts::whole(bytes.clone());
    let Opened::Footer(footer) = Footer::open(&parts, bytes.len() as u64, false).unwrap() else { panic!("cut off") };
    let footer = Arc::new(footer);
    let wanted: BTreeSet<Column> = plans.iter().flat_map(|plan| plan.columns().iter().cloned()).collect();
    let mut groups = Vec::new();
    for (group, count) in footer.groups().enumerate() {
        let bounds = footer.bounds(group);
        let need = reaches.iter_mut().fold(Need::default(), |need, reach| need.or(reach.need(&bounds)));
        if need.rows {
            let wanted = Wanted::Columns { columns: &wanted, identity: false };
            let columns = footer.columns(wanted, need.time, need.received);
            let (page, footer, parts) = ("page".into(), footer.clone(), parts.clone());
            groups.push(Group {
                page,
                footer,
                group,
                parts,
                columns,
                rows: Rows::All,
                count,
                bounds,
                corrected: None,
                wanted_by: vec![true; plans.len()],
            });
        }
    }
    groups
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
    let mut reaches: Vec<Reach> = plans.iter().map(|plan| Reach::new(plan, date(FIRST), date(LAST))).collect();
    futures::executor::block_on(async {
        let mut all = Vec::new();
        for (day, pages) in pages {
            for group in pages.iter().flat_map(|page| groups(page, plans, &mut reaches)) {
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
        let pages = pages(&rows, at_most);
        let crew = by_crew(&plans, &pages, workers);
        for (plan, days) in plans.iter().zip(crew) {
            let spill = Box::new(MemorySpill::default());
            let mut fold = Fold::new(plan.clone(), date(FIRST), date(LAST), Limits::default(), spill);
            fold.update(&batch(&rows, Layout::default()), None).unwrap();
            let whole = fold.finish().unwrap();
            let whole: Vec<_> = whole.iter().map(|(date, day)| (*date, states::to_bytes(day).unwrap())).collect();
            prop_assert_eq!(days, whole);
        }
    }
}

#[test]
fn a_page_that_is_damaged_ends_the_pass() {
    let rows = [row("2026-10-25T10:00:00Z", &[("amount", number("1"))])];
    let plans = [Arc::new(Plan::new(&definition(every_metric(), &[], "UTC")))];
    let pages = pages(&rows, 10);
    let mut reaches = [Reach::new(&plans[0], date(FIRST), date(LAST))];
    for workers in [1, 2] {
        let mut group = groups(&pages[0].1[0], &plans, &mut reaches).remove(0);
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
