//! Laws of [`Table`]: reading and writing.

use bytes::Bytes;
use futures::future::join_all;
use tidemill_ports::{
    Condition, Effect, Error, GROUP_BYTES_MAX, GROUP_WRITES_MAX, ITEM_BYTES_MAX, Item, Query, SLICE_BYTES_MAX, Table,
    Write,
};
use tidemill_schemas::keys::{Key, PARTITION_BYTES_MAX, SORT_BYTES_MAX};

/// A key in a partition.
pub fn key(partition: &str, sort: impl AsRef<[u8]>) -> Key {
    Key { partition: partition.as_bytes().to_vec(), sort: sort.as_ref().to_vec() }
}

/// An item.
pub fn item(rank: u64, body: impl AsRef<[u8]>) -> Item {
    Item { rank, body: Bytes::copy_from_slice(body.as_ref()) }
}

/// A conditional put.
pub fn put(key: &Key, condition: Condition, item: Item) -> Write {
    Write { key: key.clone(), condition, effect: Effect::Put(item) }
}

/// A conditional removal.
pub fn delete(key: &Key, condition: Condition) -> Write {
    Write { key: key.clone(), condition, effect: Effect::Delete }
}

fn check(key: &Key, condition: Condition) -> Write {
    Write { key: key.clone(), condition, effect: Effect::Check }
}

async fn must_put(table: &dyn Table, key: &Key, item: Item) {
    table.write(vec![put(key, Condition::None, item)]).await.expect("an unconditional put");
}

async fn rank(table: &dyn Table, key: &Key) -> Option<u64> {
    table.get(key).await.expect("a get").map(|item| item.rank)
}

fn is_conflict(answer: &Result<(), Error>) -> bool {
    matches!(answer, Err(Error::Conflict(_)))
}

fn is_invalid<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Invalid(_)))
}

/// After a write is answered, every get sees it.
pub async fn a_get_sees_the_newest_write(table: &dyn Table) {
    let at = key("p", "a");
    assert_eq!(table.get(&at).await, Ok(None));
    for round in 0..5 {
        let written = item(round, format!("body {round}"));
        must_put(table, &at, written.clone()).await;
        assert_eq!(table.get(&at).await, Ok(Some(written)));
    }
}

/// One condition that fails keeps every write of the group out.
pub async fn write_is_all_or_nothing(table: &dyn Table) {
    let (first, second, third) = (key("p", "a"), key("q", "b"), key("r", "c"));
    must_put(table, &second, item(1, "kept")).await;
    let group = vec![
        put(&first, Condition::None, item(1, "new")),
        put(&second, Condition::Absent, item(2, "new")),
        delete(&third, Condition::None),
    ];
    assert!(is_conflict(&table.write(group).await));
    assert_eq!(rank(table, &first).await, None);
    assert_eq!(rank(table, &second).await, Some(1));
    let group = vec![
        put(&first, Condition::Absent, item(1, "new")),
        put(&second, Condition::RankIs(1), item(2, "new")),
        delete(&third, Condition::Absent),
    ];
    assert_eq!(table.write(group).await, Ok(()));
    assert_eq!((rank(table, &first).await, rank(table, &second).await), (Some(1), Some(2)));
}

/// Conditions are about what was there before the group, wherever they stand in it.
pub async fn conditions_hold_of_what_is_stored_before_the_group(table: &dyn Table) {
    let (first, second) = (key("p", "a"), key("p", "b"));
    must_put(table, &second, item(7, "")).await;
    let group = vec![put(&first, Condition::None, item(1, "")), delete(&second, Condition::RankIs(8))];
    assert!(is_conflict(&table.write(group).await));
    assert_eq!((rank(table, &first).await, rank(table, &second).await), (None, Some(7)));
}

/// A check lets the group through or not, and leaves its item alone.
pub async fn a_check_changes_nothing_but_guards_the_group(table: &dyn Table) {
    let (guard, target) = (key("p", "guard"), key("p", "target"));
    let group = |condition| vec![check(&guard, condition), put(&target, Condition::None, item(1, ""))];
    assert!(is_conflict(&table.write(group(Condition::RankIs(3))).await));
    assert_eq!(rank(table, &target).await, None);
    must_put(table, &guard, item(3, "guard")).await;
    assert_eq!(table.write(group(Condition::RankIs(3))).await, Ok(()));
    assert_eq!(table.get(&guard).await, Ok(Some(item(3, "guard"))));
    assert_eq!(rank(table, &target).await, Some(1));
}

/// The same rank again is not above itself.
pub async fn absent_or_rank_below_refuses_the_same_rank(table: &dyn Table) {
    let at = key("p", "a");
    let with = |rank| vec![put(&at, Condition::AbsentOrRankBelow(rank), item(rank, rank.to_string()))];
    assert_eq!(table.write(with(5)).await, Ok(()));
    assert!(is_conflict(&table.write(with(5)).await));
    assert!(is_conflict(&table.write(with(4)).await));
    assert_eq!(table.write(with(6)).await, Ok(()));
    assert_eq!(table.get(&at).await, Ok(Some(item(6, "6"))));
    assert_eq!(table.write(with(u64::MAX)).await, Ok(()));
}

/// Absent means absent, also for an item of rank 0 without content.
pub async fn absent_refuses_what_is_there(table: &dyn Table) {
    let at = key("p", "a");
    let write = || vec![put(&at, Condition::Absent, item(0, ""))];
    assert_eq!(table.write(write()).await, Ok(()));
    assert!(is_conflict(&table.write(write()).await));
}

/// A rank that is asked for must be there.
pub async fn rank_is_refuses_another_rank_and_nothing(table: &dyn Table) {
    let at = key("p", "a");
    let write = |expected| vec![put(&at, Condition::RankIs(expected), item(9, "new"))];
    assert!(is_conflict(&table.write(write(0)).await));
    must_put(table, &at, item(1, "")).await;
    assert!(is_conflict(&table.write(write(0)).await));
    assert!(is_conflict(&table.write(write(2)).await));
    assert_eq!(table.write(write(1)).await, Ok(()));
    assert_eq!(rank(table, &at).await, Some(9));
}

/// Removing nothing succeeds, unless the condition asks for something.
pub async fn deleting_what_is_absent_is_fine(table: &dyn Table) {
    let at = key("p", "a");
    assert_eq!(table.write(vec![delete(&at, Condition::None)]).await, Ok(()));
    assert!(is_conflict(&table.write(vec![delete(&at, Condition::RankIs(1))]).await));
}

/// What was removed is absent for reads, queries and conditions.
pub async fn a_deleted_item_is_absent(table: &dyn Table) {
    let at = key("p", "a");
    must_put(table, &at, item(1, "x")).await;
    assert_eq!(table.write(vec![delete(&at, Condition::RankIs(1))]).await, Ok(()));
    assert_eq!(table.get(&at).await, Ok(None));
    assert_eq!(all(table, "p", false, 0).await, []);
    assert_eq!(table.write(vec![put(&at, Condition::Absent, item(1, "x"))]).await, Ok(()));
}

/// One refused write does not touch the others.
pub async fn write_each_decides_each_write_alone(table: &dyn Table) {
    must_put(table, &key("p", "b"), item(1, "")).await;
    let mut writes: Vec<Write> =
        ["c", "b", "a"].iter().map(|sort| put(&key("p", sort), Condition::Absent, item(2, ""))).collect();
    writes.push(put(&key("p", [0; SORT_BYTES_MAX + 1]), Condition::None, item(2, "")));
    let answers = table.write_each(writes).await;
    assert_eq!(answers.len(), 4);
    assert_eq!((&answers[0], &answers[2]), (&Ok(()), &Ok(())));
    assert!(is_conflict(&answers[1]) && is_invalid(&answers[3]), "{answers:?}");
    assert_eq!(all(table, "p", false, 0).await, [("a".into(), 2), ("b".into(), 1), ("c".into(), 2)]);
}

/// Later writes to a key see the earlier ones of the same call.
pub async fn write_each_does_writes_to_one_key_in_order(table: &dyn Table) {
    let (at, other) = (key("p", "b"), key("p", "a"));
    let answers = table
        .write_each(vec![
            put(&at, Condition::Absent, item(1, "first")),
            put(&other, Condition::None, item(1, "")),
            put(&at, Condition::RankIs(1), item(2, "second")),
            put(&at, Condition::AbsentOrRankBelow(2), item(2, "late")),
            delete(&other, Condition::RankIs(1)),
            put(&at, Condition::AbsentOrRankBelow(3), item(3, "third")),
        ])
        .await;
    let refused: Vec<bool> = answers.iter().map(is_conflict).collect();
    assert_eq!(refused, [false, false, false, true, false, false], "{answers:?}");
    assert_eq!(table.get(&at).await, Ok(Some(item(3, "third"))));
    assert_eq!(table.get(&other).await, Ok(None));
}

/// A check has nothing to guard outside a group.
pub async fn a_check_alone_is_invalid(table: &dyn Table) {
    let answers = table.write_each(vec![check(&key("p", "a"), Condition::None)]).await;
    assert!(is_invalid(&answers[0]), "{answers:?}");
}

/// Writing nothing succeeds.
pub async fn an_empty_write_is_fine(table: &dyn Table) {
    assert_eq!(table.write(Vec::new()).await, Ok(()));
    assert_eq!(table.write_each(Vec::new()).await, []);
    assert_eq!(table.get_each(&[]).await, Ok(Vec::new()));
}

/// Answers stand where their keys stood, also for keys named twice, and for more keys than one request holds.
pub async fn get_each_answers_in_the_order_asked(table: &dyn Table) {
    let writes = (0..300_u64).map(|n| put(&key("p", n.to_be_bytes()), Condition::None, item(n, ""))).collect();
    assert!(table.write_each(writes).await.iter().all(Result::is_ok));
    let keys: Vec<Key> = (0..400_u64).rev().chain([7, 7]).map(|n| key("p", n.to_be_bytes())).collect();
    let found = table.get_each(&keys).await.expect("a get");
    let ranks: Vec<Option<u64>> = found.into_iter().map(|item| item.map(|item| item.rank)).collect();
    let expected: Vec<Option<u64>> = (0..400).rev().map(|n| (n < 300).then_some(n)).chain([Some(7), Some(7)]).collect();
    assert_eq!(ranks, expected);
}

/// Every page of a partition: sort keys as text, and ranks.
async fn all(table: &dyn Table, partition: &str, backwards: bool, limit: usize) -> Vec<(String, u64)> {
    let mut query = Query { partition: partition.into(), backwards, limit, ..Query::default() };
    let mut found = Vec::new();
    loop {
        let slice = table.query(&query).await.expect("a query");
        assert!(limit == 0 || slice.items.len() <= limit);
        found.extend(slice.items.into_iter().map(|(sort, item)| (String::from_utf8(sort).expect("text"), item.rank)));
        match slice.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

async fn letters(table: &dyn Table, partition: &str, sorts: &str) -> Vec<(String, u64)> {
    let mut expected = Vec::new();
    for (rank, sort) in sorts.chars().enumerate() {
        must_put(table, &key(partition, sort.to_string()), item(rank as u64, "")).await;
        expected.push((sort.to_string(), rank as u64));
    }
    expected.sort();
    expected
}

/// Order is the order of bytes, not of writing.
pub async fn query_returns_a_partition_in_order(table: &dyn Table) {
    let expected = letters(table, "p", "hbgafced").await;
    assert_eq!(all(table, "p", false, 0).await, expected);
    let sorts = [vec![0], vec![0, 0], vec![0, 255], vec![1], vec![255], vec![255, 0]];
    for sort in sorts.iter().rev() {
        must_put(table, &key("q", sort), item(0, "")).await;
    }
    let slice = table.query(&Query { partition: "q".into(), ..Query::default() }).await.expect("a query");
    assert_eq!(slice.items.into_iter().map(|(sort, _)| sort).collect::<Vec<_>>(), sorts);
}

/// No other partition's items are seen, however alike the keys look when put together.
pub async fn query_keeps_partitions_apart(table: &dyn Table) {
    for (partition, sort) in [("a", "bc"), ("ab", "c"), ("abc", "c"), ("b", "a"), ("aa", "a")] {
        must_put(table, &key(partition, sort), item(0, "")).await;
    }
    assert_eq!(all(table, "a", false, 0).await, [("bc".into(), 0)]);
    assert_eq!(all(table, "ab", true, 0).await, [("c".into(), 0)]);
    assert_eq!(all(table, "c", false, 1).await, []);
}

/// Slices of any size put together are the partition, forwards and backwards.
pub async fn query_pages_through_a_partition_in_both_directions(table: &dyn Table) {
    letters(table, "o", "xyz").await;
    let mut expected = letters(table, "p", "hbgafced").await;
    letters(table, "q", "abc").await;
    for limit in [1, 2, 3, 8, 9] {
        assert_eq!(all(table, "p", false, limit).await, expected, "limit {limit}");
    }
    expected.reverse();
    for limit in [0, 1, 2, 3, 8, 9] {
        assert_eq!(all(table, "p", true, limit).await, expected, "limit {limit}, backwards");
    }
}

async fn between(table: &dyn Table, from: Option<&str>, to: Option<&str>, after: Option<&str>, back: bool) -> String {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    let query = Query {
        partition: "p".into(),
        from: bytes(from),
        to: bytes(to),
        after: bytes(after),
        backwards: back,
        limit: 0,
    };
    let slice = table.query(&query).await.expect("a query");
    slice.items.into_iter().map(|(sort, _)| String::from_utf8(sort).expect("text")).collect()
}

/// `from` is in, `to` is out, and `after` narrows either end.
pub async fn query_bounds_are_half_open(table: &dyn Table) {
    letters(table, "p", "abcdef").await;
    assert_eq!(between(table, Some("b"), Some("e"), None, false).await, "bcd");
    assert_eq!(between(table, Some("b"), Some("e"), None, true).await, "dcb");
    assert_eq!(between(table, Some("b"), None, Some("c"), false).await, "def");
    assert_eq!(between(table, None, Some("e"), Some("c"), true).await, "ba");
    assert_eq!(between(table, Some("c"), Some("e"), Some("a"), false).await, "cd");
    assert_eq!(between(table, Some("c"), Some("e"), Some("f"), true).await, "dc");
    assert_eq!(between(table, Some("b0"), Some("d0"), None, false).await, "cd");
    assert_eq!(between(table, Some("b"), Some("e"), Some("b"), false).await, "cd");
}

/// A range that ends before it starts holds nothing, and is no error.
pub async fn query_of_an_empty_range_is_empty(table: &dyn Table) {
    letters(table, "p", "abcdef").await;
    assert_eq!(between(table, Some("c"), Some("c"), None, false).await, "");
    assert_eq!(between(table, Some("d"), Some("b"), None, true).await, "");
    assert_eq!(between(table, None, Some("c"), Some("c"), false).await, "");
    assert_eq!(between(table, None, Some("c"), Some("e"), false).await, "");
    assert_eq!(between(table, Some("c"), None, Some("a"), true).await, "");
    assert_eq!(between(table, None, None, Some("f"), false).await, "");
}

/// Large items come in several slices, and all of them come.
pub async fn a_slice_is_bounded_in_bytes(table: &dyn Table) {
    let body = vec![7; ITEM_BYTES_MAX - 100];
    for sort in ["a", "b", "c", "d", "e"] {
        must_put(table, &key("p", sort), item(0, &body)).await;
    }
    let slice = table.query(&Query { partition: "p".into(), ..Query::default() }).await.expect("a query");
    let bytes: usize = slice.items.iter().map(|(_, item)| item.body.len()).sum();
    assert!(bytes <= SLICE_BYTES_MAX && slice.next.is_some());
    assert_eq!(all(table, "p", false, 0).await.len(), 5);
    assert_eq!(all(table, "p", true, 0).await.len(), 5);
}

/// Empty and overlong keys are refused by every method, the longest are not.
pub async fn keys_beyond_the_limits_are_invalid(table: &dyn Table) {
    let of = |partition: usize, sort: usize| Key { partition: vec![1; partition], sort: vec![1; sort] };
    for bad in [of(PARTITION_BYTES_MAX + 1, 1), of(1, SORT_BYTES_MAX + 1), of(0, 1), of(1, 0)] {
        let write = || vec![put(&bad, Condition::None, item(0, ""))];
        assert!(is_invalid(&table.get(&bad).await));
        assert!(is_invalid(&table.get_each(std::slice::from_ref(&bad)).await));
        assert!(is_invalid(&table.write(write()).await));
        assert!(is_invalid(&table.write_each(write()).await[0]));
    }
    let long = Query { partition: vec![1; PARTITION_BYTES_MAX + 1], ..Query::default() };
    assert!(is_invalid(&table.query(&long).await));
    let longest = of(PARTITION_BYTES_MAX, SORT_BYTES_MAX);
    must_put(table, &longest, item(4, "")).await;
    assert_eq!(rank(table, &longest).await, Some(4));
}

/// The key counts for an item's size.
pub async fn items_beyond_the_limit_are_invalid(table: &dyn Table) {
    let at = key("p", "a");
    let write = |bytes| vec![put(&at, Condition::None, item(1, vec![0; bytes]))];
    assert!(is_invalid(&table.write(write(ITEM_BYTES_MAX - 16)).await));
    assert!(is_invalid(&table.write_each(write(ITEM_BYTES_MAX - 16)).await[0]));
    assert_eq!(table.get(&at).await, Ok(None));
    assert_eq!(table.write(write(ITEM_BYTES_MAX - 18)).await, Ok(()));
}

/// Too many writes, too many bytes, or one key twice: nothing is written.
pub async fn groups_beyond_the_limits_are_invalid(table: &dyn Table) {
    let group = |writes: usize, bytes: usize| -> Vec<Write> {
        let one = |n: usize| put(&key("p", n.to_be_bytes()), Condition::None, item(1, vec![0; bytes]));
        (0..writes).map(one).collect()
    };
    assert!(is_invalid(&table.write(group(GROUP_WRITES_MAX + 1, 0)).await));
    assert!(is_invalid(&table.write(group(11, GROUP_BYTES_MAX / 11)).await));
    let twice = vec![put(&key("p", "a"), Condition::None, item(1, "")), check(&key("p", "a"), Condition::None)];
    assert!(is_invalid(&table.write(twice).await));
    let slice = table.query(&Query { partition: "p".into(), ..Query::default() }).await.expect("a query");
    assert_eq!(slice.items, []);
    assert_eq!(table.write(group(GROUP_WRITES_MAX, 0)).await, Ok(()));
}

/// Nothing is text.
pub async fn bodies_and_keys_may_be_any_bytes(table: &dyn Table) {
    let bytes: Vec<u8> = (0..=255).collect();
    let at = Key { partition: bytes.clone(), sort: bytes.clone() };
    must_put(table, &at, item(u64::MAX, &bytes)).await;
    assert_eq!(table.get(&at).await, Ok(Some(item(u64::MAX, &bytes))));
    let slice = table.query(&Query { partition: bytes.clone(), ..Query::default() }).await.expect("a query");
    assert_eq!(slice.items, [(bytes.clone(), item(u64::MAX, &bytes))]);
}

/// Of many who read rank n and write n + 1, one succeeds in every round.
pub async fn of_concurrent_writers_with_one_rank_exactly_one_wins(table: &dyn Table) {
    let at = key("p", "a");
    must_put(table, &at, item(0, "")).await;
    for round in 0..5 {
        let one = |writer: u64| {
            let write = put(&at, Condition::RankIs(round), item(round + 1, writer.to_string()));
            async move {
                if writer.is_multiple_of(2) {
                    table.write(vec![write]).await
                } else {
                    table.write_each(vec![write]).await.remove(0)
                }
            }
        };
        let answers = join_all((0..16).map(one)).await;
        let winners: Vec<usize> = (0..16).filter(|&writer| answers[writer].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| is_conflict(answer)).count(), 15);
        assert_eq!(table.get(&at).await, Ok(Some(item(round + 1, winners[0].to_string()))));
    }
}
