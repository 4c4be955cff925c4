//! What AWS charges, and what a backfill makes it charge. Pure. The prices themselves stand in `infra/prices.toml`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::backfill::{Amount, Unit};

/// Memory of the engine's function, in GiB.
pub const ENGINE_GIB: f64 = 2.0;

/// One price.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars for `per` of them.
    pub dollars: f64,
    /// How many the price is for.
    pub per: f64,
    /// Of what.
    pub of: String,
    /// Who says so.
    pub source: String,
    /// How many a month cost nothing.
    #[serde(default)]
    pub free: f64,
    /// Nobody has looked it up lately.
    #[serde(default)]
    pub unchecked: bool,
}

impl Price {
    /// What so many cost.
    pub fn of(&self, count: f64) -> f64 {
        self.dollars * count / self.per
    }
}

/// All prices, by what is paid for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "what each is for stands beside its price, in the file")]
pub struct Prices {
    pub as_of: String,
    pub region: String,
    pub lambda_gib_second: Price,
    pub lambda_invocation: Price,
    pub table_write: Price,
    pub table_read: Price,
    pub table_storage: Price,
    pub table_backup: Price,
    pub feed_read: Price,
    pub blob_put: Price,
    pub blob_get: Price,
    pub blob_storage: Price,
    pub fast_put: Price,
    pub fast_get: Price,
    pub fast_storage: Price,
    pub fast_upload: Price,
    pub fast_download: Price,
    pub queue_request: Price,
    pub schedule_firing: Price,
    pub kinesis_shard: Price,
    pub kinesis_put_unit: Price,
    pub log_bytes: Price,
    pub alarm: Price,
}

/// The table of prices as it is shipped.
pub const PRICES_TEXT: &str = include_str!("../../infra/prices.toml");

static SHIPPED: LazyLock<Prices> =
    LazyLock::new(|| Prices::read(PRICES_TEXT).unwrap_or_else(|why| unreachable!("a test reads them: {why}")));

impl Prices {
    /// Reads a table of prices; every price must be there, and no other.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub fn read(text: &str) -> Result<Prices, String> {
        toml::from_str(text).map_err(|why| why.to_string().trim_end().to_owned())
    }

    /// The prices as they are shipped.
    pub fn shipped() -> &'static Prices {
        &SHIPPED
    }
}

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
    let prices = Prices::shipped();
    let compute = prices.lambda_gib_second.of(engine_seconds * ENGINE_GIB) + prices.lambda_invocation.of(units);
    let writes = SNAPSHOT_WRITES * snapshots + UNIT_WRITES * units + members;
    let reads = DAY_READS * amount.days as f64 + amount.folds as f64 + 2.0 * units;
    let table = prices.table_write.of(writes) + prices.table_read.of(reads);
    // A unit's states are one object an insight; folding reads a range of each day's.
    let gets = DAY_GETS * amount.days as f64 + amount.folds as f64;
    let storage_and_queue = prices.blob_put.of(2.0 * members)
        + prices.blob_get.of(gets)
        + prices.queue_request.of(MESSAGE_REQUESTS * units);
    Cost { compute, table, storage_and_queue, total: compute + table + storage_and_queue }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_whole() {
        let prices = Prices::read(PRICES_TEXT).expect("readable");
        assert_eq!(prices.region, "us-east-1");
        assert!((prices.table_write.of(2_000_000.0) - 1.25).abs() < 1e-9);
    }

    #[test]
    fn a_price_that_is_missing_or_unknown_is_named() {
        let without = PRICES_TEXT.replace("[alarm]", "[alarms]");
        assert!(Prices::read(&without).expect_err("refused").contains("alarm"));
        let odd = PRICES_TEXT.replace("per = 1_000_000", "pre = 1_000_000");
        assert!(Prices::read(&odd).expect_err("refused").contains("pre"));
    }
}
