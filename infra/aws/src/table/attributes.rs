//! An item's four attributes: `p` and `s` are its key, `r` is its rank, `b` its body.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use tidemill_ports::{Change, Error, Item};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::Position;

/// The partition key: binary.
pub const PARTITION: &str = "p";
/// The sort key: binary.
pub const SORT: &str = "s";
/// The rank: a number.
pub const RANK: &str = "r";
/// The body: binary.
pub const BODY: &str = "b";

type Attributes = HashMap<String, AttributeValue>;

/// A key's attributes.
pub(super) fn of_key(key: &Key) -> Attributes {
    let blob = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    HashMap::from([(PARTITION.to_owned(), blob(&key.partition)), (SORT.to_owned(), blob(&key.sort))])
}

/// An item's attributes, its key's included.
pub(super) fn of_item(key: &Key, item: &Item) -> Attributes {
    let mut attributes = of_key(key);
    attributes.insert(RANK.to_owned(), AttributeValue::N(item.rank.to_string()));
    attributes.insert(BODY.to_owned(), AttributeValue::B(Blob::new(item.body.as_ref())));
    attributes
}

/// The key among attributes.
pub(super) fn key(attributes: &Attributes) -> Result<Key, Error> {
    key_of(|name| bytes(attributes, name))
}

/// The rank and body among attributes.
pub(super) fn item(attributes: &Attributes) -> Result<Item, Error> {
    item_of(|name| bytes(attributes, name), attributes.get(RANK).and_then(|rank| rank.as_n().ok()).map(String::as_str))
}

fn bytes<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a [u8]> {
    attributes.get(name)?.as_b().ok().map(Blob::as_ref)
}

/// A change of the stream; `bytes` gives a binary attribute of the key or of an image, `rank` an image's rank. Both are
/// asked by whoever knows how its images are written: a stream's record and a function's event have types of their own.
///
/// # Errors
/// [`Error::Invalid`] when attributes are missing: the table was written by something else.
pub fn change_of<'a>(
    sequence_number: &str,
    key: impl Fn(&str) -> Option<&'a [u8]>,
    old: Option<Image<'a>>,
    new: Option<Image<'a>>,
) -> Result<Change, Error> {
    let item = |image: Option<Image<'a>>| {
        image.map(|image| item_of(|name| (name == BODY).then_some(image.body).flatten(), image.rank)).transpose()
    };
    Ok(Change { position: position(sequence_number)?, key: key_of(key)?, old: item(old)?, new: item(new)? })
}

/// An image of a change, as the stream has it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Attribute `r`.
    pub rank: Option<&'a str>,
    /// Attribute `b`.
    pub body: Option<&'a [u8]>,
}

/// The place a sequence number names. It has at most 38 digits here; DynamoDB promises no more than 40.
pub(super) fn position(sequence_number: &str) -> Result<Position, Error> {
    let number = sequence_number.parse().map(Position);
    number.map_err(|_| Error::Invalid(format!("sequence number `{sequence_number}` is not within 128 bits")))
}

fn key_of<'a>(bytes: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Key, Error> {
    let half = |name| bytes(name).map(<[u8]>::to_vec).ok_or_else(|| missing(name));
    Ok(Key { partition: half(PARTITION)?, sort: half(SORT)? })
}

fn item_of<'a>(bytes: impl Fn(&str) -> Option<&'a [u8]>, rank: Option<&str>) -> Result<Item, Error> {
    let rank = rank.and_then(|rank| rank.parse().ok()).ok_or_else(|| missing(RANK))?;
    let body = bytes(BODY).ok_or_else(|| missing(BODY))?;
    Ok(Item { rank, body: Bytes::copy_from_slice(body) })
}

fn missing(name: &str) -> Error {
    Error::Invalid(format!("an item without a readable attribute `{name}`: was the table written by something else?"))
}
