//! Where each consumer stands in each shard of the feed, durable.

use std::sync::Arc;

use redb::{Database, ReadableTable, TableDefinition};
use tidemill_ports::Error;
use tidemill_schemas::window::Position;

use crate::file::{self, Changed};

const CURSORS: TableDefinition<(&str, &str), u128> = TableDefinition::new("cursors");

/// The cursors of a project.
pub struct Cursors {
    file: Arc<Database>,
}

impl Cursors {
    /// The cursors in a database shared with others.
    pub(crate) fn on(file: Arc<Database>) -> Result<Cursors, Error> {
        file::change(&file, |transaction| {
            transaction.open_table(CURSORS)?;
            Ok(Changed::Yes(()))
        })?;
        Ok(Cursors { file })
    }

    /// The last position a consumer has done; the one before the first when it has not begun.
    pub fn get(&self, consumer: &str, shard: &str) -> Result<Position, Error> {
        file::read(&self.file, |transaction| {
            let cursors = transaction.open_table(CURSORS)?;
            Ok(Position(cursors.get((consumer, shard))?.map_or(0, |position| position.value())))
        })
    }

    /// Moves a consumer on. Only its own delivery does that, one at a time; it never moves back.
    pub async fn advance(&self, consumer: &str, shard: &str, position: Position) -> Result<(), Error> {
        let (consumer, shard) = (consumer.to_owned(), shard.to_owned());
        file::change_off_thread(&self.file, move |transaction| {
            let mut cursors = transaction.open_table(CURSORS)?;
            let key = (consumer.as_str(), shard.as_str());
            let held = cursors.get(key)?.map_or(0, |held| held.value());
            if position.0 <= held {
                return Ok(Changed::No(()));
            }
            cursors.insert(key, position.0)?;
            Ok(Changed::Yes(()))
        })
        .await
    }
}
