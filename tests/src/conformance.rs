//! Laws of the ports: one public function per law over the port's trait, named as a sentence, for every adapter.
//!
//! A law gets an empty store of its own and panics when it is broken. Laws of queues are handed a way to let seconds
//! pass. `crate::table_laws!` and its like turn the laws into a test each.

pub mod blobs;
pub mod feed;
pub mod queue;
pub mod schedule;
pub mod table;

/// Makes a test of each law: `$open` gives a store and what must outlive it.
#[macro_export]
macro_rules! laws {
    ($(#[$meta:meta])* $port:ident, $open:path, $($law:ident),+ $(,)?) => {
        $crate::laws!(@each [$(#[$meta])*] $port, $open, $($law),+);
    };
    (@each $metas:tt $port:ident, $open:path, $($law:ident),+) => {
        $($crate::laws!(@one $metas $port, $open, $law);)+
    };
    (@one [$(#[$meta:meta])*] $port:ident, $open:path, $law:ident) => {
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let (store, _kept) = $open();
                $crate::conformance::$port::$law(&store).await;
            }
    };
}

/// The laws of a table.
#[macro_export]
macro_rules! table_laws {
    ($(#[$meta:meta])* $open:path) => {
        $crate::laws!(
            $(#[$meta])* table,
            $open,
            a_get_sees_the_newest_write,
            write_is_all_or_nothing,
            conditions_hold_of_what_is_stored_before_the_group,
            a_check_changes_nothing_but_guards_the_group,
            absent_or_rank_below_refuses_the_same_rank,
            absent_refuses_what_is_there,
            rank_is_refuses_another_rank_and_nothing,
            deleting_what_is_absent_is_fine,
            a_deleted_item_is_absent,
            write_each_decides_each_write_alone,
            write_each_does_writes_to_one_key_in_order,
            a_check_alone_is_invalid,
            an_empty_write_is_fine,
            get_each_answers_in_the_order_asked,
            query_returns_a_partition_in_order,
            query_keeps_partitions_apart,
            query_pages_through_a_partition_in_both_directions,
            query_bounds_are_half_open,
            query_of_an_empty_range_is_empty,
            a_slice_is_bounded_in_bytes,
            keys_beyond_the_limits_are_invalid,
            items_beyond_the_limit_are_invalid,
            groups_beyond_the_limits_are_invalid,
            bodies_and_keys_may_be_any_bytes,
            of_concurrent_writers_with_one_rank_exactly_one_wins,
        );
    };
}

/// The laws of a table's change feed.
#[macro_export]
macro_rules! feed_laws {
    ($(#[$meta:meta])* $open:path) => {
        $crate::laws!(
            $(#[$meta])* feed,
            $open,
            changes_carry_old_and_new_images,
            a_put_that_changes_nothing_leaves_no_change,
            a_refused_write_leaves_no_change,
            changes_arrive_in_order_per_shard,
            a_key_stays_in_its_shard,
            reading_resumes_behind_any_position,
            every_write_of_a_group_leaves_its_change,
            large_images_pass_through_the_feed,
            an_unknown_shard_is_invalid,
            concurrent_writers_lose_no_change,
        );
    };
}

/// The laws of a queue.
#[macro_export]
macro_rules! queue_laws {
    ($(#[$meta:meta])* $open:path) => {
        $crate::laws!(
            $(#[$meta])* queue,
            $open,
            a_sent_message_is_received_once_while_hidden,
            a_hidden_message_returns_after_its_time,
            a_deleted_message_never_returns,
            a_superseded_receipt_deletes_nothing,
            a_delayed_message_stays_hidden_until_its_time,
            deliveries_are_counted,
            a_message_delivered_too_often_goes_to_the_dead_letters,
            a_receive_is_limited,
            receipts_of_nothing_are_ignored,
            calls_beyond_the_limits_are_invalid,
        );
    };
}

/// The laws of a schedule.
#[macro_export]
macro_rules! schedule_laws {
    ($(#[$meta:meta])* $open:path) => {
        $crate::laws!(
            $(#[$meta])* schedule,
            $open,
            what_is_put_is_listed_by_name,
            putting_a_name_again_replaces_it,
            removing_is_idempotent,
            a_rate_of_nothing_is_invalid,
        );
    };
}

/// The laws of blobs.
#[macro_export]
macro_rules! blob_laws {
    ($(#[$meta:meta])* $open:path) => {
        $crate::laws!(
            $(#[$meta])* blobs,
            $open,
            what_is_put_is_read_back,
            ranges_are_read,
            putting_again_replaces,
            creating_what_exists_is_a_conflict,
            of_concurrent_creators_exactly_one_wins,
            reading_what_is_missing_says_so,
            a_deleted_object_is_missing,
            objects_are_listed_under_a_prefix,
            many_puts_run_at_once,
        );
    };
}
