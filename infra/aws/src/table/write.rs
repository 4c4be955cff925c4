//! Writes: one alone as PutItem or DeleteItem, several as a transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};
use tidemill_ports::{Condition, Effect, Error, Write};
use tidemill_schemas::keys::Key;

use super::{DynamoTable, attributes};
use crate::connection::CALL_SECONDS_MAX;
use crate::error::{Call, is_throttled, mapped};

/// Times a write is sent that was put off each time.
const WRITE_ATTEMPTS_MAX: u32 = 8;
/// The first pause before a write is sent again, in milliseconds; each next one is twice as long.
const PAUSE_MILLIS: u64 = 25;
/// The longest pause, in milliseconds.
const PAUSE_MILLIS_MAX: u64 = 1000;

/// How many of these groups, from the first, can be sent at once: none of them names a key another one writes.
pub(super) fn side_by_side(groups: &[(usize, Vec<Write>)]) -> usize {
    let (mut named, mut written): (BTreeSet<&Key>, BTreeSet<&Key>) = (BTreeSet::new(), BTreeSet::new());
    let free = groups.iter().take_while(|(_, group)| {
        let free = group
            .iter()
            .all(|write| !written.contains(&write.key) && (only_checks(write) || !named.contains(&write.key)));
        named.extend(group.iter().map(|write| &write.key));
        written.extend(group.iter().filter(|write| !only_checks(write)).map(|write| &write.key));
        free
    });
    free.count().max(1)
}

fn only_checks(write: &Write) -> bool {
    write.effect == Effect::Check
}

/// A condition in DynamoDB's words, and the rank it compares with.
fn expression(condition: Condition) -> Option<(&'static str, Option<u64>)> {
    match condition {
        Condition::None => None,
        Condition::Absent => Some(("attribute_not_exists(p)", None)),
        Condition::RankIs(rank) => Some(("r = :r", Some(rank))),
        Condition::AbsentOrRankBelow(rank) => Some(("attribute_not_exists(p) OR r < :r", Some(rank))),
    }
}

fn number(rank: u64) -> AttributeValue {
    AttributeValue::N(rank.to_string())
}

/// Waits before attempt number `attempt`, the first being 0. Callers spread by `seed`, so that those put off together
/// do not come back together.
pub(super) async fn pause(attempt: u32, seed: usize) {
    if attempt == 0 {
        return;
    }
    let most = PAUSE_MILLIS_MAX.min(PAUSE_MILLIS << attempt.min(10));
    let spread = xxhash_rust::xxh3::xxh3_64_with_seed(&attempt.to_le_bytes(), seed as u64);
    tokio::time::sleep(Duration::from_millis(most / 2 + spread % (most / 2))).await;
}

/// What becomes of a write, with all its attempts, within the time a call may take.
async fn within(write: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let late = || Error::Unknown(format!("a write was not through after {CALL_SECONDS_MAX} s"));
    tokio::time::timeout(Duration::from_secs(CALL_SECONDS_MAX), write).await.unwrap_or_else(|_| Err(late()))
}

/// One write.
pub(super) async fn alone(table: &DynamoTable, write: Write) -> Result<(), Error> {
    within(try_alone(table, write)).await
}

async fn try_alone(table: &DynamoTable, write: Write) -> Result<(), Error> {
    let seed = xxhash_rust::xxh3::xxh3_64(&write.key.sort) as usize;
    let mut attempt = 0;
    loop {
        pause(attempt, seed).await;
        attempt += 1;
        let (throttled, error) = match once(table, &write).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        if !throttled || attempt == WRITE_ATTEMPTS_MAX {
            return Err(error);
        }
    }
}

/// Sends one write once. Without a condition doing it twice is doing it once, so the client may repeat it.
async fn once(table: &DynamoTable, write: &Write) -> Result<(), (bool, Error)> {
    let condition = expression(write.condition);
    let (client, call) = match condition {
        None => (&table.client, Call::Repeatable),
        Some(_) => (&table.once, Call::Write),
    };
    let (text, rank) = condition.map_or((None, None), |(text, rank)| (Some(text.to_owned()), rank));
    match &write.effect {
        Effect::Put(item) => {
            let mut put = client.put_item().table_name(&table.name).set_condition_expression(text);
            put = put.set_item(Some(attributes::of_item(&write.key, item)));
            if let Some(rank) = rank {
                put = put.expression_attribute_values(":r", number(rank));
            }
            let sent = put.send().await.map(|_| ());
            sent.map_err(|error| (is_throttled(&error), mapped("PutItem", call, error)))
        }
        Effect::Delete => {
            let mut delete = client.delete_item().table_name(&table.name).set_condition_expression(text);
            delete = delete.set_key(Some(attributes::of_key(&write.key)));
            if let Some(rank) = rank {
                delete = delete.expression_attribute_values(":r", number(rank));
            }
            let sent = delete.send().await.map(|_| ());
            sent.map_err(|error| (is_throttled(&error), mapped("DeleteItem", call, error)))
        }
        Effect::Check => Err((false, Error::Invalid("a check stands alone: put it into a group".to_owned()))),
    }
}

/// All writes or none.
pub(super) async fn group(table: &DynamoTable, group: Vec<Write>) -> Result<(), Error> {
    within(try_group(table, group)).await
}

async fn try_group(table: &DynamoTable, group: Vec<Write>) -> Result<(), Error> {
    // A check of nothing is no check, and DynamoDB knows none.
    let mut group: Vec<Write> =
        group.into_iter().filter(|write| !(only_checks(write) && write.condition == Condition::None)).collect();
    if group.len() == 1 && !only_checks(&group[0]) {
        return alone(table, group.remove(0)).await;
    }
    if group.is_empty() {
        return Ok(());
    }
    let seed = xxhash_rust::xxh3::xxh3_64(&group[0].key.sort) as usize;
    let writes = group.iter().map(|write| part(&table.name, write)).collect::<Result<Vec<_>, _>>()?;
    let mut attempt = 0;
    loop {
        pause(attempt, seed).await;
        attempt += 1;
        // The client gives every call a token of its own and sends its copies under the same.
        let sent = table.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await;
        let Err(error) = sent else { return Ok(()) };
        let (again, error) = cancelled(error);
        if !again || attempt == WRITE_ATTEMPTS_MAX {
            return Err(error);
        }
    }
}

fn part(table: &str, write: &Write) -> Result<TransactWriteItem, Error> {
    let invalid = |why: aws_sdk_dynamodb::error::BuildError| Error::Invalid(why.to_string());
    let (text, rank) = expression(write.condition).unzip();
    let text = text.map(str::to_owned);
    let values = rank.flatten().map(|rank| [(":r".to_owned(), number(rank))].into());
    let part = TransactWriteItem::builder();
    let part = match &write.effect {
        Effect::Put(item) => {
            let put = Put::builder().table_name(table).set_item(Some(attributes::of_item(&write.key, item)));
            let put = put.set_condition_expression(text).set_expression_attribute_values(values);
            part.put(put.build().map_err(invalid)?)
        }
        Effect::Delete => {
            let delete = Delete::builder().table_name(table).set_key(Some(attributes::of_key(&write.key)));
            let delete = delete.set_condition_expression(text).set_expression_attribute_values(values);
            part.delete(delete.build().map_err(invalid)?)
        }
        Effect::Check => {
            let check = ConditionCheck::builder().table_name(table).set_key(Some(attributes::of_key(&write.key)));
            let check = check.set_condition_expression(text).set_expression_attribute_values(values);
            part.condition_check(check.build().map_err(invalid)?)
        }
    };
    Ok(part.build())
}

type TransactionError = SdkError<TransactWriteItemsError, aws_sdk_dynamodb::config::http::HttpResponse>;

/// Why a group was not written, and whether it may be sent again as it is.
fn cancelled(error: TransactionError) -> (bool, Error) {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        let again = is_throttled(&error)
            || error.as_service_error().is_some_and(TransactWriteItemsError::is_transaction_in_progress_exception);
        return (again, mapped("TransactWriteItems", Call::Write, error));
    };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(CancellationReason::code).collect();
    let why = format!("TransactWriteItems was cancelled: {}", codes.join(", "));
    let any = |code: &str| codes.contains(&code);
    if any("ConditionalCheckFailed") {
        (false, Error::Conflict(why))
    } else if any("ValidationError") || any("ItemCollectionSizeLimitExceeded") {
        (false, Error::Invalid(why))
    } else {
        // Others wrote the same items, or the table was asked for too much: nothing happened.
        (true, Error::Unavailable(why))
    }
}
