//! A bill: units at their prices. Pure.
//!
//! In: what a month uses, and prices. Out: lines by what is paid for, and totals, with and without what AWS gives every
//! account for ever.

use tidemill_rollups::price::{Price, Prices};

use crate::cost::usage::{Usage, What};

/// Everything that can stand in a bill, in its order, with its name.
pub const LINES: [(What, &str); 21] = [
    (What::TableWrite, "DynamoDB writes"),
    (What::TableRead, "DynamoDB reads"),
    (What::FeedRead, "DynamoDB stream reads"),
    (What::LambdaGibSecond, "Lambda GB-seconds"),
    (What::LambdaInvocation, "Lambda invocations"),
    (What::BlobPut, "S3 PUT, LIST"),
    (What::BlobGet, "S3 GET"),
    (What::FastPut, "S3 Express PUT"),
    (What::FastGet, "S3 Express GET"),
    (What::FastUpload, "S3 Express GB written"),
    (What::FastDownload, "S3 Express GB read"),
    (What::QueueRequest, "SQS requests"),
    (What::ScheduleFiring, "Scheduler firings"),
    (What::KinesisShard, "Kinesis shards"),
    (What::KinesisPutUnit, "Kinesis PUT units"),
    (What::LogBytes, "CloudWatch logs, GB"),
    (What::Alarm, "CloudWatch alarms"),
    (What::TableStorage, "DynamoDB GB kept"),
    (What::TableBackup, "DynamoDB recovery, GB"),
    (What::BlobStorage, "S3 GB kept"),
    (What::FastStorage, "S3 Express GB kept"),
];

/// The price of something.
pub fn price(prices: &Prices, what: What) -> &Price {
    match what {
        What::TableWrite => &prices.table_write,
        What::TableRead => &prices.table_read,
        What::TableStorage => &prices.table_storage,
        What::TableBackup => &prices.table_backup,
        What::FeedRead => &prices.feed_read,
        What::LambdaGibSecond => &prices.lambda_gib_second,
        What::LambdaInvocation => &prices.lambda_invocation,
        What::BlobPut => &prices.blob_put,
        What::BlobGet => &prices.blob_get,
        What::BlobStorage => &prices.blob_storage,
        What::FastPut => &prices.fast_put,
        What::FastGet => &prices.fast_get,
        What::FastUpload => &prices.fast_upload,
        What::FastDownload => &prices.fast_download,
        What::FastStorage => &prices.fast_storage,
        What::QueueRequest => &prices.queue_request,
        What::ScheduleFiring => &prices.schedule_firing,
        What::KinesisShard => &prices.kinesis_shard,
        What::KinesisPutUnit => &prices.kinesis_put_unit,
        What::LogBytes => &prices.log_bytes,
        What::Alarm => &prices.alarm,
    }
}

/// Whether something is kept rather than done: it is paid for as long as it is there.
pub fn is_kept(what: What) -> bool {
    matches!(what, What::TableStorage | What::TableBackup | What::BlobStorage | What::FastStorage)
}

/// Dollars of a usage; `free`: without what costs nothing.
pub fn dollars(usage: &Usage, prices: &Prices, free: bool, of: impl Fn(What) -> bool) -> f64 {
    let lines = LINES.iter().filter(|(what, _)| of(*what));
    lines.map(|(what, _)| line(usage, prices, *what, free)).sum()
}

/// Dollars of one line.
pub fn line(usage: &Usage, prices: &Prices, what: What, free: bool) -> f64 {
    let price = price(prices, what);
    let units = usage.sum(what) - if free { price.free } else { 0.0 };
    price.of(units.max(0.0))
}

/// What each line was for, the dearest first: name of the line, for what, units, dollars.
pub fn parts(usage: &Usage, prices: &Prices) -> Vec<(&'static str, String, f64, f64)> {
    let named = |what: What| LINES.iter().find(|(line, _)| *line == what).map_or("", |(_, name)| *name);
    let mut parts: Vec<_> = usage
        .units
        .iter()
        .map(|((what, about), units)| (named(*what), about.clone(), *units, price(prices, *what).of(*units)))
        .collect();
    parts.sort_by(|a, b| b.3.total_cmp(&a.3).then_with(|| (a.0, &a.1).cmp(&(b.0, &b.1))));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_at_their_prices_less_what_is_free() {
        let mut usage = Usage::default();
        usage.units.insert((What::TableWrite, "event".to_owned()), 100e6);
        usage.units.insert((What::LambdaInvocation, "api".to_owned()), 3e6);
        let prices = Prices::shipped();
        assert!((line(&usage, prices, What::TableWrite, true) - 62.5).abs() < 1e-9);
        assert!((line(&usage, prices, What::LambdaInvocation, false) - 0.6).abs() < 1e-9);
        assert!((line(&usage, prices, What::LambdaInvocation, true) - 0.4).abs() < 1e-9);
        assert!((dollars(&usage, prices, false, |_| true) - 63.1).abs() < 1e-9);
        assert_eq!(parts(&usage, prices)[0].1, "event");
    }
}
