//! `type: cohort`.

use super::{Kinded, Reading};
use crate::calendar::Period;
use crate::definition::actors::{Cohort, CohortMeasure, CohortMode, PERIODS_DEFAULT, PERIODS_MAX};
use crate::definition::diagnostic::code;
use crate::definition::standard::Uses;
use crate::definition::{Body, fields};
use crate::expression::typing::Hints;

pub(super) const KIND: Kinded = Kinded {
    word: "cohort",
    keys: &["from", "where", "by", "top", "actor", "born", "returns", "every", "periods", "mode", "measure"],
    daily: true,
    read,
};

/// The buckets of a cohort.
pub(super) const BUCKETS: [(&str, Period); 3] =
    [("day", Period::Day), ("week", Period::Week), ("month", Period::Month)];

fn read(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let (base, actor) = (reader.base()?, reader.actor()?);
    reader.by()?;
    if let [_, further, ..] = reader.uses.by.as_slice() {
        let message = format!("a cohort is broken down by one column; `{}` is another", further.name());
        let at = reader.find("by").map_or(0..0, |entry| entry.key_at.clone());
        reader.refuse(code::RANGE, at, message, "make a second insight for the other column");
        return None;
    }
    let born = reader.due("born", "the event that puts an actor into a cohort: `born: signed_up`")?;
    let born = reader.selection(&born.value, "`born`", &[])?;
    let returns = reader.due("returns", "the event that counts as coming back: `returns: session_started`")?;
    let returns = reader.selection(&returns.value, "`returns`", &[])?;
    let every = match reader.find("every") {
        Some(entry) => fields::word(&entry.value, "every", &BUCKETS, reader.problems)?,
        None => Period::Week,
    };
    let periods = match reader.find("periods") {
        Some(entry) => fields::whole(&entry.value, "periods", 1..=PERIODS_MAX, reader.problems)?,
        None => PERIODS_DEFAULT,
    };
    let modes = [("first_time", CohortMode::FirstTime), ("recurring", CohortMode::Recurring)];
    let mode = reader.word("mode", &modes)?;
    let measures = [("on", CohortMeasure::On), ("on_or_after", CohortMeasure::OnOrAfter)];
    let measure = reader.word("measure", &measures)?;
    let settled = reading.settle(hints)?;
    let cohort = Cohort {
        actors: settled.actors(actor, &base),
        born: settled.selection(&born),
        returns: settled.selection(&returns),
        every,
        periods,
        mode,
        measure,
    };
    Some((Body::Cohort(cohort), settled.uses))
}
