//! Reading for a pass: pages of the days asked for → row groups with the bytes that are needed, some ahead.
//!
//! In: pages by UTC day, and what the insights of the pass need. Out: row groups in order, and after each UTC day that
//! it is over. Fetched are footers, then the byte ranges of wanted columns of row groups that can hold something; a
//! small page comes whole. Bounded: a few footers and a few row groups ahead of the one handed out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tidemill_ingest::manifest::{IndexedPage, PageRef};
use tidemill_ingest::page::footer::{Bounds, FOOTER_BYTES_GUESS, Footer, Opened, Rows};
use tidemill_ingest::page::parts::Parts;
use tidemill_ingest::page::revisions::Corrected;
use tidemill_ingest::page::{PageError, Wanted};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::expression::Column;

use crate::fold::reach::{Need, Reach};
use crate::on_request::Failure;
use crate::pass::{Group, What};

/// Days whose corrections are looked up ahead.
const DAYS_AHEAD: usize = 2;
/// Pages whose footers are fetched ahead.
const PAGES_AHEAD: usize = 8;
/// Row groups whose bytes are fetched ahead.
const GROUPS_AHEAD: usize = 3;
/// Bytes of a page that is fetched whole: asking twice takes longer.
const WHOLE_PAGE_BYTES_MAX: u64 = 2 * FOOTER_BYTES_GUESS;

/// What the insights of a pass need of the pages.
pub(crate) struct Reading {
    /// The columns their expressions read.
    pub columns: BTreeSet<Column>,
    /// Each insight.
    pub insights: Vec<Insight>,
}

/// What one insight needs.
pub(crate) struct Insight {
    /// The event names it reads; `None`: all.
    pub names: Option<Vec<String>>,
    /// The source it reads; `None`: all.
    pub source: Option<String>,
    /// Its local days; `None`: none of them has to be computed.
    pub reach: Option<Reach>,
    /// See [`crate::plan::Plan::counts_values`].
    pub values: Option<Vec<Column>>,
    /// Objects of pages it includes already.
    pub included: BTreeSet<String>,
}

impl Insight {
    /// Whether it has to see a page at all.
    pub fn wants(&self, page: &PageRef) -> bool {
        self.reach.is_some()
            && self.source.as_ref().is_none_or(|source| *source == page.source)
            && !self.included.contains(&page.object)
    }
}

/// What comes next in a pass.
pub(crate) enum Step {
    /// A row group.
    Group(Box<Group>),
    /// All of a UTC day has come.
    DayOver(Date),
}

/// A stretch of the way.
enum Stretch {
    Pages(Vec<IndexedPage>, Option<Arc<Corrected>>),
    DayOver(Date),
}

/// A page with its footer.
pub(crate) struct Open {
    pub page: PageRef,
    pub footer: Footer,
    /// The page, if it came whole.
    pub whole: Option<Parts>,
    pub corrected: Option<Arc<Corrected>>,
}

enum Ahead {
    Page(Box<Open>),
    DayOver(Date),
}

/// The way through the pages of these UTC days; pages nobody wants are not among them.
pub(crate) fn steps(
    context: &Context,
    days: Vec<(Date, Vec<IndexedPage>)>,
    mut reading: Reading,
) -> impl Stream<Item = Result<Step, Failure>> + '_ {
    let indexed = reading.insights.iter().any(|insight| insight.names.is_some());
    let stretches = days.into_iter().flat_map(|(day, pages)| {
        let sources = pages.chunk_by(|a, b| a.page.source == b.page.source).map(<[IndexedPage]>::to_vec);
        let sources: Vec<Vec<IndexedPage>> = sources.collect();
        sources.into_iter().map(move |pages| (Some(pages), day)).chain([(None, day)])
    });
    stream::iter(stretches)
        .map(move |(pages, day)| async move {
            let Some(pages) = pages else { return Ok(Stretch::DayOver(day)) };
            let corrected = PageStore::new(context).corrected(&pages).await?;
            Ok::<_, Failure>(Stretch::Pages(pages, (!corrected.is_empty()).then(|| Arc::new(corrected))))
        })
        .buffered(DAYS_AHEAD)
        .flat_map(|stretch| stream::iter(pages_of(stretch)))
        .map(move |page| async move {
            match page? {
                (Some(page), corrected, _) => Ok(Ahead::Page(Box::new(open(context, page, corrected, indexed).await?))),
                (None, _, day) => Ok::<_, Failure>(Ahead::DayOver(day)),
            }
        })
        .buffered(PAGES_AHEAD)
        .flat_map(move |ahead| stream::iter(groups_of(ahead, &mut reading)))
        .map(move |step| async move {
            match step? {
                (Step::Group(mut group), Some((object, ranges))) => {
                    let parts = fetch(context, &object, &ranges).await?;
                    group.parts = Parts::new(group.parts.length(), parts);
                    Ok(Step::Group(group))
                }
                (step, _) => Ok(step),
            }
        })
        .buffered(GROUPS_AHEAD)
}

type PageOrDay = (Option<PageRef>, Option<Arc<Corrected>>, Date);

fn pages_of(stretch: Result<Stretch, Failure>) -> Vec<Result<PageOrDay, Failure>> {
    match stretch {
        Err(failure) => vec![Err(failure)],
        Ok(Stretch::DayOver(day)) => vec![Ok((None, None, day))],
        Ok(Stretch::Pages(pages, corrected)) => {
            let page = |page: IndexedPage| Ok((Some(page.page.clone()), corrected.clone(), page.page.day));
            pages.into_iter().map(page).collect()
        }
    }
}

/// A group still without its bytes, and where they are; none when they came with the footer.
type Planned = (Step, Place);

/// An object and ranges of its bytes; `None`: they are at hand.
pub(crate) type Place = Option<(Path, Vec<Range<u64>>)>;

fn groups_of(ahead: Result<Ahead, Failure>, reading: &mut Reading) -> Vec<Result<Planned, Failure>> {
    match ahead {
        Err(failure) => vec![Err(failure)],
        Ok(Ahead::DayOver(day)) => vec![Ok((Step::DayOver(day), None))],
        Ok(Ahead::Page(open)) => {
            let groups = planned(*open, reading).into_iter();
            groups.map(|(group, place)| Ok((Step::Group(Box::new(group)), place))).collect()
        }
    }
}

/// The row groups of a page somebody wants, still without their bytes, and where those are.
pub(crate) fn planned(open: Open, reading: &mut Reading) -> Vec<(Group, Place)> {
    let object: Arc<str> = open.page.object.as_str().into();
    let footer = Arc::new(open.footer);
    let mut planned = Vec::new();
    for (group, count) in footer.groups().enumerate() {
        let bounds = footer.bounds(group);
        let (wanted_by, need) = reading.need(&open.page, &bounds);
        let rows = reading.names(&wanted_by).map_or(Rows::All, |names| footer.rows_of_names(group, &names));
        if !need.rows || matches!(rows, Rows::None) {
            continue;
        }
        let values = match (&open.corrected, need.time || need.received) {
            (None, false) => reading.values(&wanted_by, &footer, group),
            _ => None,
        };
        let (what, ranges) = match values {
            Some((columns, ranges)) => (What::Values(columns), ranges),
            None => {
                let wanted = Wanted::Columns { columns: &reading.columns, identity: open.corrected.is_some() };
                let time = need.time || reading.columns.contains(&Column::Time);
                let columns = footer.columns(wanted, time, need.received);
                let ranges = footer.ranges(group, &columns, &rows);
                (What::Columns(columns, rows), ranges)
            }
        };
        let place = match &open.whole {
            Some(_) => None,
            None => Some((Path::from(open.page.object.as_str()), ranges)),
        };
        let parts = open.whole.clone().unwrap_or_else(|| Parts::new(open.page.bytes, Vec::new()));
        let (page, footer, corrected) = (object.clone(), footer.clone(), open.corrected.clone());
        let group = Group { page, footer, group, parts, what, count, bounds, corrected, wanted_by };
        planned.push((group, place));
    }
    planned
}

impl Reading {
    /// Who wants rows of a page within these bounds, and what they need of them.
    fn need(&mut self, page: &PageRef, bounds: &Bounds) -> (Vec<bool>, Need) {
        let mut needs = Need::default();
        let wanted_by = self.insights.iter_mut().map(|insight| {
            let wants = insight.wants(page);
            let need = insight.reach.as_mut().filter(|_| wants).map_or(Need::default(), |reach| reach.need(bounds));
            needs = needs.or(need);
            need.rows
        });
        (wanted_by.collect(), needs)
    }

    /// The columns whose distinct values are all some insights need, and where they lie; `None` when one looks at rows.
    fn values(&self, of: &[bool], footer: &Footer, group: usize) -> Option<(Vec<Column>, Vec<Range<u64>>)> {
        let mut columns = BTreeSet::new();
        for (insight, _) in self.insights.iter().zip(of).filter(|(_, is_of)| **is_of) {
            columns.extend(insight.values.as_ref()?.iter().cloned());
        }
        let ranges = columns.iter().map(|column| footer.vocabulary(group, column)).collect::<Option<Vec<_>>>()?;
        Some((columns.into_iter().collect(), ranges))
    }

    /// The event names some insights read; `None`: all.
    fn names(&self, of: &[bool]) -> Option<Vec<String>> {
        let mut names = BTreeSet::new();
        for (insight, _) in self.insights.iter().zip(of).filter(|(_, is_of)| **is_of) {
            names.extend(insight.names.as_ref()?.iter().cloned());
        }
        Some(names.into_iter().collect())
    }
}

/// Fetches a page's footer, or all of a small page.
async fn open(
    context: &Context,
    page: PageRef,
    corrected: Option<Arc<Corrected>>,
    indexed: bool,
) -> Result<Open, Failure> {
    let object = Path::from(page.object.as_str());
    let mut last = if page.bytes <= WHOLE_PAGE_BYTES_MAX { page.bytes } else { FOOTER_BYTES_GUESS };
    loop {
        let first = page.bytes.saturating_sub(last);
        let bytes = context.blobs.get_range(&object, first..page.bytes).await.map_err(Error::from)?;
        // The reader of footers takes the bytes of the file's end for the file, given the file's length.
        match Footer::open(&Parts::whole(bytes.clone()), page.bytes, indexed).map_err(|why| unreadable(&page, &why))? {
            Opened::Footer(footer) => {
                let whole = (first == 0).then(|| Parts::whole(bytes));
                return Ok(Open { page, footer, whole, corrected });
            }
            Opened::More(needed) if needed > last && first > 0 => last = needed.min(page.bytes),
            Opened::More(_) => {
                return Err(unreadable(&page, &PageError::Format("its footer is cut off".to_owned())));
            }
        }
    }
}

async fn fetch(context: &Context, object: &Path, ranges: &[Range<u64>]) -> Result<Vec<(u64, bytes::Bytes)>, Failure> {
    let bytes = context.blobs.get_ranges(object, ranges).await.map_err(Error::from)?;
    Ok(ranges.iter().map(|range| range.start).zip(bytes).collect())
}

fn unreadable(page: &PageRef, why: &PageError) -> Failure {
    Failure::Never(format!("page {} is unreadable: {why}", page.object))
}
