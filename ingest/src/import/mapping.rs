//! Mappings: which column of a table is which field of an event.
//!
//! In: the text of `--map`. Out: a place for each field, bound to a file's columns. A field that is not mapped is the
//! column of its own name, if there is one.

use std::collections::BTreeMap;

use super::ImportError;

/// The fields a table can fill, required ones first.
const FIELDS: [&str; 6] = ["id", "name", "time", "actor", "source", "rev"];
/// How many of [`FIELDS`] are required.
const REQUIRED: usize = 3;

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<C> {
    /// A column.
    Column(C),
    /// The same text in every row.
    Literal(String),
    /// The file's name and the row's number; for `id` alone.
    Row,
}

/// The places given; fields not listed are the columns of their own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(BTreeMap<&'static str, Place<String>>);

impl Mapping {
    /// Reads `id=sha,name='commit',time=committed at`: a column's name, text in single quotes (a quote in it doubled),
    /// or `#row` for `id`.
    ///
    /// # Errors
    /// [`ImportError::Map`].
    pub fn parse(text: &str) -> Result<Mapping, ImportError> {
        let mut places = BTreeMap::new();
        for pair in split(text)? {
            let (field, place) =
                pair.split_once('=').ok_or_else(|| ImportError::Map(format!("`{pair}` has no `=`")))?;
            let known = FIELDS.iter().find(|known| **known == field.trim());
            let field = known.ok_or_else(|| {
                ImportError::Map(format!("`{}` is no field; the fields are {}", field.trim(), FIELDS.join(", ")))
            })?;
            let place = match place.trim() {
                "" => return Err(ImportError::Map(format!("`{field}` is mapped to nothing"))),
                "#row" if *field == "id" => Place::Row,
                "#row" => return Err(ImportError::Map("`#row` stands for `id` alone".to_owned())),
                quoted if quoted.starts_with('\'') => Place::Literal(quoted[1..quoted.len() - 1].replace("''", "'")),
                column => Place::Column(column.to_owned()),
            };
            if places.insert(*field, place).is_some() {
                return Err(ImportError::Map(format!("`{field}` is mapped twice")));
            }
        }
        Ok(Mapping(places))
    }

    /// The columns of a file in their places; those without one are properties.
    pub(super) fn bind(&self, columns: &[String]) -> Result<Bound, ImportError> {
        let mut places: Vec<Option<Place<usize>>> = Vec::new();
        for (nth, field) in FIELDS.into_iter().enumerate() {
            let (wanted, given) = match self.0.get(field) {
                Some(Place::Literal(text)) => {
                    places.push(Some(Place::Literal(text.clone())));
                    continue;
                }
                Some(Place::Row) => {
                    places.push(Some(Place::Row));
                    continue;
                }
                Some(Place::Column(column)) => (column.as_str(), true),
                None => (field, false),
            };
            let found = columns.iter().position(|column| column == wanted);
            if found.is_none() && (given || nth < REQUIRED) {
                return Err(ImportError::NoColumn {
                    field,
                    column: wanted.to_owned(),
                    has: listed(columns),
                    or: match field {
                        "id" => " or --map id=#row",
                        "time" => "",
                        _ => " or a text in single quotes",
                    },
                });
            }
            places.push(found.map(Place::Column));
        }
        let taken = |column: &usize| places.contains(&Some(Place::Column(*column)));
        let properties = (0..columns.len())
            .filter(|column| !taken(column))
            .map(|column| (column, columns[column].clone()))
            .collect();
        let mut places = places.into_iter();
        let mut next = || places.next().flatten();
        let (id, name, time, actor, source, rev) = (next(), next(), next(), next(), next(), next());
        Ok(Bound { id, name, time, actor, source, rev, properties })
    }
}

/// A mapping bound to a file's columns.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) id: Option<Place<usize>>,
    pub(super) name: Option<Place<usize>>,
    pub(super) time: Option<Place<usize>>,
    pub(super) actor: Option<Place<usize>>,
    pub(super) source: Option<Place<usize>>,
    pub(super) rev: Option<Place<usize>>,
    /// Columns that are properties, with their keys.
    pub(super) properties: Vec<(usize, String)>,
}

/// The pairs between commas, but for commas in quotes.
fn split(text: &str) -> Result<Vec<&str>, ImportError> {
    let mut pairs = Vec::new();
    let (mut from, mut quoted) = (0, false);
    for (at, char) in text.char_indices() {
        match char {
            '\'' => quoted = !quoted,
            ',' if !quoted => {
                pairs.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(&text[from..]);
    let unended = |pair: &&str| {
        let place = pair.split_once('=').map_or("", |(_, place)| place.trim());
        place.starts_with('\'') && (place.len() < 2 || !place.ends_with('\''))
    };
    if quoted || pairs.iter().any(unended) {
        return Err(ImportError::Map("a quote does not end".to_owned()));
    }
    Ok(pairs)
}

fn listed(columns: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut out: Vec<String> =
        columns.iter().take(SHOWN).map(|column| format!("`{}`", column.escape_debug())).collect();
    if columns.len() > SHOWN {
        out.push(format!("{} more", columns.len() - SHOWN));
    }
    if out.is_empty() { "no columns".to_owned() } else { out.join(", ") }
}
