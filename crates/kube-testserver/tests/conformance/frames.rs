//! An open watch, read frame by frame off the raw body.

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

/// What comes in on a watch.
pub(crate) struct Frames {
    body: Body,
    unread: Vec<u8>,
}

impl Frames {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, unread: Vec::new() }
    }

    /// The next event, its type and object; none at the end of the watch.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let mut frame: Value = serde_json::from_slice(&line).expect("an event is a line of JSON");
                return Some((frame["type"].as_str().expect("an event has a type").to_owned(), frame["object"].take()));
            }
            let frame = self.body.frame().await?.expect("the watch is not cut");
            if let Some(data) = frame.data_ref() {
                self.unread.extend_from_slice(data);
            }
        }
    }

    /// The next event in short: `ADDED name`. The watch must go on.
    pub(crate) async fn next_short(&mut self) -> String {
        let (kind, object) = self.next().await.expect("the watch goes on");
        format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
    }
}
