//! The query parameters of a request, read and checked.

use crate::wire::{
    negotiate::Include,
    route::{query_pairs, truthy},
    select::{FieldSelector, LabelSelector},
    status::{Cause, Status},
};

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

    /// Only checked, not kept: `dryRun` has one legal value.
    pub(crate) fn dry_run(&self, options_kind: &str) -> Result<bool, Status> {
        match self.text("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(Status::invalid(
                "meta.k8s.io",
                options_kind,
                "",
                &[Cause::not_supported("dryRun", other, &["All"])],
            )),
        }
    }

    pub(crate) fn field_validation(&self, options_kind: &str) -> Result<FieldValidation, Status> {
        match self.text("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(Status::invalid(
                "meta.k8s.io",
                options_kind,
                "",
                &[Cause::not_supported("fieldValidation", other, &["", "Ignore", "Warn", "Strict"])],
            )),
        }
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
        let parse = |text: &str| {
            text.parse::<u64>().map_err(|_| {
                Status::bad_request(format!(
                    "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            })
        };
        self.text("resourceVersion").map(parse).transpose()
    }

    pub(crate) fn list_options(&self, selectable: Option<&[String]>, watch: bool) -> Result<ListOptions, Status> {
        self.check_list(watch)?;
        let limit = self.number("limit")?.unwrap_or(0);
        let timeout = self.number("timeoutSeconds")?.unwrap_or(0);
        Ok(ListOptions {
            labels: LabelSelector::parse(self.text("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(self.text("fieldSelector").unwrap_or_default(), selectable)?,
            rv: self.resource_version()?,
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
