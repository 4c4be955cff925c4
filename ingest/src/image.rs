//! Images: stored events read where they lie.
//!
//! In: the bytes of a stored event. Out: its fields, borrowed; numbers as their own text, parsed by whoever wants them.
//! A consumer of the change feed looks at many images and keeps little of each, so nothing is copied here but the list
//! of properties.

use serde::Deserialize;
use tidemill_schemas::decimal::{Decimal, DecimalError};
use tidemill_schemas::event::Event;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Type, Value};

/// An event as it is stored: field by field what [`Event`] is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Image<'a> {
    /// See [`Event::id`].
    pub id: &'a str,
    /// See [`Event::source`].
    pub source: &'a str,
    /// See [`Event::name`].
    pub name: &'a str,
    /// See [`Event::actor`].
    pub actor: Option<&'a str>,
    /// See [`Event::time`].
    pub time: Timestamp,
    /// See [`Event::properties`]; ascending by key.
    #[serde(borrow)]
    pub properties: Vec<(&'a str, Held<'a>)>,
    /// See [`Event::rev`].
    pub rev: u64,
    /// See [`Event::deleted`].
    pub deleted: bool,
    /// See [`Event::received`].
    pub received: Timestamp,
}

/// A value as it is stored, variant by variant what [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Held<'a> {
    /// Absent.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number's text.
    Number(&'a str),
    /// Text.
    Text(&'a str),
    /// An instant.
    Time(Timestamp),
}

impl Held<'_> {
    /// The value's type; `None` for null.
    pub fn type_of(&self) -> Option<Type> {
        match self {
            Held::Null => None,
            Held::Bool(_) => Some(Type::Bool),
            Held::Number(_) => Some(Type::Number),
            Held::Text(_) => Some(Type::Text),
            Held::Time(_) => Some(Type::Time),
        }
    }

    /// A copy of one's own.
    ///
    /// # Errors
    /// [`DecimalError`] when a number's text is none, which is never stored.
    pub fn value(&self) -> Result<Value, DecimalError> {
        Ok(match *self {
            Held::Null => Value::Null,
            Held::Bool(value) => Value::Bool(value),
            Held::Number(text) => Value::Number(Decimal::parse(text)?),
            Held::Text(text) => Value::Text(text.to_owned()),
            Held::Time(time) => Value::Time(time),
        })
    }
}

impl Image<'_> {
    /// A copy of one's own.
    ///
    /// # Errors
    /// [`DecimalError`] when a number's text is none, which is never stored.
    pub fn event(&self) -> Result<Event, DecimalError> {
        let properties = self.properties.iter().map(|(key, held)| Ok(((*key).to_owned(), held.value()?)));
        Ok(Event {
            id: self.id.to_owned(),
            source: self.source.to_owned(),
            name: self.name.to_owned(),
            actor: self.actor.map(str::to_owned),
            time: self.time,
            properties: properties.collect::<Result<_, _>>()?,
            rev: self.rev,
            deleted: self.deleted,
            received: self.received,
        })
    }
}
