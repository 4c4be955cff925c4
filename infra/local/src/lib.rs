//! tidemill as one local process: the ports on files of one folder, and the runner that calls the handlers.
//!
//! [`Store::open`] gives the ports of a project, [`Runner`] delivers the change feed, requests and firings to
//! [`Handlers`]. Everything acknowledged is on the disk. Nothing here knows what an event or an insight is.

mod blobs;
mod cursors;
mod file;
mod lock;
mod queue;
mod runner;
mod schedule;
mod store;
mod table;

pub use blobs::local_blobs;
pub use cursors::Cursors;
pub use queue::{LocalQueue, QueueDepth};
pub use runner::{
    Consumer, DELIVERY_CHANGES_MAX, Failure, Handlers, LaneStatus, Progress, Runner, SEAL_CHANGES_MAX,
    SEAL_DELAY_SECONDS, Status,
};
pub use schedule::LocalSchedule;
pub use store::{FEED_SHARDS, Store, blobs_folder};
pub use table::{Feed, LocalTable};
