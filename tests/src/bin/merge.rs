//! `merge`: folds a year of large days and says what it took.
//!
//!     cargo run --release -p tidemill-tests --bin merge -- [DAYS] [ACTORS_A_DAY] [ACTORS]
//!
//! Makes the states of days with so many distinct actors each (366 days of 500,000 out of 5,000,000 unless told
//! otherwise) on disk, asks for their week, month, quarter and year, and prints the size of the states, the time to
//! merge them and the process's peak memory. The counts are checked against a bitmap.

use std::sync::Arc;
use std::time::Duration;

use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::finish;
use tidemill_aggregator::metric::sorted::{Member, Sorted};
use tidemill_aggregator::metric::{DayCells, State};
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_aggregator::spill_store::scratch;
use tidemill_aggregator::states;
use tidemill_local::local_blobs;
use tidemill_ports::{Clock, Context, Outcome, SystemClock};
use tidemill_rollups::on_merge::on_merge;
use tidemill_schemas::calendar::{self, Date, Period, WeekStart, tzdb_version};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::snapshot::{BlobRange, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::window::Through;
use tidemill_tests::generator::Random;
use tidemill_tests::world::World;

const DEFINITION: &str =
    "insight: actors\ntype: standard\nfrom: '*'\nmetrics: { actors: count(distinct actor) }\ntimezone: Europe/Berlin\n";

/// A year of days, the set of actors of each drawn from all.
struct Year {
    context: Context,
    held: Held,
    plan: Plan,
    actors: usize,
    seen: Vec<u64>,
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let mut number = |default| numbers.next().unwrap_or(default);
    let (days, a_day, actors) = (number(366), number(500_000), number(5_000_000));
    let folder = tempfile::tempdir().expect("a folder for scratch files");
    let (first, clock) = (Date::constant(2024, 1, 1), SystemClock);
    let world = World::new(clock.now(), 1);
    world.apply("actors", DEFINITION).await;
    let blobs = local_blobs(folder.path()).expect("the folder opens");
    let context = Context { blobs, clock: Arc::new(SystemClock), ..world.ports.context() };
    let held =
        DefinitionStore::new(&context).get(&Tenant::local(), "actors").await.expect("readable").expect("applied");
    let plan = Plan::new(&held.applied.definition);
    let mut year = Year { context, held, plan, actors, seen: vec![0; actors.div_ceil(64)] };
    let (mut bytes, started) = (0, clock.now());
    let last = first.checked_add(calendar_days(days)).expect("a date").yesterday().expect("a date");
    for (at, date) in calendar::dates(first, last).enumerate() {
        bytes += year.day(at as u64, date, a_day).await;
    }
    let made = Duration::from_micros((clock.now().micros() - started.micros()).unsigned_abs());
    println!("{days} days of {a_day} actors: {} MB of states, made in {:.1} s", bytes / 1_000_000, made.as_secs_f64());
    println!("peak memory so far {} MB", peak_megabytes());
    for period in [Period::Week, Period::Month, Period::Quarter, Period::Year] {
        let at = if period == Period::Week { Date::constant(2024, 1, 10) } else { first };
        let span = (period.first(at, WeekStart::Sunday), period.last(at, WeekStart::Sunday));
        if span.1 <= last {
            year.roll_up(period, span, (first, last)).await;
        }
    }
}

fn calendar_days(days: usize) -> Duration {
    Duration::from_secs(days as u64 * 86_400)
}

impl Year {
    fn series(&self, period: Period) -> Series<'_> {
        let tenant: &'static Tenant = Box::leak(Box::new(Tenant::local()));
        Series { tenant, insight: "actors", fingerprint: &self.held.applied.fingerprint, period }
    }

    /// Publishes a day; the bytes of its states.
    async fn day(&mut self, seed: u64, date: Date, a_day: usize) -> u64 {
        let mut random = Random::of(seed);
        let mut members: Vec<u128> = Vec::with_capacity(a_day);
        for _ in 0..a_day {
            let actor = random.below(self.actors as u64) as usize;
            self.seen[actor / 64] |= 1 << (actor % 64);
            members.push(tidemill_schemas::value::hash_text(&actor.to_string()));
        }
        members.sort_unstable();
        members.dedup();
        let mut cells = DayCells::empty(&self.plan);
        cells.total.events = a_day as u64;
        cells.total.states = vec![State::Distinct(Sorted::of_sorted(members.into_iter().map(Member::from).collect()))];
        let states = states::to_content(&cells, scratch()).expect("scratch space");
        let store = SnapshotStore::new(&self.context);
        let tenant = Tenant::local();
        let fingerprint = self.held.applied.fingerprint.clone();
        let series = Series { tenant: &tenant, insight: "actors", fingerprint: &fingerprint, period: Period::Day };
        let name = series.blob("states", (date, date), self.context.clock.now(), &states);
        let object = store.put_blob(&tenant, &name, &states).await.expect("disk space");
        let window = self.plan.zone.day(date);
        let header = Header {
            format: SNAPSHOT_FORMAT,
            insight: "actors".to_owned(),
            fingerprint: self.held.applied.fingerprint.clone(),
            period: Period::Day,
            start: date,
            window,
            tzdb: tzdb_version().to_owned(),
            input: Input::Pages,
            through: Through::default(),
            watermark: window.end,
            pages: String::new(),
            computed_at: window.end,
            verified: Some(true),
            version: 1,
            detail: None,
            states: Some(BlobRange { object, offset: 0, bytes: states.bytes() }),
            content: Some(states.hash()),
            partial: false,
            missing: Vec::new(),
            merge_millis: None,
        };
        let digest = finish::digest(&self.plan, &cells).expect("a count fits");
        let snapshot = Snapshot { header, digest };
        store.commit(&self.series(Period::Day), &self.held, &[snapshot], Vec::new()).await.expect("memory writes");
        states.bytes()
    }

    async fn roll_up(&self, period: Period, (first, last): (Date, Date), all: (Date, Date)) {
        let request = ComputeSnapshotRequest {
            tenant: Tenant::local().0,
            insight: "actors".to_owned(),
            fingerprint: self.held.applied.fingerprint.clone(),
            period,
            first,
            last,
            reason: Reason::Rollup,
            requested_at: self.context.clock.now(),
        };
        RequestStore::new(&self.context).send(&[request]).await.expect("memory sends");
        let messages = self.context.requests.receive(10, 60).await.expect("memory receives");
        assert_eq!(on_merge(&self.context, 0, &messages).await, [Outcome::Done]);
        let stored = SnapshotStore::new(&self.context).get(&self.series(period), first).await;
        let Snapshot { header, digest } = stored.expect("readable").expect("published");
        let bytes = header.states.as_ref().map_or(0, |states| states.bytes);
        println!(
            "{:7} of {first}: {:?} actors, {} MB of states merged in {:.1} s, peak memory {} MB",
            period.word(),
            digest.values[0],
            bytes / 1_000_000,
            header.merge_millis.unwrap_or(0) as f64 / 1_000.0,
            peak_megabytes(),
        );
        if (first, last) == all {
            let seen: u64 = self.seen.iter().map(|word| u64::from(word.count_ones())).sum();
            let counted = tidemill_schemas::value::Value::Number(seen.into());
            assert_eq!(digest.values[0], counted, "the year's count is the bitmap's");
        }
    }
}

/// The most this process ever held, as the kernel says.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1_000
}
