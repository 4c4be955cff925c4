//! What a month costs on AWS: a simulated day, every call of it counted, and a bill.
//!
//! In: definitions, events like the ones they are for, a table of prices. Out: units and dollars by service. The day runs
//! through the same router and handlers as any other, over stores in memory, on a clock of its own, with deliveries cut
//! as Lambda's mappings cut them. Nothing here talks to AWS.

pub mod bill;
pub mod cpu;
pub mod day;
pub mod partitions;
pub mod shown;
pub mod usage;
pub mod workload;
