//! Impersonation: the user of a request whose headers name another user than its credential, and who may do so. Pure.
//!
//! A real server asks RBAC. Here the members of `system:masters` may impersonate, whom RBAC allows everything. Refusals have the
//! words of kube-apiserver 1.36.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::{
    access::{authz, credential::User},
    wire::{
        route::{RequestInfo, percent_decode},
        status::Status,
    },
};

const PREFIX: &str = "impersonate-";
const EXTRA: &str = "impersonate-extra-";
const MASTERS: &str = "system:masters";
const ANONYMOUS: &str = "system:anonymous";
const EVERYONE: [&str; 2] = ["system:authenticated", "system:unauthenticated"];

/// Returns the user of a request: `actor`, or the one that its headers name.
pub(crate) fn acting_as(actor: User, headers: &HeaderMap, info: &RequestInfo) -> Result<User, Status> {
    if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return Ok(actor);
    }
    let values = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let first = |name: &str| values(name).into_iter().next().filter(|value| !value.is_empty());
    let groups = values("impersonate-group");
    let uid = first("impersonate-uid");
    let extra: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let key = percent_decode(name.as_str().strip_prefix(EXTRA)?, false);
            Some((key, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    let Some(name) = first("impersonate-user") else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(actor);
        }
        return Err(without_a_user(&groups, uid.as_deref(), &extra));
    };
    if !actor.groups().iter().any(|group| group == MASTERS) {
        let only_the_name = groups.is_empty() && uid.is_none() && extra.is_empty();
        return Err(match mode(&name, only_the_name) {
            Some(mode) => {
                authz::forbidden_as(info, actor.name(), &format!("impersonate-on:{mode}:{}", info.verb.as_str()))
            }
            None => forbidden(&actor, &name),
        });
    }
    let mut user = User::new(&name);
    for group in if groups.is_empty() { groups_of_account(&name) } else { groups } {
        user = user.group(group);
    }
    if !user.groups().iter().any(|group| EVERYONE.contains(&group.as_str())) {
        user = user.group(EVERYONE[usize::from(name == ANONYMOUS)]);
    }
    if let Some(uid) = uid {
        user = user.uid(uid);
    }
    Ok(extra.into_iter().fold(user, |user, (key, value)| user.extra(key, value)))
}

/// The namespace and name of a service account.
fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':').filter(|(_, name)| !name.contains(':'))
}

fn groups_of_account(user: &str) -> Vec<String> {
    let groups =
        |(namespace, _)| vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    account(user).map(groups).unwrap_or_default()
}

/// What kube-apiserver asks RBAC for first, since 1.36: the right to impersonate users of this sort with a verb. A node or a
/// service account of which more than the name is given has no such right.
fn mode(user: &str, only_the_name: bool) -> Option<&'static str> {
    let special = match user {
        _ if account(user).is_some() => "serviceaccount",
        _ if user.strip_prefix("system:node:").is_some_and(|node| !node.is_empty()) => "arbitrary-node",
        _ => return Some("user-info"),
    };
    only_the_name.then_some(special)
}

/// 400 for a group, a UID or an extra without a user's name. The message shows what was asked for in Go's syntax.
fn without_a_user(groups: &[String], uid: Option<&str>, extra: &[(String, String)]) -> Status {
    let quoted = |texts: &[&str]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let groups = if groups.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", quoted(&groups)) };
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in extra {
        by_key.entry(key).or_default().push(value);
    }
    let entries: Vec<String> =
        by_key.iter().map(|(key, values)| format!("{key:?}:[]string{{{}}}", quoted(values))).collect();
    let extra = if entries.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", entries.join(", ")) };
    Status::bad_request(format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:[]string{groups}, Extra:map[string][]string{extra}}} \
         without impersonating a user name",
        uid.unwrap_or_default()
    ))
}

fn forbidden(actor: &User, user: &str) -> Status {
    let (resource, name, scope) = match account(user) {
        Some((namespace, name)) => ("serviceaccounts", name, format!("in the namespace {namespace:?}")),
        None => ("users", user, "at the cluster scope".to_owned()),
    };
    let why = format!("User {:?} cannot impersonate resource {resource:?} in API group \"\" {scope}", actor.name());
    Status::forbidden("", resource, name, &why)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn admin() -> User {
        User::new("admin").group(MASTERS)
    }

    fn info(path: &str) -> RequestInfo {
        RequestInfo::parse(&Method::GET, path, None)
    }

    #[test]
    fn the_headers_name_the_user() {
        let user = |name| User::new(name);
        let accounts = "system:serviceaccounts";
        let account = "system:serviceaccount:a:b";
        for (pairs, expected) in [
            (&[][..], admin()),
            (&[("impersonate-user", "bob")], user("bob").group(EVERYONE[0])),
            (&[("impersonate-user", ANONYMOUS)], user(ANONYMOUS).group(EVERYONE[1])),
            (
                &[("impersonate-user", "bob"), ("impersonate-group", "a"), ("impersonate-group", EVERYONE[0])],
                user("bob").group("a").group(EVERYONE[0]),
            ),
            (
                &[("impersonate-user", "bob"), ("impersonate-uid", "7"), ("impersonate-extra-a%2fb", "c")],
                user("bob").group(EVERYONE[0]).uid("7").extra("a/b", "c"),
            ),
            (
                &[("impersonate-user", account)],
                user(account).group(accounts).group(format!("{accounts}:a")).group(EVERYONE[0]),
            ),
        ] {
            assert_eq!(acting_as(admin(), &headers(pairs), &info("/")).unwrap(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_masters_impersonate() {
        let (account, maps) = ("system:serviceaccount:a:b", "/api/v1/namespaces/n/configmaps");
        for (pairs, path, message) in [
            (
                &[("impersonate-user", "bob")][..],
                "/version",
                r#"forbidden: User "x" cannot impersonate-on:user-info:get path "/version""#,
            ),
            (
                &[("impersonate-user", "bob"), ("impersonate-group", "a")],
                maps,
                r#"configmaps is forbidden: User "x" cannot impersonate-on:user-info:list resource "configmaps" in API group "" in the namespace "n""#,
            ),
            (
                &[("impersonate-user", "system:node:n")],
                "/version",
                r#"forbidden: User "x" cannot impersonate-on:arbitrary-node:get path "/version""#,
            ),
            (
                &[("impersonate-user", account)],
                "/version",
                r#"forbidden: User "x" cannot impersonate-on:serviceaccount:get path "/version""#,
            ),
            (
                &[("impersonate-user", account), ("impersonate-group", "a")],
                "/version",
                r#"serviceaccounts "b" is forbidden: User "x" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "a""#,
            ),
        ] {
            let refused = acting_as(User::new("x").group("devs"), &headers(pairs), &info(path)).unwrap_err();
            assert_eq!((refused.code(), refused.message()), (403, message));
        }
    }

    #[test]
    fn a_group_needs_a_user() {
        for (pairs, shown) in [
            (
                &[("impersonate-group", "a"), ("impersonate-group", "b")][..],
                r#"Name:"", UID:"", Groups:[]string{"a", "b"}, Extra:map[string][]string(nil)"#,
            ),
            (
                &[("impersonate-uid", "7"), ("impersonate-extra-k", "v")],
                r#"Name:"", UID:"7", Groups:[]string(nil), Extra:map[string][]string{"k":[]string{"v"}}"#,
            ),
        ] {
            let refused = acting_as(admin(), &headers(pairs), &info("/")).unwrap_err();
            let message = format!("requested &user.DefaultInfo{{{shown}}} without impersonating a user name");
            assert_eq!((refused.code(), refused.message()), (400, message.as_str()));
        }
    }
}
