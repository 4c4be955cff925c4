//! Representations: an answer as JSON, CSV, an Arrow stream or Parquet, as `Accept` asks.
//!
//! In: the JSON of an answer, which is the one truth. Out: its rows in another form, with what does not fit into it told
//! in headers: `Tidemill-Partial`, `Tidemill-Complete-Through`, and `Tidemill-Next`, the cursor of the next slice.

use axum::http::{HeaderMap, HeaderValue, header};
use tidemill_schemas::definition::Definition;

use super::ask::Ask;
use crate::problem::Problem;
use crate::render::json::Json;
use crate::render::rows::Rows;
use crate::render::{arrow, csv};

/// A form an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// Everything.
    Json,
    /// Rows with a header; text cells defused.
    Csv,
    /// Rows as an Arrow IPC stream.
    Arrow,
    /// Rows as a Parquet file.
    Parquet,
}

/// Every form, the preferred ones first.
pub const REPRESENTATIONS: [Representation; 4] =
    [Representation::Json, Representation::Csv, Representation::Arrow, Representation::Parquet];

impl Representation {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Representation::Json => "application/json",
            Representation::Csv => "text/csv",
            Representation::Arrow => "application/vnd.apache.arrow.stream",
            Representation::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The form that `Accept` wants most; JSON where it does not say.
    ///
    /// # Errors
    /// It wants none of ours.
    pub fn accepted(headers: &HeaderMap) -> Result<Representation, Problem> {
        let wanted: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let ranges: Vec<Range<'_>> = wanted.iter().flat_map(|value| value.split(',')).filter_map(Range::of).collect();
        if ranges.is_empty() {
            return Ok(Representation::Json);
        }
        let best = REPRESENTATIONS.into_iter().map(|form| (quality(&ranges, form), form)).rev();
        match best.max_by_key(|(quality, _)| *quality) {
            Some((1.., form)) => Ok(form),
            _ => Err(Problem::not_acceptable(&REPRESENTATIONS.map(Representation::media_type))),
        }
    }

    /// The body of an answer, given as JSON, in this form, and the headers that go with it. `named`: its columns, where
    /// they are not the definition's metrics.
    ///
    /// # Errors
    /// Numbers that no column can hold.
    pub fn body(
        self,
        json: String,
        definition: &Definition,
        ask: &Ask,
        named: Option<Vec<String>>,
    ) -> Result<(Vec<u8>, HeaderMap), Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type()));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        if self == Representation::Json {
            return Ok((json.into_bytes(), headers));
        }
        let answer = Json::parse(json.as_bytes()).ok_or_else(|| Problem::internal(&"our own JSON is unreadable"))?;
        tell(&mut headers, &answer);
        let mut rows = Rows::of(answer.items_at("rows"));
        if rows.columns.is_empty() {
            rows.columns = named.unwrap_or_else(|| columns(definition, ask));
        }
        let body = match self {
            Representation::Json | Representation::Csv => csv::of_rows(&rows),
            Representation::Arrow | Representation::Parquet => {
                let functions = definition.metrics().iter();
                let functions =
                    functions.map(|metric| (metric.name.clone(), metric.function.word().to_owned())).collect();
                let columns = arrow::batch(&rows, &functions, definition.timezone.name());
                let write = if self == Representation::Arrow { arrow::stream } else { arrow::parquet };
                columns.and_then(|batch| write(&batch)).map_err(|error| Problem::no_columns(&error))?
            }
        };
        Ok((body, headers))
    }
}

/// What an answer says beside its rows.
fn tell(headers: &mut HeaderMap, answer: &Json) {
    let Some(completeness) = answer.get("completeness") else { return };
    let partial = if completeness.is_true_at("partial") { "true" } else { "false" };
    headers.insert("tidemill-partial", HeaderValue::from_static(partial));
    for (name, text) in [
        ("tidemill-complete-through", completeness.text_at("complete_through")),
        ("tidemill-next", answer.text_at("next")),
    ] {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(text)) {
            headers.insert(name, value);
        }
    }
}

/// The columns of an answer without rows.
fn columns(definition: &Definition, ask: &Ask) -> Vec<String> {
    let by = ask.by.iter().filter_map(|at| definition.by.get(*at)).map(|column| column.name().to_owned());
    let metrics = definition.metrics().iter().map(|metric| metric.name.clone());
    std::iter::once("time".to_owned()).chain(by).chain(metrics).collect()
}

/// One part of an `Accept` header.
struct Range<'h> {
    of: &'h str,
    /// Thousandths.
    quality: u32,
}

impl<'h> Range<'h> {
    fn of(text: &'h str) -> Option<Range<'h>> {
        let mut parts = text.split(';').map(str::trim);
        let of = parts.next().filter(|of| !of.is_empty())?;
        let given = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(Range { of, quality: given.map_or(1000, thousandths) })
    }

    /// How closely it names a media type: 0 not at all, 3 by its own name.
    fn closeness(&self, media_type: &str) -> u32 {
        let kind = media_type.split('/').next().unwrap_or_default();
        match self.of.strip_suffix("/*") {
            _ if self.of.eq_ignore_ascii_case(media_type) => 3,
            Some(of) if of.eq_ignore_ascii_case(kind) => 2,
            Some("*") => 1,
            _ => 0,
        }
    }
}

/// `0.5` → 500. What is no such number is taken as not wanted.
fn thousandths(text: &str) -> u32 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, decimals) {
        ("1", decimals) if decimals.bytes().all(|byte| byte == b'0') => 1000,
        ("0", decimals) if digits(decimals) && decimals.len() <= 3 => format!("{decimals:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// What the closest range says of a form.
fn quality(ranges: &[Range<'_>], form: Representation) -> u32 {
    let closest = ranges.iter().map(|range| (range.closeness(form.media_type()), range.quality));
    closest.filter(|(closeness, _)| *closeness > 0).max().map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests;
