//! Watches: a stream of frames that follows one kind's changes.
//!
//! A watch holds a place in the history and is woken when something happened; it never polls. Each frame is
//! rendered once for all watches of the same form.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use crate::{
    api::{
        present::{partial::metadata_only, selection::Selection, table},
        store::{
            change::Change,
            form::Form,
            objects::{Event, Store, Stored, TooOld},
            shared::Shared,
        },
    },
    registry::view::View,
    wire::{negotiate::Format, query::ListOptions, status::Status},
};

/// Time between bookmarks on a quiet watch.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before the end the last bookmark goes out.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Changes read from the history at once.
const BATCH: usize = 128;

/// Why a watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchEnd {
    /// The client's (or the server's usual) timeout passed.
    TimedOut,
    /// Its resource version is older than what is still known.
    Expired,
    /// The server ended it: another cluster, a kind no longer served, or on demand.
    Ended,
}

/// An open watch: a stream of frames, each one line of JSON.
pub(crate) struct Watch {
    end: Arc<Mutex<Option<WatchEnd>>>,
    frames: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
}

impl Watch {
    /// The content type of the response.
    #[expect(clippy::unused_self, reason = "every form is framed as JSON today")]
    pub(crate) fn content_type(&self) -> &'static str {
        "application/json"
    }

    /// Why it ended, once it has; a watch its client left has no reason.
    pub(crate) fn end_reason(&self) -> Option<WatchEnd> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a watch on what is there now. Called under the lock of the store.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        store: &Store,
        view: View,
        selection: Selection,
        options: &ListOptions,
        format: Format,
    ) -> Result<Self, Status> {
        let collection = store.collection(&view.kind.collection).ok_or_else(Status::no_such_resource)?;
        let current = store.rv();
        let from_now = matches!(options.rv, None | Some(0));
        if options.initial_events == Some(true)
            && let Some(asked) = options.rv.filter(|&rv| rv > current)
        {
            return Err(Status::resource_version_too_large(asked, current));
        }
        let with_initial = options.initial_events.unwrap_or(from_now);
        let mut initial = VecDeque::new();
        // A list of the present never fails.
        if with_initial && let Ok(objects) = collection.walk(selection.namespace.as_deref(), None, u64::MAX) {
            initial.extend(objects.filter(|stored| selection.matches(&view, stored)));
        }
        let now = Instant::now();
        let id = shared.next_watch();
        // As the real server: half an hour and up to as much again, spread over the watches.
        let seconds = options.timeout_seconds.unwrap_or(1_800 + id.wrapping_mul(7) % 1_800);
        let end = Arc::new(Mutex::new(None));
        let mut cursor = Cursor {
            shared: Arc::clone(shared),
            incarnation: collection.incarnation,
            at: match options.rv {
                Some(rv) if !with_initial && rv > 0 => rv,
                _ => current,
            },
            begun: false,
            initial,
            // A watch without a version, or from any, asks for initial events too, as on a real server.
            marks_initial_end: with_initial && options.bookmarks,
            pending: VecDeque::new(),
            changes: collection.subscribe(),
            view,
            selection,
            format,
            headings: true,
            bookmarks: options.bookmarks,
            deadline: now.checked_add(Duration::from_secs(seconds)),
            next_bookmark: now,
            // A real server finds that an event is no list, and ends the watch.
            over: format == Format::MetadataList,
            end: Arc::clone(&end),
        };
        cursor.plan_bookmark(now);
        let frames = stream::unfold(cursor, |mut cursor| async move {
            let frame = cursor.next().await?;
            Some((frame, cursor))
        });
        Ok(Self { end, frames: frames.boxed() })
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watch").field("end", &self.end_reason()).finish_non_exhaustive()
    }
}

impl Stream for Watch {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.frames.as_mut().poll_next(context)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about one watch")]
struct Cursor {
    shared: Arc<Shared>,
    incarnation: u64,
    /// The latest change that was sent, or that does not match this watch.
    at: u64,
    /// It has begun: a change that it has sent may be forgotten from now on.
    begun: bool,
    initial: VecDeque<Arc<Stored>>,
    marks_initial_end: bool,
    pending: VecDeque<Arc<Event>>,
    changes: Receiver<()>,
    view: View,
    selection: Selection,
    format: Format,
    /// The next table frame still says what the columns are.
    headings: bool,
    bookmarks: bool,
    deadline: Option<Instant>,
    next_bookmark: Instant,
    over: bool,
    end: Arc<Mutex<Option<WatchEnd>>>,
}

impl Cursor {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            if let Some(stored) = self.initial.pop_front() {
                return Some(self.render(Change::Added, &stored));
            }
            if self.marks_initial_end {
                self.marks_initial_end = false;
                return Some(self.bookmark(true));
            }
            while let Some(event) = self.pending.pop_front() {
                self.at = event.rv;
                if let Some(frame) = self.frame(&event) {
                    return Some(frame);
                }
            }
            // Marked as seen before looking, so that what comes in between wakes again.
            self.changes.borrow_and_update();
            match self.look() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(WatchEnd::Expired) => {
                    self.finish(WatchEnd::Expired);
                    let message = format!("too old resource version: {}", self.at);
                    let status = Status::expired(message).to_value();
                    return Some(line("ERROR", &status.to_string()));
                }
                Err(reason) => {
                    self.finish(reason);
                    return None;
                }
            }
            tokio::select! {
                // The latest changes are sent before the watch times out.
                biased;
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        self.finish(WatchEnd::Ended);
                    }
                }
                () = until(self.deadline) => self.finish(WatchEnd::TimedOut),
                () = sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.plan_bookmark(Instant::now());
                    return Some(self.bookmark(false));
                }
            }
        }
    }

    fn finish(&mut self, reason: WatchEnd) {
        self.over = true;
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Fetches what happened; whether there was anything.
    fn look(&mut self) -> Result<bool, WatchEnd> {
        let shared = Arc::clone(&self.shared);
        let store = shared.read();
        let collection = store
            .collection(&self.view.kind.collection)
            .filter(|collection| collection.incarnation == self.incarnation)
            .ok_or(WatchEnd::Ended)?;
        let events = match collection.changes_after(self.at, BATCH) {
            Ok(events) => events,
            Err(TooOld) if self.begun && collection.is_caught_up(self.at) => Vec::new(),
            Err(TooOld) => return Err(WatchEnd::Expired),
        };
        self.begun = true;
        if events.is_empty() {
            if collection.is_retired() {
                return Err(WatchEnd::Ended);
            }
            self.at = self.at.max(store.rv());
            return Ok(false);
        }
        self.pending.extend(events);
        Ok(true)
    }

    /// What this watch says about a change, if anything.
    fn frame(&mut self, event: &Event) -> Option<Bytes> {
        let now = event.change != Change::Deleted && self.selection.matches(&self.view, &event.after);
        let before = event.before.as_ref().is_some_and(|before| self.selection.matches(&self.view, before));
        let change = match (before, now) {
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
            (false, false) => return None,
        };
        let form = Form {
            change,
            version: self.view.version,
            alias: self.view.kind.group == "events.k8s.io",
            format: self.format,
            headings: self.headings,
        };
        let frame = event.frame(form, || match &event.before {
            // An object that stops matching is sent in its last matching state.
            Some(before) if change == Change::Deleted && event.change != Change::Deleted => {
                let left = before.as_of(event.rv);
                self.render_with(change, &left, self.headings)
            }
            _ => self.render_with(change, &event.after, self.headings),
        });
        self.headings = false;
        Some(frame)
    }

    fn render(&mut self, change: Change, stored: &Stored) -> Bytes {
        let frame = self.render_with(change, stored, self.headings);
        self.headings = false;
        frame
    }

    fn render_with(&self, change: Change, stored: &Stored, headings: bool) -> Bytes {
        let now = self.shared.now();
        match self.format {
            Format::Object => line_of(change.as_str(), &self.view.json(stored)),
            Format::Metadata | Format::MetadataList => {
                line(change.as_str(), &metadata_only(&self.view.value(stored)).to_string())
            }
            Format::Table(include) => {
                let rows = vec![table::row(self.view.columns(), &self.view.value(stored), include, now)];
                let metadata = json!({"resourceVersion": stored.rv.to_string()});
                let table = table::table(self.view.columns(), &rows, &metadata, headings);
                line(change.as_str(), &table.to_string())
            }
        }
    }

    fn bookmark(&mut self, initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.at.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let kind = &self.view.kind;
        let mut object = json!({"kind": kind.kind, "apiVersion": self.view.api_version(), "metadata": metadata});
        if !kind.custom {
            // A typed object is written with the structs that it always has.
            let has_status = kind.versions[self.view.version].status;
            let structs = [("spec", has_status || kind.kind == "Lease"), ("status", has_status)];
            for (field, _) in structs.into_iter().filter(|(_, there)| *there) {
                object[field] = json!({});
            }
        }
        let frame = match self.format {
            Format::Object => object,
            Format::Metadata | Format::MetadataList => metadata_only(&object),
            Format::Table(include) => {
                let rows = vec![table::row(self.view.columns(), &object, include, self.shared.now())];
                let metadata = json!({"resourceVersion": self.at.to_string()});
                table::table(self.view.columns(), &rows, &metadata, std::mem::take(&mut self.headings))
            }
        };
        line("BOOKMARK", &frame.to_string())
    }

    /// Every so often, and once more shortly before the end.
    fn plan_bookmark(&mut self, now: Instant) {
        let regular = now + BOOKMARK_EVERY;
        let last = self.deadline.and_then(|deadline| deadline.checked_sub(LAST_BOOKMARK));
        self.next_bookmark = match last {
            Some(last) if last > now => regular.min(last),
            _ => regular,
        };
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn line(kind: &str, object: &str) -> Bytes {
    line_of(kind, object.as_bytes())
}

fn line_of(kind: &str, object: &[u8]) -> Bytes {
    const AROUND: usize = 32;
    let mut line = Vec::with_capacity(object.len() + kind.len() + AROUND);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
