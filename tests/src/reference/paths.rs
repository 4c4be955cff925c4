//! Paths: sessions cut at gaps, then at their anchors.

use tidemill_schemas::definition::actors::Paths;
use tidemill_schemas::value::Value;

use super::Did;

/// A path: its stations, and the breakdown of its anchor.
pub type Path = (Vec<Value>, Vec<Value>);

/// The paths of one actor whose anchor lies in the bucket.
pub fn paths(paths: &Paths, did: &[Did], (start, end): (i64, i64)) -> Vec<Path> {
    let gap = paths.session_gap_seconds as i64 * 1_000_000;
    let end_bit = if paths.start.is_some() { 2 } else { 1 };
    let is_start = |did: &Did| paths.start.is_some() && did.mask & 1 != 0;
    let is_end = |did: &Did| paths.end.is_some() && did.mask & end_bit != 0;
    let mut found = Vec::new();
    for session in did.chunk_by(|a, b| b.time - a.time <= gap) {
        for (at, anchor) in session.iter().enumerate() {
            if !(start..end).contains(&anchor.time) {
                continue;
            }
            let stretch = if paths.end.is_some() {
                let after_last = session[..at].iter().rposition(is_end).map_or(0, |last| last + 1);
                let from = match paths.start {
                    Some(_) => session[..at].iter().rposition(is_start).filter(|start| *start >= after_last),
                    None => Some(after_last.max((at + 1).saturating_sub(paths.depth as usize))),
                };
                from.filter(|from| is_end(anchor) && at - from < paths.depth as usize).map(|from| &session[from..=at])
            } else {
                let next = session[at + 1..].iter().position(is_start).map_or(session.len(), |next| at + 1 + next);
                is_start(anchor).then(|| &session[at..next.min(at + paths.depth as usize)])
            };
            if let Some(stretch) = stretch {
                found.push((stretch.iter().map(|did| did.station.clone()).collect(), anchor.group.clone()));
            }
        }
    }
    found
}
