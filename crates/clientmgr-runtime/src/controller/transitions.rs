//! The Kubernetes Events that follow from a change of the status. Pure.

use kube::runtime::events::EventType;

use crate::cluster::{ClusterStatus, ConditionType, find_condition};

/// An Event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) type_: EventType,
    pub(super) reason: String,
    pub(super) note: String,
}

impl Transition {
    fn normal(reason: &str, note: String) -> Self {
        Self { type_: EventType::Normal, reason: reason.to_owned(), note }
    }

    fn warning(reason: &str, note: &str) -> Self {
        Self { type_: EventType::Warning, reason: reason.to_owned(), note: note.to_owned() }
    }
}

/// Returns the Events of the step from one status to the next.
pub(super) fn transitions(before: Option<&ClusterStatus>, after: &ClusterStatus) -> Vec<Transition> {
    let none = ClusterStatus::default();
    let before = before.unwrap_or(&none);
    let mut events = Vec::new();
    if let (Some(old), Some(new)) = (before.connected_at, after.connected_at)
        && old != new
    {
        let identity = after.identity.as_deref().unwrap_or_default();
        events.push(if before.identity == after.identity {
            Transition::normal("Reset", format!("the cluster was reset: its revision is now {new}"))
        } else {
            Transition::warning("Replaced", &format!("another cluster answers: {identity}, under revision {new}"))
        });
    }
    let changed = |type_| {
        let (old, new) = (find_condition(&before.conditions, type_), find_condition(&after.conditions, type_)?);
        let is_same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        (!is_same).then_some((old, new))
    };
    if let Some((old, new)) = changed(ConditionType::Connected) {
        match (old.map(|old| old.status.as_str()), new.status.as_str()) {
            (Some("True"), "True") => {}
            (Some("False"), "True") if before.connected_at == after.connected_at => {
                events.push(Transition::normal("Recovered", "the cluster answers again".to_owned()));
            }
            (_, "True") => {
                let version = after.version.as_deref().unwrap_or("unknown");
                events.push(Transition::normal("Connected", format!("connected; version {version}")));
            }
            (_, "False") => events.push(Transition::warning(&new.reason, &new.message)),
            _ => {}
        }
    }
    if let Some((old, new)) = changed(ConditionType::CredentialsValid) {
        match (old.map(|old| old.status.as_str()), new.status.as_str()) {
            (Some("False"), "True") => {
                events.push(Transition::normal("CredentialsAccepted", "the cluster takes the credentials".to_owned()));
            }
            (_, "False") if !events.iter().any(|event| event.reason == new.reason) => {
                events.push(Transition::warning(&new.reason, &new.message));
            }
            _ => {}
        }
    }
    events
}
