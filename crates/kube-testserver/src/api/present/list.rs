//! Lists: which objects, of which moment, in which pieces, in which form.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{
        present::{partial::metadata_only, selection::Selection, table},
        store::objects::{Key, Store, Stored, TooOld},
    },
    registry::view::View,
    wire::{
        negotiate::Format,
        query::{ListOptions, Match},
        status::{Status, json_response, raw_response},
    },
};

const TOO_OLD_PAGE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
     the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
     Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
     deleted between the time the first chunk was returned and now may show up in the list.";

/// Where a paged list goes on: behind `start`, at `rv` (or wherever things are now).
#[derive(Debug, PartialEq)]
struct Token {
    rv: Option<u64>,
    /// A name, or `namespace/name` in a list over all namespaces: what of the object's key is not in the list's path.
    start: String,
}

impl Token {
    fn encode(&self) -> String {
        let rv = self.rv.map_or(Value::from(-1), Value::from);
        let token = json!({"v": "meta.k8s.io/v1", "rv": rv, "start": self.start});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(token: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let token: Value = serde_json::from_slice(&bytes).ok()?;
        let start = token["start"].as_str()?;
        let is_path = start.split('/').all(|part| !matches!(part, "" | "." | ".."));
        (token["v"] == "meta.k8s.io/v1" && is_path).then_some(())?;
        let rv = match token["rv"].as_i64()? {
            -1 => None,
            rv => Some(u64::try_from(rv).ok()?),
        };
        Some(Self { rv, start: start.to_owned() })
    }

    /// What a list of this selection says to go on behind `key`.
    fn start_of(view: &View, selection: &Selection, key: &Key) -> String {
        if view.kind.namespaced && selection.namespace.is_none() {
            format!("{}/{}", key.namespace, key.name)
        } else {
            key.name.to_string()
        }
    }

    /// The key to go on behind, in the list that is asked for now.
    fn key(&self, view: &View, selection: &Selection) -> Key {
        match &selection.namespace {
            Some(namespace) => Key::new(namespace, &self.start),
            None if view.kind.namespaced => {
                let (namespace, name) = self.start.split_once('/').unwrap_or((&self.start, ""));
                Key::new(namespace, name)
            }
            None => Key::new("", &self.start),
        }
    }
}

/// A list's objects and what its metadata says.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Stored>>,
    rv: u64,
    continue_token: Option<String>,
    remaining: Option<usize>,
}

/// Selects the objects of a list.
pub(crate) fn page(store: &Store, view: &View, selection: &Selection, options: &ListOptions) -> Result<Page, Status> {
    let current = store.rv();
    let token = match &options.continue_token {
        None => None,
        Some(text) => Some(
            Token::decode(text)
                .ok_or_else(|| Status::bad_request("continue key is not valid: it was not given out by this server"))?,
        ),
    };
    let asked = options.rv.filter(|&rv| rv > 0);
    if let Some(asked) = asked.filter(|&rv| rv > current) {
        return Err(Status::resource_version_too_large(asked, current));
    }
    let exact = options.rv_match == Some(Match::Exact) || options.rv_match.is_none() && options.limit.is_some();
    let rv = match &token {
        Some(token) => token.rv.unwrap_or(current),
        None => asked.filter(|_| exact).unwrap_or(current),
    };
    let collection = store.collection(&view.kind.collection).ok_or_else(Status::no_such_resource)?;
    let start = token.as_ref().map(|token| token.key(view, selection));
    let mut walk =
        collection.walk(selection.namespace.as_deref(), start.as_ref(), rv).map_err(|TooOld| match &token {
            Some(token) => {
                let onward = Token { rv: None, start: token.start.clone() };
                Status::expired(TOO_OLD_PAGE).continue_with(onward.encode())
            }
            None => Status::expired("The resourceVersion for the provided list is too old."),
        })?;
    // Any version will do, so the real server answers from its cache, which knows no pages.
    let whole = options.rv == Some(0) && token.is_none();
    let Some(limit) = options.limit.filter(|_| !whole) else {
        let items = walk.filter(|stored| selection.matches(view, stored)).collect();
        return Ok(Page { items, rv, continue_token: None, remaining: None });
    };
    let items: Vec<_> = walk.by_ref().filter(|stored| selection.matches(view, stored)).take(limit).collect();
    // What is left need not match: whether it does, the next page shows.
    let more = walk.next().is_some();
    let behind = |last: &Arc<Stored>| match collection.count_behind(selection.namespace.as_deref(), &last.key, rv) {
        Some(count) => count,
        None => 1 + walk.count(),
    };
    let remaining = items.last().filter(|_| more && selection.is_everything()).map(behind);
    let continue_token = items
        .last()
        .filter(|_| more)
        .map(|last| Token { rv: Some(rv), start: Token::start_of(view, selection, &last.key) }.encode());
    Ok(Page { items, rv, continue_token, remaining })
}

/// 406 for a list that is asked for in the form of one object.
pub(crate) fn not_one_object() -> Status {
    Status::not_acceptable("you requested PartialObjectMetadata, but the requested object is a list")
}

impl Page {
    fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.rv.to_string()});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }

    /// The whole answer, in the form the client wants.
    pub(crate) fn respond(&self, view: &View, format: Format, now: Timestamp) -> Result<Response<Bytes>, Status> {
        let mut metadata = self.metadata();
        if view.kind.custom && format == Format::Object && self.continue_token.is_none() {
            // Lists of custom resources have no type of their own that would leave it out.
            metadata["continue"] = "".into();
        }
        let values = || self.items.iter().map(|stored| view.value(stored));
        match format {
            Format::Object => {
                let mut body = format!(
                    "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
                    Value::from(view.kind.list_kind.as_str()),
                    Value::from(view.api_version())
                )
                .into_bytes();
                for (at, stored) in self.items.iter().enumerate() {
                    if at > 0 {
                        body.push(b',');
                    }
                    if view.kind.custom {
                        body.extend_from_slice(&view.json(stored));
                    } else {
                        view.write_item(stored, &mut body);
                    }
                }
                body.extend_from_slice(b"]}\n");
                Ok(raw_response(StatusCode::OK, "application/json", Bytes::from(body)))
            }
            Format::Table(include) => {
                let rows: Vec<Value> = values().map(|value| table::row(view.columns(), &value, include, now)).collect();
                Ok(json_response(StatusCode::OK, &table::table(view.columns(), &rows, &metadata, true)))
            }
            Format::MetadataList => {
                let items: Vec<Value> = values().map(|value| metadata_only(&value)).collect();
                let items = if items.is_empty() { Value::Null } else { items.into() };
                Ok(json_response(
                    StatusCode::OK,
                    &json!({
                        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                        "metadata": metadata, "items": items,
                    }),
                ))
            }
            Format::Metadata => Err(not_one_object()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_round_trip_and_nothing_else_is_one() {
        for rv in [Some(7), None] {
            let token = Token { rv, start: "a/b".to_owned() };
            assert_eq!(Token::decode(&token.encode()), Some(token));
        }
        for bad in ["", "x", "e30", "!!!"] {
            assert_eq!(Token::decode(bad), None, "{bad}");
        }
        for start in ["", "/a", "a/", "../a", "."] {
            let made_up = Token { rv: Some(1), start: start.to_owned() };
            assert_eq!(Token::decode(&made_up.encode()), None, "{start}");
        }
    }
}
