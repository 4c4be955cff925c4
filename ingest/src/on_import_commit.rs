//! The exact part of an import: from closed gates to a commit, or to nothing.
//!
//! In: surveyed files, the gates of their sources closed. Out: pages and identity index committed in one group, the
//! gates open again; the rows that have to go through the event store. Until the group is written nothing counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use object_store::{ObjectStoreExt, WriteMultipart, path::Path};
use tidemill_ports::{Error, Write};
use tidemill_schemas::keys::EVENT_BUCKETS;
use tidemill_schemas::window::Position;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::event_store::EventStore;
use crate::identity::{Filter, IDENTITY_BYTES, Identity, hash_of};
use crate::import_store::{Closed, GateError, ImportStore, Imports, RUNS_MAX, RunRef};
use crate::manifest::{ChainEntry, MANIFEST_FORMAT, PageRef, import_shard};
use crate::on_import::{ImportFailure, ImportReceipt, Progress, Run, blocking, threads};
use crate::on_import_finish::{Finishing, Told, finish};
use crate::on_import_read::{self, Opened};
use crate::on_import_survey::Surveyed;
use crate::on_import_write::{Fragment, Making, Primaries, RowSet, write_again};
use crate::page_file_store::PageName;
use crate::page_store::{ENTRY_BYTES_MAX, PageStore};
use crate::scratch_store::{Scratch, Slices};
use crate::sift::{Claim, Origin, SLICES, Sifted, sift};

/// Pages waiting for the object store.
const PAGES_WAITING_MAX: usize = 2;
/// Bytes of one part of an upload.
const UPLOAD_BYTES: usize = 8 * 1024 * 1024;
/// Parts of an upload under way at once.
const UPLOADS_AT_ONCE_MAX: usize = 4;
/// How often a commit is sent whose outcome nobody was told.
const COMMIT_ATTEMPTS_MAX: u32 = 16;

/// Sifts, writes and commits. The rows that correct something are ascending.
pub(crate) async fn commit(
    run: &Run<'_>,
    opened: &Arc<Vec<Opened>>,
    mut surveyed: Surveyed,
    closed: &mut [Closed],
    scratch: &Arc<Scratch>,
    receipt: &mut ImportReceipt,
) -> Result<Vec<u64>, ImportFailure> {
    let rows = opened.iter().map(|file| file.rows).sum();
    let fragments = surveyed.fragments.take();
    let sifting = sift_all(run, surveyed, closed, scratch, rows).await?;
    receipt.duplicates += sifting.duplicates;
    let mut runs = Vec::new();
    for (place, writer) in sifting.runs.into_iter().enumerate() {
        runs.push(upload(run, writer, place, closed).await?);
    }
    let (pages, pages_tx) = {
        let (sender, receiver) = tokio::sync::mpsc::channel(PAGES_WAITING_MAX);
        (receiver, sender)
    };
    let making = Pages {
        files: opened.clone(),
        fragments,
        keep: sifting.keep,
        primaries: run.primaries.clone(),
        scratch: scratch.clone(),
        pages: pages_tx,
        progress: run.progress.clone(),
    };
    let task = blocking(move || make_pages(making));
    let (made, by_source) = tokio::join!(task, store_pages(run, pages, closed));
    // What stopped the storing also stopped the making: its error says more.
    let by_source = by_source?;
    made?;
    if let Some(changed) = opened.iter().find(|file| !file.is_unchanged()) {
        return Err(ImportFailure::Changed(changed.name.clone()));
    }
    let found: u64 = by_source.values().flatten().map(|page| page.rows).sum();
    if found != sifting.kept {
        tracing::error!(found, kept = sifting.kept, "an import's pages do not hold its rows");
        return Err(ImportFailure::Broke);
    }
    receipt.pages = by_source.values().map(|pages| pages.len() as u64).sum();
    receipt.page_bytes = by_source.values().flatten().map(|page| page.bytes).sum();
    commit_pages(run, by_source, closed, runs).await?;
    receipt.accepted += found;
    Ok(sifting.corrections)
}

/// What pages are made of.
struct Pages {
    files: Arc<Vec<Opened>>,
    fragments: Option<Vec<Fragment>>,
    keep: RowSet,
    primaries: Primaries,
    scratch: Arc<Scratch>,
    pages: tokio::sync::mpsc::Sender<Told>,
    progress: Arc<Progress>,
}

fn make_pages(given: Pages) -> Result<(), ImportFailure> {
    let Pages { files, fragments, keep, primaries, scratch, pages, progress } = given;
    let fragments = match fragments {
        Some(fragments) => fragments,
        None => {
            let making = Making { scratch: &scratch, primaries: &primaries };
            // Only a sign of life: where the channel is full there are others.
            let alive = || drop(pages.try_send(Told::Alive));
            let all = on_import_read::pieces(&files);
            write_again(&files, &all, &keep, &making, &alive, &progress)?
        }
    };
    finish(&Finishing { keep: &keep, primaries: &primaries, pages: &pages }, fragments)
}

/// What sifting left.
struct Sifting {
    keep: RowSet,
    kept: u64,
    corrections: Vec<u64>,
    duplicates: u64,
    /// Per source: the run that the import adds to its index, and whether that run holds the older ones too.
    runs: Vec<RunWriter>,
}

async fn sift_all(
    run: &Run<'_>,
    surveyed: Surveyed,
    closed: &mut [Closed],
    scratch: &Scratch,
    rows: u64,
) -> Result<Sifting, ImportFailure> {
    let mut known = Slices::new()?;
    for place in 0..closed.len() {
        known_claims(run, place, closed, &mut known).await?;
    }
    let mut slices = surveyed.slices;
    slices.push(known);
    let slices: Arc<Vec<Mutex<Slices>>> = Arc::new(slices.into_iter().map(Mutex::new).collect());
    let keep = Arc::new(RowSet::of(rows));
    let mut runs = Vec::new();
    for (place, gate) in closed.iter().enumerate() {
        runs.push(RunWriter::new(scratch, place, gate, rows)?);
    }
    let (mut kept, mut corrections, mut duplicates) = (0, Vec::new(), 0);
    let all: Vec<usize> = (0..SLICES).collect();
    for some in all.chunks(threads()) {
        let sifted = join_all(some.iter().map(|slice| {
            let (slice, slices, keep) = (*slice, slices.clone(), keep.clone());
            blocking(move || sift_one(slice, &slices, &keep))
        }));
        for sifted in sifted.await {
            let mut sifted = sifted?;
            kept += sifted.keep.len() as u64;
            duplicates += sifted.duplicates;
            corrections.append(&mut sifted.correct);
            for (place, writer) in runs.iter_mut().enumerate() {
                writer.add(place as u16, &sifted)?;
            }
        }
        renew(run, closed).await?;
    }
    corrections.sort_unstable();
    let keep = Arc::into_inner(keep).ok_or(ImportFailure::Broke)?;
    Ok(Sifting { keep, kept, corrections, duplicates, runs })
}

/// What is known of a source: the index of its imports, and its ledger.
async fn known_claims(
    run: &Run<'_>,
    place: usize,
    closed: &mut [Closed],
    known: &mut Slices,
) -> Result<(), ImportFailure> {
    let imports = ImportStore::new(run.context);
    let (source, name) = (place as u16, closed[place].source.clone());
    for indexed in &closed[place].imports.runs.clone() {
        renew(run, closed).await?;
        let mut records = imports.records(indexed).await?;
        let mut left: Vec<u8> = Vec::new();
        while let Some(bytes) = records.next().await {
            left.extend_from_slice(&bytes?);
            let whole = left.len() - left.len() % IDENTITY_BYTES;
            for identity in Identity::decode_all(&left[..whole]) {
                known.add(&Claim { source, identity, origin: Origin::Index, row: 0, withdraws: false })?;
            }
            left.drain(..whole);
        }
    }
    let events = EventStore::new(run.context);
    for bucket in 0..EVENT_BUCKETS {
        let mut after = None;
        loop {
            renew(run, closed).await?;
            let (items, next) = events.ledger(run.tenant, &name, bucket, after).await?;
            for (id, rev) in items {
                let identity = Identity { hash: hash_of(&id), day: 0, rev };
                known.add(&Claim { source, identity, origin: Origin::Ledger, row: 0, withdraws: false })?;
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

fn sift_one(slice: usize, slices: &[Mutex<Slices>], keep: &RowSet) -> Result<Sifted, ImportFailure> {
    let mut claims = Vec::new();
    for set in slices {
        set.lock().map_err(|_| ImportFailure::Broke)?.read(slice, &mut claims)?;
    }
    let sifted = sift(&claims);
    sifted.keep.iter().for_each(|row| keep.add(*row));
    Ok(sifted)
}

async fn renew(run: &Run<'_>, closed: &mut [Closed]) -> Result<(), ImportFailure> {
    for gate in closed {
        ImportStore::new(run.context).renew(run.tenant, gate).await?;
    }
    Ok(())
}

/// A run of the identity index that is being written to scratch disk.
struct RunWriter {
    name: std::path::PathBuf,
    file: BufWriter<File>,
    hasher: Xxh3,
    filter: Filter,
    fresh: u64,
    records: u64,
    /// Whether the run takes the older ones in.
    folds: bool,
}

impl RunWriter {
    fn new(scratch: &Scratch, place: usize, gate: &Closed, rows: u64) -> Result<RunWriter, ImportFailure> {
        let folds = gate.imports.runs.len() + 1 > RUNS_MAX;
        let older = if folds { gate.imports.runs.iter().map(|run| run.records).sum() } else { 0 };
        let name = format!("identities-{place}");
        Ok(RunWriter {
            file: scratch.create(&name)?,
            name: scratch.path(&name),
            hasher: Xxh3::new(),
            filter: Filter::for_records(rows + older),
            fresh: 0,
            records: 0,
            folds,
        })
    }

    /// Adds what a slice has of its source.
    fn add(&mut self, source: u16, sifted: &Sifted) -> Result<(), ImportFailure> {
        let of_source = |all: &[(u16, Identity)]| -> Vec<Identity> {
            all.iter().filter(|(place, _)| *place == source).map(|(_, identity)| *identity).collect()
        };
        let mut identities = of_source(&sifted.fresh);
        self.fresh += identities.len() as u64;
        if self.folds {
            identities.extend(of_source(&sifted.indexed));
            identities.sort_unstable();
        }
        for identity in identities {
            let record = identity.encode();
            self.hasher.update(&record);
            self.filter.add(identity.hash);
            self.file.write_all(&record)?;
            self.records += 1;
        }
        Ok(())
    }
}

/// Puts a run where it can be found; `None` when the import brings nothing new of its source.
async fn upload(
    run: &Run<'_>,
    mut writer: RunWriter,
    place: usize,
    closed: &mut [Closed],
) -> Result<Option<Vec<RunRef>>, ImportFailure> {
    if writer.fresh == 0 {
        return Ok(None);
    }
    writer.file.flush()?;
    let source = closed[place].source.clone();
    let name = |hash: u128, kind: &str| {
        let name = format!("{hash:032x}.{kind}");
        Path::from_iter(["identities", run.tenant.0.as_str(), &source, &name]).to_string()
    };
    // Whoever reads an object makes a path of its name, and so does this.
    let object = name(writer.hasher.digest128(), "ids");
    let upload = run.context.blobs.put_multipart(&Path::from(object.as_str())).await.map_err(Error::from)?;
    let mut parts = WriteMultipart::new_with_chunk_size(upload, UPLOAD_BYTES);
    let mut file = File::open(&writer.name)?;
    loop {
        let mut part = Vec::with_capacity(UPLOAD_BYTES);
        if Read::by_ref(&mut file).take(UPLOAD_BYTES as u64).read_to_end(&mut part)? == 0 {
            break;
        }
        parts.wait_for_capacity(UPLOADS_AT_ONCE_MAX).await.map_err(Error::from)?;
        parts.put(Bytes::from(part));
        renew(run, closed).await?;
    }
    parts.finish().await.map_err(Error::from)?;
    let bytes = Bytes::from(writer.filter.encode());
    let filter = name(xxh3_128(&bytes), "filter");
    run.context.blobs.put(&Path::from(filter.as_str()), bytes.into()).await.map_err(Error::from)?;
    let added = RunRef { object, filter, records: writer.records };
    let mut runs = if writer.folds { Vec::new() } else { closed[place].imports.runs.clone() };
    runs.push(added);
    Ok(Some(runs))
}

/// Puts pages into the object store as they come.
async fn store_pages(
    run: &Run<'_>,
    mut pages: tokio::sync::mpsc::Receiver<Told>,
    closed: &mut [Closed],
) -> Result<BTreeMap<String, Vec<PageRef>>, ImportFailure> {
    let store = PageStore::new(run.context);
    let mut by_source: BTreeMap<String, Vec<PageRef>> = BTreeMap::new();
    while let Some(told) = pages.recv().await {
        if let Told::Page(new) = told {
            let gate = closed.iter().find(|gate| gate.source == new.source).ok_or(ImportFailure::Broke)?;
            let shard = import_shard(run.tenant, &new.source);
            let after = Position(gate.imports.commits.into());
            let name = PageName { tenant: run.tenant, source: &new.source, day: new.day, shard: &shard, after };
            let (page, bytes) = name.page(new.page);
            store.put_objects(vec![(page.object.clone(), bytes)]).await?;
            by_source.entry(new.source).or_default().push(page);
        }
        renew(run, closed).await?;
    }
    for pages in by_source.values_mut() {
        pages.sort_by(|a, b| (a.day, &a.object).cmp(&(b.day, &b.object)));
    }
    Ok(by_source)
}

/// Enters the pages into the manifest and opens the gates.
async fn commit_pages(
    run: &Run<'_>,
    mut by_source: BTreeMap<String, Vec<PageRef>>,
    closed: &[Closed],
    runs: Vec<Option<Vec<RunRef>>>,
) -> Result<(), ImportFailure> {
    let store = PageStore::new(run.context);
    let (mut group, mut entries, mut committed) = (Vec::new(), Vec::new(), Vec::new());
    for (gate, runs) in closed.iter().zip(&runs) {
        let Some(runs) = runs else { continue };
        let shard = import_shard(run.tenant, &gate.source);
        let head = store.head_indexed(&shard).await?;
        let commits = gate.imports.commits + 1;
        let entry = ChainEntry {
            format: MANIFEST_FORMAT,
            shard,
            after: Position(gate.imports.commits.into()),
            through: Position(commits.into()),
            sealed_at: run.context.clock.now(),
            pages: by_source.remove(&gate.source).unwrap_or_default(),
        };
        if entry.encode().map_err(Error::Invalid)?.len() > ENTRY_BYTES_MAX {
            return Err(ImportFailure::Pages(entry.pages.len()));
        }
        let imports = Imports { commits, runs: runs.clone(), ..gate.imports.clone() };
        group.extend(PageStore::continuing(&entry, head.map(|(_, rank)| rank))?);
        group.push(ImportStore::committing(run.tenant, gate, &imports)?);
        committed.push((gate, imports));
        entries.push(entry);
    }
    if !group.is_empty() {
        write_group(run, &group, &committed).await?;
    }
    for entry in &entries {
        store.index(entry).await?;
    }
    let imports = ImportStore::new(run.context);
    for (gate, runs) in closed.iter().zip(runs) {
        imports.open(run.tenant, gate, runs.unwrap_or_else(|| gate.imports.runs.clone())).await?;
    }
    Ok(())
}

/// Writes the group; when nobody says whether it happened, reads.
async fn write_group(run: &Run<'_>, group: &[Write], committed: &[(&Closed, Imports)]) -> Result<(), ImportFailure> {
    let Some((gate, imports)) = committed.first() else { return Ok(()) };
    let store = ImportStore::new(run.context);
    let mut last = Error::Unavailable("the commit was never sent".to_owned());
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        last = match run.context.items.write(group.to_vec()).await {
            Ok(()) => return Ok(()),
            Err(Error::Invalid(why)) => return Err(Error::Invalid(why).into()),
            Err(error) => error,
        };
        match store.happened(run.tenant, gate, imports).await {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => return Err(GateError::Lost(gate.source.clone()).into()),
            Ok(None) => {}
            Err(error) => last = error,
        }
    }
    Err(last.into())
}
