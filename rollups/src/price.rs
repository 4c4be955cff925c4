//! What AWS charges, and what a backfill makes it charge. Pure; the one place where prices stand.

use serde::Serialize;

use crate::backfill::{Amount, Unit};

/// When the prices were looked up.
pub const PRICES_AS_OF: &str = "2026-11";
/// Where they hold.
pub const PRICES_REGION: &str = "us-east-1";
/// Memory of the engine's function, in GiB.
pub const ENGINE_GIB: f64 = 2.0;

/// One price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// US dollars for a million.
    pub dollars_per_million: f64,
    /// A million of what.
    pub of: &'static str,
    /// Who says so.
    pub source: &'static str,
}

/// A GiB-second of Lambda on arm64.
pub const LAMBDA_GIB_SECOND: Price =
    Price { dollars_per_million: 13.3334, of: "GB-seconds, arm64", source: "aws.amazon.com/lambda/pricing" };
/// An invocation of Lambda.
pub const LAMBDA_INVOCATION: Price =
    Price { dollars_per_million: 0.20, of: "invocations", source: "aws.amazon.com/lambda/pricing" };
/// A write of up to 1 KB to DynamoDB on demand; within a transaction it counts twice.
pub const TABLE_WRITE: Price = Price {
    dollars_per_million: 0.625,
    of: "write request units",
    source: "aws.amazon.com/dynamodb/pricing/on-demand",
};
/// A read of up to 4 KB from DynamoDB on demand.
pub const TABLE_READ: Price =
    Price { dollars_per_million: 0.125, of: "read request units", source: "aws.amazon.com/dynamodb/pricing/on-demand" };
/// A PUT to S3 Standard.
pub const BLOB_PUT: Price = Price { dollars_per_million: 5.0, of: "PUTs", source: "aws.amazon.com/s3/pricing" };
/// A GET from S3 Standard.
pub const BLOB_GET: Price = Price { dollars_per_million: 0.40, of: "GETs", source: "aws.amazon.com/s3/pricing" };
/// A request to a standard queue of SQS.
pub const QUEUE_REQUEST: Price =
    Price { dollars_per_million: 0.40, of: "requests", source: "aws.amazon.com/sqs/pricing" };

/// The cost of something, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Lambda.
    pub compute: f64,
    /// DynamoDB.
    pub table: f64,
    /// S3 and SQS.
    pub storage_and_queue: f64,
    /// All together.
    pub total: f64,
}

/// Writes of a published snapshot: header and digest, each within a transaction.
const SNAPSHOT_WRITES: f64 = 4.0;
/// Reads of 4 KB it takes to find a day's pages and its stored snapshot.
const DAY_READS: f64 = 2.0;
/// GETs of one day's pages, shared by the insights of a unit.
const DAY_GETS: f64 = 2.0;
/// Writes of one unit: the wave's two steps, and its check.
const UNIT_WRITES: f64 = 6.0;
/// Requests of one message: sent, received, deleted.
const MESSAGE_REQUESTS: f64 = 3.0;

/// What running these units costs, when engines take so many seconds for them.
pub fn cost(units: &[Unit], engine_seconds: f64) -> Cost {
    let amount = units.iter().fold(Amount::default(), |sum, unit| sum.plus(unit.amount));
    let periods: u64 = units.iter().filter(|unit| !unit.period.is_day()).map(|unit| unit.count).sum();
    let members: usize = units.iter().map(|unit| unit.members.len()).sum();
    let (units, members, snapshots) = (units.len() as f64, members as f64, (amount.days + periods) as f64);
    let of = |price: Price, count: f64| price.dollars_per_million * count / 1e6;
    let compute = of(LAMBDA_GIB_SECOND, engine_seconds * ENGINE_GIB) + of(LAMBDA_INVOCATION, units);
    let writes = SNAPSHOT_WRITES * snapshots + UNIT_WRITES * units + members;
    let reads = DAY_READS * amount.days as f64 + amount.folds as f64 + 2.0 * units;
    let table = of(TABLE_WRITE, writes) + of(TABLE_READ, reads);
    // A unit's states are one object an insight; folding reads a range of each day's.
    let gets = DAY_GETS * amount.days as f64 + amount.folds as f64;
    let storage_and_queue =
        of(BLOB_PUT, 2.0 * members) + of(BLOB_GET, gets) + of(QUEUE_REQUEST, MESSAGE_REQUESTS * units);
    Cost { compute, table, storage_and_queue, total: compute + table + storage_and_queue }
}
