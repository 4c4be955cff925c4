//! Columns of lines: native events read straight into page columns.
//!
//! In: lines, one after the other. Out: their columns. A line is added whole or not at all: whatever is not plainly
//! right — an unknown field, a key twice, an array, a withdrawal, a rule that might be broken — leaves no trace here
//! and is the codec's to judge.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::{
    EVENT_AHEAD_MICROS_MAX, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, EVENT_KEY_BYTES_MAX, EVENT_PROPERTIES_MAX,
    EVENT_VALUE_BYTES_MAX,
};
use tidemill_schemas::page::{META_PROPERTY, META_TYPE, column_name, envelope_fields};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;

use super::super::typed::{Doubts, has_control};
use super::cells::{Cells, Value, view};
use crate::codec::json::Scanner;
use crate::codec::native::{time_of_millis, time_of_text};
use crate::page::PageError;

/// No property, or no row.
const NONE: u32 = u32::MAX;
/// Texts that had escapes, and the default source, lie in the block behind the lines themselves.
const OWN_BLOCK: u32 = 1;

/// A key, wherever it stands in the properties.
struct Key {
    path: String,
    /// The last attempt that met it.
    met: u32,
    /// Whether it may bear a value.
    good: bool,
    /// The key that came behind it the last time.
    next: u32,
    /// Where its cells are, by type.
    cells: [u32; 3],
}

fn nth(at: Type) -> usize {
    match at {
        Type::Bool => 0,
        Type::Number => 1,
        _ => 2,
    }
}

/// The envelopes of the lines so far.
#[derive(Default)]
struct Envelopes {
    ids: Vec<u128>,
    sources: Vec<u128>,
    names: Vec<u128>,
    actors: Vec<u128>,
    has_actor: Vec<bool>,
    times: Vec<i64>,
    revs: Vec<i64>,
}

/// Lines as columns.
pub(super) struct Columns {
    text: Buffer,
    /// The block behind it.
    own: Vec<u8>,
    default_source: u128,
    now: Timestamp,
    latest: i64,
    rows: Vec<u32>,
    envelopes: Envelopes,
    keys: Vec<Key>,
    by_path: HashMap<String, u32>,
    first_key: u32,
    cells: Vec<(u32, Type, Cells)>,
    attempt: u32,
    /// The cells the line at hand added to.
    touched: Vec<u32>,
    path: String,
}

/// A line's envelope, as far as it is read.
#[derive(Default)]
struct Draft {
    seen: u8,
    id: Option<u128>,
    source: Option<u128>,
    name: Option<u128>,
    actor: Option<u128>,
    time: Option<i64>,
    rev: i64,
}

/// The line at hand.
struct Line<'a> {
    scanner: Scanner<'a>,
    /// Where it begins in the block.
    start: usize,
    /// The key met last.
    last_key: u32,
    values: usize,
}

impl Columns {
    pub(super) fn new(text: &Bytes, source: &str, now: Timestamp) -> Columns {
        let own = source.as_bytes().to_vec();
        let default_source = view(&own, OWN_BLOCK, 0);
        let latest = now.plus_micros(EVENT_AHEAD_MICROS_MAX).min(Timestamp::MAX).micros();
        let (rows, envelopes, keys, by_path, cells) = Default::default();
        let (attempt, touched, path) = Default::default();
        let text = Buffer::from(text.clone());
        let first_key = NONE;
        Columns {
            text,
            own,
            default_source,
            now,
            latest,
            rows,
            envelopes,
            keys,
            by_path,
            first_key,
            cells,
            attempt,
            touched,
            path,
        }
    }

    /// The lines that are in it.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// How many columns its properties take.
    pub(super) fn wide(&self) -> usize {
        self.cells.iter().filter(|(_, _, cells)| !cells.is_empty()).count()
    }

    /// Adds a line that begins at `start` of the text; `false` when it has to be looked at more closely.
    pub(super) fn add(&mut self, row: u32, start: usize, line: &str) -> bool {
        if line.len() > EVENT_BYTES_MAX {
            return false;
        }
        self.attempt += 1;
        self.touched.clear();
        let own = self.own.len();
        let mut at = Line { scanner: Scanner::new(line, 0), start, last_key: NONE, values: 0 };
        let read = self.event(&mut at).filter(|_| at.scanner.at() == line.len());
        let Some((draft, id, name, time)) = read.and_then(|draft| {
            let (id, name, time) = (draft.id?, draft.name?, draft.time?);
            Some((draft, id, name, time))
        }) else {
            self.touched.iter().for_each(|cells| self.cells[*cells as usize].2.pop());
            self.own.truncate(own);
            return false;
        };
        let envelopes = &mut self.envelopes;
        envelopes.ids.push(id);
        envelopes.sources.push(draft.source.unwrap_or(self.default_source));
        envelopes.names.push(name);
        envelopes.actors.push(draft.actor.unwrap_or_default());
        envelopes.has_actor.push(draft.actor.is_some());
        envelopes.times.push(time);
        envelopes.revs.push(draft.rev);
        self.rows.push(row);
        true
    }

    fn event(&mut self, line: &mut Line<'_>) -> Option<Draft> {
        let mut draft = Draft::default();
        line.scanner.take(b'{').then_some(())?;
        loop {
            line.scanner.peek();
            let key = line.scanner.string().ok()?;
            line.scanner.take(b':').then_some(())?;
            self.field(&key, line, &mut draft)?;
            if line.scanner.take(b'}') {
                return Some(draft);
            }
            line.scanner.take(b',').then_some(())?;
        }
    }

    fn field(&mut self, key: &str, line: &mut Line<'_>, draft: &mut Draft) -> Option<()> {
        const FIELDS: [&str; 8] = ["id", "source", "name", "actor", "time", "rev", "properties", "deleted"];
        let place = FIELDS.iter().position(|field| *field == key)?;
        if draft.seen & (1 << place) != 0 {
            return None;
        }
        draft.seen |= 1 << place;
        let next = line.scanner.peek()?;
        if next == b'n' {
            return line.scanner.word("null").ok();
        }
        match place {
            0 => draft.id = Some(self.key_text(line)?),
            1 => draft.source = Some(self.key_text(line)?),
            2 => draft.name = Some(self.key_text(line)?),
            3 => draft.actor = Some(self.key_text(line)?),
            4 => {
                let time = match next {
                    b'"' => time_of_text(&line.scanner.string().ok()?)?,
                    _ => time_of_millis(line.scanner.number().ok()?)?,
                };
                draft.time = Some(time.in_range()?.micros()).filter(|time| *time <= self.latest);
                draft.time?;
            }
            5 => draft.rev = line.scanner.number().ok()?.parse().ok().filter(|rev| *rev >= 0)?,
            6 => self.object(line, 2)?,
            _ => line.scanner.word("false").ok()?,
        }
        Some(())
    }

    /// The text of an identity field.
    fn key_text(&mut self, line: &mut Line<'_>) -> Option<u128> {
        let text = line.scanner.string().ok()?;
        if text.is_empty() || text.len() > EVENT_KEY_BYTES_MAX || has_control(&text) {
            return None;
        }
        Some(self.place(line, text))
    }

    /// Where a text that was just read lies.
    fn place(&mut self, line: &Line<'_>, text: Cow<'_, str>) -> u128 {
        match text {
            // It ends before the closing quote.
            Cow::Borrowed(text) => {
                let offset = line.start + line.scanner.at() - 1 - text.len();
                view(text.as_bytes(), 0, offset as u32)
            }
            Cow::Owned(text) => {
                let offset = self.own.len() as u32;
                self.own.extend_from_slice(text.as_bytes());
                view(text.as_bytes(), OWN_BLOCK, offset)
            }
        }
    }

    /// An object of properties, `depth` deep, the event itself being 1.
    fn object(&mut self, line: &mut Line<'_>, depth: usize) -> Option<()> {
        if depth > EVENT_DEPTH_MAX || !line.scanner.take(b'{') {
            return None;
        }
        if line.scanner.take(b'}') {
            return Some(());
        }
        let above = self.path.len();
        loop {
            line.scanner.peek();
            let key = line.scanner.string().ok()?;
            line.scanner.take(b':').then_some(())?;
            let read = if depth == 2 {
                self.value(line, &key, depth)
            } else {
                let path = [&self.path, ".", &key].concat();
                self.value(line, &path, depth)
            };
            self.path.truncate(above);
            read?;
            if line.scanner.take(b'}') {
                return Some(());
            }
            line.scanner.take(b',').then_some(())?;
        }
    }

    fn value(&mut self, line: &mut Line<'_>, path: &str, depth: usize) -> Option<()> {
        let found = self.key(line, path)?;
        let value = match line.scanner.peek()? {
            b'{' => {
                self.path.clear();
                self.path.push_str(path);
                return self.object(line, depth + 1);
            }
            b'n' => return line.scanner.word("null").ok(),
            b't' => {
                line.scanner.word("true").ok()?;
                Value::Bool(true)
            }
            b'f' => {
                line.scanner.word("false").ok()?;
                Value::Bool(false)
            }
            b'"' => {
                let text = line.scanner.string().ok()?;
                (text.len() <= EVENT_VALUE_BYTES_MAX).then_some(())?;
                Value::Text(self.place(line, text))
            }
            _ => Value::Number(Decimal::parse(line.scanner.number().ok()?).ok()?),
        };
        line.values += 1;
        let key = &mut self.keys[found as usize];
        (key.good && line.values <= EVENT_PROPERTIES_MAX).then_some(())?;
        let cells = &mut key.cells[nth(value.type_of())];
        if *cells == NONE {
            *cells = self.cells.len() as u32;
            self.cells.push((found, value.type_of(), Cells::of(value.type_of())));
        }
        self.cells[*cells as usize].2.push(self.rows.len() as u32, value);
        self.touched.push(*cells);
        Some(())
    }

    /// The key of a path that this line did not have before.
    fn key(&mut self, line: &mut Line<'_>, path: &str) -> Option<u32> {
        let guess = self.keys.get(line.last_key as usize).map_or(self.first_key, |last| last.next);
        let found = match self.keys.get(guess as usize) {
            Some(guessed) if guessed.path == path => guess,
            _ => self.look_up(path),
        };
        match self.keys.get_mut(line.last_key as usize) {
            Some(last) => last.next = found,
            None => self.first_key = found,
        }
        line.last_key = found;
        let key = &mut self.keys[found as usize];
        if key.met == self.attempt {
            return None;
        }
        key.met = self.attempt;
        Some(found)
    }

    fn look_up(&mut self, path: &str) -> u32 {
        if let Some(found) = self.by_path.get(path) {
            return *found;
        }
        let found = self.keys.len() as u32;
        let good = !path.is_empty() && path.len() <= EVENT_KEY_BYTES_MAX && !path.chars().any(char::is_control);
        self.keys.push(Key { path: path.to_owned(), met: 0, good, next: NONE, cells: [NONE; 3] });
        self.by_path.insert(path.to_owned(), found);
        found
    }

    /// The columns; numbers too wide for theirs are doubted.
    pub(super) fn end(self, doubts: &mut Doubts) -> Result<RecordBatch, PageError> {
        let rows = self.rows.len();
        let blocks = [self.text, Buffer::from_vec(self.own)];
        let texts = |views: Vec<u128>, nulls: Option<NullBuffer>| -> Result<ArrayRef, PageError> {
            Ok(Arc::new(StringViewArray::try_new(views.into(), blocks.to_vec(), nulls)?))
        };
        let instants =
            |micros: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")) };
        let envelopes = self.envelopes;
        let mut arrays: Vec<ArrayRef> = vec![
            texts(envelopes.ids, None)?,
            texts(envelopes.sources, None)?,
            texts(envelopes.names, None)?,
            texts(envelopes.actors, Some(NullBuffer::from(envelopes.has_actor)))?,
            instants(envelopes.times),
            instants(vec![self.now.micros(); rows]),
            Arc::new(Int64Array::from(envelopes.revs)),
            Arc::new(BooleanArray::from(vec![false; rows])),
        ];
        let mut fields: Vec<Field> = envelope_fields();
        for (field, array) in fields.iter_mut().zip(&arrays) {
            *field = Field::new(field.name(), array.data_type().clone(), true);
        }
        let mut cells: Vec<_> = self.cells.into_iter().filter(|(_, _, cells)| !cells.is_empty()).collect();
        cells.sort_by(|a, b| (&self.keys[a.0 as usize].path, a.1).cmp(&(&self.keys[b.0 as usize].path, b.1)));
        let mut names = HashSet::new();
        for (key, at, held) in cells {
            let property = &self.keys[key as usize].path;
            let array = held.array(rows, &blocks, doubts)?;
            let metadata = HashMap::from([
                (META_PROPERTY.to_owned(), property.clone()),
                (META_TYPE.to_owned(), at.word().to_owned()),
            ]);
            // Named as in a page, so that a property called `$rare` is none of ours.
            let first = names.insert(property);
            let name = if first { column_name(property, at, at) } else { format!("{property}${}", at.word()) };
            fields.push(Field::new(name, array.data_type().clone(), true).with_metadata(metadata));
            arrays.push(array);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}
