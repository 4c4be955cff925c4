//! Paths: the ways actors take to an event, from one, or between two.
//!
//! Stations are an actor's events in the order of (time, mask, station). A gap longer than the session's ends a path, as
//! does its length. With an end, every event that is one ends a path, which reaches back to behind the end before it;
//! with a start, every event that is one begins a path, which reaches up to the next start; with both, a path is what
//! lies from the last start to an end, if no other end lies between and it is short enough. A path belongs to the bucket
//! of the event that anchors it: its end if there is one, else its start.

use std::collections::{BTreeSet, HashMap};

use tidemill_schemas::definition::actors::Paths;
use tidemill_schemas::snapshot::Group;
use tidemill_schemas::value::Value;

use super::walk::{Tagged, Trails};
use super::{Answer, Question, Row, micros, named, number};
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::GroupKey;
use crate::metric::trail::Moment;

/// Different paths of one answer.
pub const PATHS_MAX: usize = 1_000_000;

/// A path: its bucket, its breakdown, its stations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Way {
    bucket: u32,
    group: u32,
    stations: Vec<u32>,
}

/// How often a path was taken, and by how many.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    count: u64,
    actors: u64,
}

/// Rows of paths.
pub(super) fn answer(question: &Question<'_>, paths: &Paths, inputs: &[Content]) -> Result<Answer, FoldError> {
    let key = |key: GroupKey| {
        let station = key.first().cloned().unwrap_or(Value::Null);
        std::iter::once(station).chain(question.kept(&key, 1)).collect()
    };
    let trails = Trails::<Moment>::load(question, inputs, true, key)?;
    let places = Places::of(&trails.groups);
    let finder = Finder { question, paths, places: &places };
    let mut taken: HashMap<Way, Taken> = HashMap::new();
    let mut ways: Vec<Way> = Vec::new();
    let mut is_too_many = false;
    let capped = trails.walk(|moments| {
        finder.ways(moments, &mut ways);
        ways.sort_unstable();
        for same in ways.chunk_by(|a, b| a == b) {
            let held = taken.entry(same[0].clone()).or_default();
            held.count += same.len() as u64;
            held.actors += 1;
        }
        is_too_many |= taken.len() > PATHS_MAX;
        if is_too_many { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    let capped = match capped {
        Err(_) if is_too_many => return Err(question.too_much("different paths", PATHS_MAX)),
        other => other?,
    };
    let top = top(&taken, question.definition.top as usize);
    // Who takes several of the other paths counts once among them.
    let mut others: HashMap<(u32, u32), Taken> = HashMap::new();
    if top.len() < distinct(&taken) {
        trails.walk(|moments| {
            finder.ways(moments, &mut ways);
            let mut seen = BTreeSet::new();
            for way in ways.iter().filter(|way| !top.contains(&(way.group, way.stations.clone()))) {
                let held = others.entry((way.bucket, way.group)).or_default();
                held.count += 1;
                if seen.insert((way.bucket, way.group)) {
                    held.actors += 1;
                }
            }
            Ok(())
        })?;
    }
    let rows = rows(question, &places, taken, &top, &others);
    Ok(Answer { time: "time", columns: named(&["path", "count", "actors"]), rows, notes: question.notes(capped) })
}

/// The station and the breakdown of each group of the states.
struct Places {
    /// By group: the numbers of both.
    of: Vec<(u32, u32)>,
    stations: Vec<Value>,
    groups: Vec<GroupKey>,
}

impl Places {
    fn of(keys: &[GroupKey]) -> Places {
        let stations: BTreeSet<&Value> = keys.iter().filter_map(|key| key.first()).collect();
        let groups: BTreeSet<&[Value]> = keys.iter().map(|key| &key[1.min(key.len())..]).collect();
        let (stations, groups): (Vec<&Value>, Vec<&[Value]>) =
            (stations.into_iter().collect(), groups.into_iter().collect());
        let of = keys.iter().map(|key| {
            let station = key.first().and_then(|station| stations.binary_search(&station).ok());
            let group = groups.binary_search(&&key[1.min(key.len())..]).ok();
            (station.unwrap_or_default() as u32, group.unwrap_or_default() as u32)
        });
        Places {
            of: of.collect(),
            stations: stations.into_iter().cloned().collect(),
            groups: groups.into_iter().map(<[Value]>::to_vec).collect(),
        }
    }

    fn shown(&self, stations: &[u32]) -> String {
        let shown = |station: &u32| match &self.stations[*station as usize] {
            Value::Null => "$null".to_owned(),
            Value::Text(text) => text.clone(),
            other => {
                let mut text = String::new();
                other.write_json(&mut text);
                text.trim_matches('"').to_owned()
            }
        };
        stations.iter().map(shown).collect::<Vec<_>>().join(" → ")
    }
}

/// Finds the paths of one actor.
struct Finder<'a> {
    question: &'a Question<'a>,
    paths: &'a Paths,
    places: &'a Places,
}

impl Finder<'_> {
    /// The paths, or their transitions, of all buckets.
    fn ways(&self, moments: &[Tagged<Moment>], ways: &mut Vec<Way>) {
        ways.clear();
        let expanded = moments
            .iter()
            .flat_map(|(moment, group)| std::iter::repeat_n((moment.time, moment.mask, *group), moment.count as usize));
        let events: Vec<(i64, u32, u32)> = expanded.take(super::ACTOR_EVENTS_MAX).collect();
        for (bucket, Bounds { first, end }) in self.bounds(&events).into_iter().enumerate() {
            for at in first..end {
                if let Some(path) = self.anchored(&events, at) {
                    let group = self.places.of[events[at].2 as usize].1;
                    let stations = path.iter().map(|(_, _, group)| self.places.of[*group as usize].0).collect();
                    self.add(ways, Way { bucket: bucket as u32, group, stations });
                }
            }
        }
    }

    fn add(&self, ways: &mut Vec<Way>, way: Way) {
        if !self.question.transitions {
            ways.push(way);
            return;
        }
        for pair in way.stations.windows(2) {
            ways.push(Way { stations: pair.to_vec(), ..way });
        }
    }

    fn bounds(&self, events: &[(i64, u32, u32)]) -> Vec<Bounds> {
        let before = |instant: i64| events.partition_point(|(time, ..)| *time < instant);
        let of = |bucket: &super::Bucket| Bounds {
            first: before(bucket.window.start.micros()),
            end: before(bucket.window.end.micros()),
        };
        self.question.buckets.iter().map(of).collect()
    }

    /// The path that the event at this place anchors.
    fn anchored<'e>(&self, events: &'e [(i64, u32, u32)], at: usize) -> Option<&'e [(i64, u32, u32)]> {
        let (start, end) = match (&self.paths.start, &self.paths.end) {
            (Some(_), Some(_)) => (1, 2),
            (Some(_), None) => (1, 0),
            _ => (0, 1),
        };
        let is = |at: usize, bit: u32| events[at].1 & bit != 0;
        let gap = micros(self.paths.session_gap_seconds);
        let goes_on = |from: usize, to: usize| events[to].0 - events[from].0 <= gap;
        let depth = self.paths.depth as usize;
        if end == 0 {
            let mut to = at + 1;
            while is(at, start) && to < events.len() && to - at < depth && goes_on(to - 1, to) && !is(to, start) {
                to += 1;
            }
            return is(at, start).then(|| &events[at..to]);
        }
        if !is(at, end) {
            return None;
        }
        let mut from = at;
        while from > 0 && at - from + 1 < depth && goes_on(from - 1, from) && !is(from - 1, end) {
            from -= 1;
            if start != 0 && is(from, start) {
                return Some(&events[from..=at]);
            }
        }
        (start == 0).then(|| &events[from..=at])
    }
}

struct Bounds {
    first: usize,
    end: usize,
}

/// The paths that are listed: of the most often taken ones of all buckets together.
fn top(taken: &HashMap<Way, Taken>, top: usize) -> BTreeSet<(u32, Vec<u32>)> {
    let mut ranked: HashMap<(u32, &Vec<u32>), u64> = HashMap::new();
    for (way, taken) in taken {
        *ranked.entry((way.group, &way.stations)).or_default() += taken.count;
    }
    let mut ranked: Vec<((u32, &Vec<u32>), u64)> = ranked.into_iter().collect();
    ranked.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    ranked.into_iter().take(top).map(|((group, stations), _)| (group, stations.clone())).collect()
}

fn distinct(taken: &HashMap<Way, Taken>) -> usize {
    taken.keys().map(|way| (way.group, &way.stations)).collect::<BTreeSet<_>>().len()
}

fn rows(
    question: &Question<'_>,
    places: &Places,
    taken: HashMap<Way, Taken>,
    top: &BTreeSet<(u32, Vec<u32>)>,
    others: &HashMap<(u32, u32), Taken>,
) -> Vec<Row> {
    let mut listed: Vec<(Way, Taken)> =
        taken.into_iter().filter(|(way, _)| top.contains(&(way.group, way.stations.clone()))).collect();
    listed.sort_unstable_by(|(a, x), (b, y)| {
        a.bucket.cmp(&b.bucket).then_with(|| y.count.cmp(&x.count)).then_with(|| a.cmp(b))
    });
    let mut rest: Vec<((u32, u32), Taken)> = others.iter().map(|(key, taken)| (*key, *taken)).collect();
    rest.sort_unstable_by_key(|(key, _)| *key);
    let row = |bucket: u32, group: u32, path: String, taken: &Taken| Row {
        start: Some(question.buckets[bucket as usize].start),
        group: (!question.by.is_empty()).then(|| Group::Key(places.groups[group as usize].clone())),
        values: vec![Value::Text(path), number(taken.count), number(taken.actors)],
    };
    let mut rows = Vec::new();
    for bucket in 0..question.buckets.len() as u32 {
        let of_bucket = listed.iter().filter(|(way, _)| way.bucket == bucket);
        rows.extend(of_bucket.map(|(way, taken)| row(bucket, way.group, places.shown(&way.stations), taken)));
        let rest = rest.iter().filter(|((of, _), _)| *of == bucket);
        rows.extend(rest.map(|((_, group), taken)| row(bucket, *group, "$other".to_owned(), taken)));
    }
    rows
}
