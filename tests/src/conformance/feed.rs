//! Laws of a [`Table`] with a change feed.

use std::collections::BTreeMap;

use futures::future::join_all;
use tidemill_ports::{Change, Condition, Error, ITEM_BYTES_MAX, Item, Table};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::table::{delete, item, key, put};

/// Every change of every shard, read in steps.
pub async fn read_feed(table: &dyn Table, step: usize) -> BTreeMap<ShardId, Vec<Change>> {
    let mut feed = BTreeMap::new();
    for shard in table.shards().await.expect("shards") {
        let mut all: Vec<Change> = Vec::new();
        loop {
            let after = all.last().map_or(Position::default(), |change| change.position);
            let changes = table.changes(&shard, after, step).await.expect("changes");
            assert!(changes.len() <= step);
            if changes.is_empty() {
                break;
            }
            all.extend(changes);
        }
        assert!(all.is_sorted_by(|left, right| left.position < right.position), "positions ascend");
        feed.insert(shard, all);
    }
    feed
}

/// A change without its place.
type Images = (Option<Item>, Option<Item>);

/// What happened to each key, in order.
pub async fn history(table: &dyn Table) -> BTreeMap<Key, Vec<Images>> {
    let mut history: BTreeMap<Key, Vec<Images>> = BTreeMap::new();
    for change in read_feed(table, 1_000).await.into_values().flatten() {
        history.entry(change.key).or_default().push((change.old, change.new));
    }
    history
}

async fn must_put(table: &dyn Table, key: &Key, item: Item) {
    table.write(vec![put(key, Condition::None, item)]).await.expect("an unconditional put");
}

/// An insert has no old image, a removal no new one, a replacement both.
pub async fn changes_carry_old_and_new_images(table: &dyn Table) {
    let at = key("p", "a");
    must_put(table, &at, item(1, "one")).await;
    must_put(table, &at, item(2, "two")).await;
    table.write(vec![delete(&at, Condition::RankIs(2))]).await.expect("a removal");
    assert!(table.write_each(vec![put(&at, Condition::Absent, item(3, ""))]).await[0].is_ok());
    let (one, two, three) = (item(1, "one"), item(2, "two"), item(3, ""));
    let expected =
        vec![(None, Some(one.clone())), (Some(one), Some(two.clone())), (Some(two), None), (None, Some(three))];
    assert_eq!(history(table).await, BTreeMap::from([(at, expected)]));
}

/// Neither the same item again nor the removal of nothing is a change; another rank or body is.
pub async fn a_put_that_changes_nothing_leaves_no_change(table: &dyn Table) {
    let (at, absent) = (key("p", "a"), key("p", "b"));
    for _ in 0..2 {
        must_put(table, &at, item(1, "x")).await;
        table.write(vec![delete(&absent, Condition::None)]).await.expect("a removal");
        assert!(table.write_each(vec![put(&at, Condition::RankIs(1), item(1, "x"))]).await[0].is_ok());
    }
    must_put(table, &at, item(2, "x")).await;
    must_put(table, &at, item(2, "y")).await;
    assert_eq!(history(table).await.into_values().map(|changes| changes.len()).collect::<Vec<_>>(), [3]);
}

/// What did not happen is not told.
pub async fn a_refused_write_leaves_no_change(table: &dyn Table) {
    let (at, other) = (key("p", "a"), key("p", "b"));
    must_put(table, &at, item(1, "x")).await;
    let group = vec![put(&other, Condition::None, item(1, "")), put(&at, Condition::Absent, item(2, ""))];
    assert!(matches!(table.write(group).await, Err(Error::Conflict(_))));
    assert!(table.write_each(vec![delete(&at, Condition::RankIs(9))]).await[0].is_err());
    assert_eq!(history(table).await.into_keys().collect::<Vec<_>>(), [at]);
}

/// Writes that were answered one after the other stand in that order.
pub async fn changes_arrive_in_order_per_shard(table: &dyn Table) {
    for round in 0..40_u64 {
        must_put(table, &key(&format!("p{}", round % 7), "a"), item(round, "")).await;
    }
    let feed = read_feed(table, 3).await;
    for changes in feed.values() {
        let ranks: Vec<u64> = changes.iter().filter_map(|change| change.new.as_ref()).map(|item| item.rank).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
    assert_eq!(feed.values().map(Vec::len).sum::<usize>(), 40);
}

/// All changes of a partition are in one shard, so a key's order is never lost.
pub async fn a_key_stays_in_its_shard(table: &dyn Table) {
    for round in 0..30_u64 {
        must_put(table, &key(&format!("p{}", round % 10), round.to_be_bytes()), item(round, "")).await;
    }
    let mut shard_of: BTreeMap<Vec<u8>, ShardId> = BTreeMap::new();
    for (shard, changes) in read_feed(table, 100).await {
        for change in changes {
            let held = shard_of.entry(change.key.partition).or_insert_with(|| shard.clone());
            assert_eq!(*held, shard);
        }
    }
    assert_eq!(shard_of.len(), 10);
}

/// From every place on, the rest comes, and nothing is left behind or told twice.
pub async fn reading_resumes_behind_any_position(table: &dyn Table) {
    let writes = (0..50_u64).map(|n| put(&key("p", n.to_be_bytes()), Condition::None, item(n, vec![1; 2_000])));
    assert!(table.write_each(writes.collect()).await.iter().all(Result::is_ok));
    let feed = read_feed(table, 1_000).await;
    assert_eq!(read_feed(table, 7).await, feed);
    for (shard, changes) in &feed {
        for (at, change) in changes.iter().enumerate() {
            let rest = table.changes(shard, change.position, 1_000).await.expect("changes");
            assert_eq!(rest, changes[at + 1..]);
        }
        let end = table.changes(shard, Position(u128::MAX), 10).await.expect("changes");
        assert_eq!(end, []);
        assert_eq!(table.changes(shard, Position(0), 0).await.expect("changes"), []);
    }
}

/// A group's changes are all there, checks left out.
pub async fn every_write_of_a_group_leaves_its_change(table: &dyn Table) {
    let group = (0..20_u8).map(|n| put(&key("p", [n]), Condition::Absent, item(1, [n]))).collect();
    table.write(group).await.expect("a group");
    assert_eq!(history(table).await.len(), 20);
}

/// The largest items pass unharmed, beside small ones.
pub async fn large_images_pass_through_the_feed(table: &dyn Table) {
    let large = |fill: u8| item(u64::from(fill), vec![fill; ITEM_BYTES_MAX - 100]);
    let (at, small) = (key("p", "a"), key("p", "b"));
    must_put(table, &small, item(1, "small")).await;
    must_put(table, &at, large(1)).await;
    must_put(table, &at, large(2)).await;
    must_put(table, &small, item(2, "small")).await;
    let history = history(table).await;
    assert_eq!(history[&at], [(None, Some(large(1))), (Some(large(1)), Some(large(2)))]);
    assert_eq!(history[&small].len(), 2);
}

/// A shard that is none is no empty shard.
pub async fn an_unknown_shard_is_invalid(table: &dyn Table) {
    for name in ["", "shard-9999", "shard-00000", "nonsense"] {
        assert!(matches!(table.changes(name, Position(0), 1).await, Err(Error::Invalid(_))), "{name:?}");
    }
}

/// However writers interleave, each key's changes link up: every old image is the new image before it.
pub async fn concurrent_writers_lose_no_change(table: &dyn Table) {
    let writer = |writer: u64| async move {
        for round in 0..10_u64 {
            let writes = (0..5_u64).map(|n| {
                let body = format!("{writer} {round}");
                put(&key(&format!("p{n}"), "a"), Condition::None, item(writer * 100 + round, body))
            });
            assert!(table.write_each(writes.collect()).await.iter().all(Result::is_ok));
        }
    };
    join_all((0..8).map(writer)).await;
    for (key, changes) in history(table).await {
        assert_eq!(changes.len(), 80);
        let mut before = None;
        for (old, new) in changes {
            assert_eq!(old, before);
            before = new;
        }
        assert_eq!(table.get(&key).await, Ok(before));
    }
}
