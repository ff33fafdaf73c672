//! The query parameters of a request, read and checked.

use http::StatusCode;

use crate::wire::{
    negotiate::Include,
    route::{query_pairs, truthy},
    select::{FieldSelector, LabelSelector},
    status::{Cause, Status},
};

/// How long the name of a field manager may be, in bytes.
const MANAGER_LIMIT: usize = 128;
const VALIDATIONS: [&str; 4] = ["", "Ignore", "Strict", "Warn"];

/// How exactly a list's resource version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Exact,
    NotOlderThan,
}

/// What is done about undeclared fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    /// A `Warning` header for each. This is what is done unless asked otherwise.
    Warn,
    /// The request is refused.
    Strict,
}

/// Everything a query may say. Unknown parameters are ignored, as the real server does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// What a list or watch is to return.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    /// `None` when it was not said.
    pub(crate) rv: Option<u64>,
    pub(crate) rv_match: Option<Match>,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<String>,
    pub(crate) bookmarks: bool,
    pub(crate) initial_events: Option<bool>,
    pub(crate) timeout_seconds: Option<u64>,
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self { pairs: query.map(|query| query_pairs(query).collect()).unwrap_or_default() }
    }

    /// A parameter's first value, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(truthy)
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax ({name})"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// Whether the request is a dry run. [`write_options_problems`](Self::write_options_problems) has checked the value.
    pub(crate) fn dry_run(&self) -> bool {
        self.text("dryRun") == Some("All")
    }

    /// What is done about undeclared fields. [`write_options_problems`](Self::write_options_problems) has checked the value.
    pub(crate) fn field_validation(&self) -> FieldValidation {
        match self.text("fieldValidation") {
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            _ => FieldValidation::Warn,
        }
    }

    /// What is wrong with the options of a create, update or patch.
    pub(crate) fn write_options_problems(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let manager = self.text("fieldManager").unwrap_or_default();
        if manager.len() > MANAGER_LIMIT {
            causes.push(Cause::too_long("fieldManager", MANAGER_LIMIT));
        }
        for (at, letter) in manager.char_indices().filter(|(_, letter)| letter.is_control()) {
            let rule = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
            causes.push(Cause::invalid("fieldManager", manager, &rule));
        }
        let dry_runs: Vec<&str> = self.all("dryRun").collect();
        if dry_runs.iter().any(|value| *value != "All") {
            let shown = serde_json::Value::from(dry_runs).to_string();
            causes.push(Cause::not_supported_raw("dryRun", &shown, &["All"]));
        }
        if let Some(other) = self.text("fieldValidation").filter(|value| !VALIDATIONS.contains(value)) {
            causes.push(Cause::not_supported("fieldValidation", other, &VALIDATIONS));
        }
        causes
    }

    pub(crate) fn include(&self) -> Result<Include, Status> {
        match self.text("includeObject") {
            None | Some("Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::Nothing),
            Some("Object") => Ok(Include::Object),
            Some(other) => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }

    pub(crate) fn grace_period(&self) -> Result<Option<i64>, Status> {
        self.number("gracePeriodSeconds")
    }

    /// `None` when it was not said.
    pub(crate) fn resource_version(&self) -> Result<Option<u64>, Status> {
        let parse =
            |text: &str| {
                text.parse::<u64>().map_err(|_| {
                // A real server takes this for a fault of its own.
                Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", format!(
                    "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            })
            };
        self.text("resourceVersion").map(parse).transpose()
    }

    /// The version that a list asks for. A real server blames the client for one that is malformed, here alone.
    fn list_resource_version(&self) -> Result<Option<u64>, Status> {
        self.resource_version()
            .map_err(|status| Status::bad_request(format!("invalid resource version: {}", status.message())))
    }

    pub(crate) fn list_options(&self, selectable: Option<&[String]>, watch: bool) -> Result<ListOptions, Status> {
        self.check_list(watch)?;
        let limit = self.number("limit")?.unwrap_or(0);
        let timeout = self.number("timeoutSeconds")?.unwrap_or(0);
        Ok(ListOptions {
            labels: LabelSelector::parse(self.text("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(self.text("fieldSelector").unwrap_or_default(), selectable)?,
            rv: if watch { self.resource_version()? } else { self.list_resource_version()? },
            rv_match: match self.text("resourceVersionMatch") {
                Some("Exact") => Some(Match::Exact),
                Some(_) => Some(Match::NotOlderThan),
                None => None,
            },
            limit: usize::try_from(limit).ok().filter(|&limit| limit > 0),
            continue_token: self.text("continue").map(str::to_owned),
            bookmarks: self.flag("allowWatchBookmarks"),
            initial_events: self.text("sendInitialEvents").map(truthy),
            timeout_seconds: u64::try_from(timeout).ok().filter(|&seconds| seconds > 0),
        })
    }

    fn check_list(&self, watch: bool) -> Result<(), Status> {
        let field = "resourceVersionMatch";
        let rv = self.text("resourceVersion");
        let paging = self.text("continue").is_some();
        let initial = self.text("sendInitialEvents").is_some();
        let wanted = self.text(field);
        let mut causes = Vec::new();
        let forbid = |causes: &mut Vec<Cause>, field: &str, rule: &str| causes.push(Cause::forbidden(field, rule));
        if watch && initial && wanted != Some("NotOlderThan") {
            forbid(&mut causes, field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if !watch && initial {
            forbid(&mut causes, "sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if let Some(wanted) = wanted {
            if watch && !initial {
                let rule = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                forbid(&mut causes, field, rule);
            }
            if !watch && rv.is_none() {
                forbid(&mut causes, field, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if paging {
                forbid(&mut causes, field, "resourceVersionMatch is forbidden when continue is provided");
            }
            let supported: &[&str] = if watch { &["NotOlderThan"] } else { &["Exact", "NotOlderThan", ""] };
            if !supported.contains(&wanted) {
                causes.push(Cause::not_supported(field, wanted, supported));
            }
            if !watch && wanted == "Exact" && rv == Some("0") {
                let rule = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                forbid(&mut causes, field, rule);
            }
        }
        if !causes.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &causes));
        }
        if paging && rv.is_some_and(|rv| rv != "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(())
    }
}
