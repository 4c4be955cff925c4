//! The event-source pump keeps the contract of AWS's event source mappings, in everything that hurts.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_seal::on_seal;
use tidemill_ports::{Change, Condition, Effect, Item, Message, Outcome, Table, Write};
use tidemill_schemas::keys::Key;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;
use tidemill_tests::generator::Random;
use tidemill_tests::memory::MemoryTable;
use tidemill_tests::pump::{Answer, Delivery, Mapping, Mode, TableLanes, TableShards, deliver_all, settle};
use tidemill_tests::world::{World, json};

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

/// Puts items of one rank each under `keys` partitions in turn.
fn write(table: &MemoryTable, ranks: std::ops::Range<u64>, keys: u64) {
    for rank in ranks {
        let key = Key { partition: format!("p{}", rank % keys).into_bytes(), sort: rank.to_be_bytes().to_vec() };
        let item = Item { rank, body: vec![1].into() };
        let put = Write { key, condition: Condition::None, effect: Effect::Put(item) };
        table.write(vec![put]).now_or_never().expect("memory is at once").expect("a put");
    }
}

fn rank(change: &Change) -> u64 {
    change.new.as_ref().map_or(0, |item| item.rank)
}

/// A feed of 200 changes whose shards rolled and split meanwhile.
fn resharded(random: &mut Random) -> Arc<MemoryTable> {
    let table = Arc::new(MemoryTable::new(2));
    table.make_sparse();
    for part in 0..20 {
        write(&table, part * 10..part * 10 + 10, 16);
        let lanes = table.shards().now_or_never().expect("memory is at once").expect("shards").len();
        let lane = random.below(lanes as u64) as usize;
        match random.below(4) {
            0 if lanes < 6 => table.split(lane),
            1 | 2 => table.roll(lane),
            _ => {}
        }
    }
    table
}

#[tokio::test]
async fn every_record_comes_in_order_per_lane_and_children_after_their_parents() {
    for seed in 0..40 {
        let mut random = Random::of(seed);
        let table = resharded(&mut random);
        let mut mapping = Mapping::new(Mode { batch_max: 7, ..Mode::patient() });
        let (mut through, mut first_seen) = (BTreeMap::<String, Position>::new(), Vec::new());
        let handler = async |delivery: Delivery| {
            let done = through.entry(delivery.range.lane.clone()).or_default();
            for change in &delivery.records {
                if change.position > *done {
                    *done = change.position;
                    first_seen.push((change.key.clone(), rank(change)));
                }
            }
            Outcome::Done
        };
        let source = TableShards(Arc::clone(&table));
        let told = deliver_all(&mut mapping, &source, NOW, &mut random, 30, handler).await.expect("memory reads");
        assert!(told.lost_answers > 0, "seed {seed}");
        let mut ranks: Vec<u64> = first_seen.iter().map(|(_, rank)| *rank).collect();
        // A partition's changes come in the order they were made, whichever lanes it went through.
        let mut of_partition: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (key, rank) in &first_seen {
            let before = of_partition.insert(key.partition.clone(), *rank);
            assert!(before.is_none_or(|before| before < *rank), "seed {seed}: {before:?} before {rank}");
        }
        ranks.sort();
        assert_eq!(ranks, (0..200).collect::<Vec<u64>>(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_retry_is_cut_anew() {
    let table = Arc::new(MemoryTable::new(1));
    write(&table, 0..50, 4);
    let (mut mapping, mut random) = (Mapping::new(Mode::patient()), Random::of(3));
    let mut lengths = Vec::new();
    let handler = async |delivery: Delivery| {
        lengths.push(delivery.records.len());
        if lengths.len() < 20 { Outcome::RetryFrom(delivery.range.first) } else { Outcome::Done }
    };
    deliver_all(&mut mapping, &TableShards(table), NOW, &mut random, 0, handler).await.expect("memory reads");
    let mut kinds = lengths[..20].to_vec();
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() > 5, "{lengths:?}");
}

#[tokio::test]
async fn a_partial_answer_resumes_at_the_first_record_that_failed() {
    let table = Arc::new(MemoryTable::new(1));
    write(&table, 0..10, 1);
    let (mut mapping, mut random) = (Mapping::new(Mode::patient()), Random::of(1));
    let source = TableShards(table);
    let mut now = NOW;
    let first = loop {
        let delivery = mapping.due(&source, now, &mut random).await.expect("memory reads").remove(0);
        if delivery.records.len() == 10 {
            break delivery;
        }
        mapping.ended(&delivery.range, delivery.records.len(), Answer::Failed, now, &mut random);
        now = now.plus_seconds(10);
    };
    mapping.ended(&first.range, 10, Answer::FailedFrom(Position(4)), now, &mut random);
    assert_eq!(mapping.through(&first.range.shard), Position(3));
    let again = mapping.due(&source, now.plus_seconds(10), &mut random).await.expect("memory reads").remove(0);
    assert_eq!(again.range.first, Position(4));
}

/// One poison record: bisection finds it, and it alone is given up and told.
#[tokio::test]
async fn a_poison_record_costs_itself_and_is_told() {
    for seed in 0..40 {
        let table = Arc::new(MemoryTable::new(1));
        table.make_sparse();
        write(&table, 0..60, 3);
        let poison = 1 + seed;
        let mode = Mode { retries_max: Some(2), bisects: true, ..Mode::patient() };
        let (mut mapping, mut random) = (Mapping::new(mode), Random::of(seed));
        let mut done = std::collections::BTreeSet::new();
        let handler = async |delivery: Delivery| {
            if delivery.records.iter().any(|change| rank(change) == poison) {
                return Outcome::Park("poison".to_owned());
            }
            done.extend(delivery.records.iter().map(rank));
            Outcome::Done
        };
        let source = TableShards(Arc::clone(&table));
        deliver_all(&mut mapping, &source, NOW, &mut random, 0, handler).await.expect("memory reads");
        let expected: std::collections::BTreeSet<u64> = (0..60).filter(|rank| *rank != poison).collect();
        assert_eq!(done, expected, "seed {seed}");
        let [given_up] = mapping.given_up.as_slice() else { panic!("seed {seed}: {:?}", mapping.given_up) };
        let gone = table.changes(&given_up.lane, Position(given_up.first.0 - 1), 1).await.expect("changes");
        assert_eq!((rank(&gone[0]), given_up.first), (poison, given_up.last), "seed {seed}");
    }
}

#[tokio::test]
async fn what_the_stream_has_forgotten_is_told() {
    let table = Arc::new(MemoryTable::new(1));
    write(&table, 0..20, 2);
    let (mut mapping, mut random) = (Mapping::new(Mode { batch_max: 5, ..Mode::patient() }), Random::of(5));
    let source = TableShards(Arc::clone(&table));
    let delivery = mapping.due(&source, NOW, &mut random).await.expect("memory reads").remove(0);
    mapping.ended(&delivery.range, delivery.records.len(), Answer::Done, NOW, &mut random);
    let through = mapping.through(&delivery.range.shard);
    table.trim(0, Position(12));
    let delivery = mapping.due(&source, NOW, &mut random).await.expect("memory reads").remove(0);
    assert_eq!(delivery.range.first, Position(13));
    let [lost] = mapping.lost.as_slice() else { panic!("{:?}", mapping.lost) };
    assert_eq!((lost.first, lost.last), (Position(through.0 + 1), Position(12)));
    // What was read before it was forgotten is not lost.
    mapping.ended(&delivery.range, delivery.records.len(), Answer::Done, NOW, &mut random);
    table.trim(0, Position(13));
    mapping.due(&source, NOW, &mut random).await.expect("memory reads");
    assert_eq!(mapping.lost.len(), 1);
}

#[test]
fn messages_are_deleted_one_by_one() {
    let message = |receipt: &str| Message { body: "x".into(), receipt: receipt.to_owned(), deliveries: 1 };
    let messages = [message("a"), message("b"), message("c")];
    let outcomes = vec![Outcome::Done, Outcome::RetryFrom(Position(0)), Outcome::Park("never".to_owned())];
    let settled = settle(&messages, Some(outcomes));
    assert_eq!((settled.done, settled.again, settled.parked), (vec!["a".to_owned()], 1, vec!["never".to_owned()]));
    assert_eq!(settle(&messages, None).again, 3);
}

/// The same feed to the real handlers, by lanes of any table or by shards of a stream: the same numbers.
#[tokio::test]
async fn the_real_handlers_count_each_event_once() {
    for (seed, by_shards) in [(1, false), (2, true), (3, true)] {
        let mut random = Random::of(seed);
        let mut world = World::new(NOW, 2);
        let yaml = "insight: n\ntype: standard\nfrom: '*'\nmetrics:\n  n: count(*)\n  ids: count(distinct id)\n";
        world.apply("n", yaml).await;
        for part in 0..10 {
            let event =
                |at: i64| format!("{{\"id\":\"{part}-{at}\",\"name\":\"a\",\"time\":\"{}\"}}\n", NOW.plus_seconds(-at));
            world.send(&(0..10).map(event).collect::<String>()).await;
            if by_shards {
                let lane = random.below(2) as usize;
                if random.chance(20) { world.ports.events.split(lane) } else { world.ports.events.roll(lane) }
            }
        }
        let context = Arc::clone(&world.context);
        for is_seal in [false, true] {
            let mut mapping = Mapping::new(Mode { batch_max: 9, ..Mode::patient() });
            let handler = async |delivery: Delivery| {
                let lane = &delivery.range.lane;
                if is_seal {
                    on_seal(&context, lane, &delivery.records).await
                } else {
                    on_changes(&context, lane, &delivery.records).await
                }
            };
            let told = if by_shards {
                let source = TableShards(Arc::clone(&world.ports.events));
                deliver_all(&mut mapping, &source, NOW, &mut random, 40, handler).await
            } else {
                let source = TableLanes(&*world.ports.events);
                deliver_all(&mut mapping, &source, NOW, &mut random, 40, handler).await
            };
            assert_eq!(told.expect("memory reads").parked, Vec::<String>::new());
        }
        world.backfill().await;
        world.settle_requests(&mut random).await;
        let body = json(&world.query("n", "series", "").await);
        assert_eq!((&body["rows"][0]["n"], &body["rows"][0]["ids"]), (&100.into(), &100.into()), "{body}");
    }
}
