//! Impersonation: whom a request is made as when its headers name somebody else, and who may do so. Pure.
//!
//! A real server asks RBAC; here it is for the members of `system:masters`, whom RBAC grants everything.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use crate::{
    access::credential::User,
    wire::{
        route::percent_decode,
        status::{Status, raw_response},
    },
};

const PREFIX: &str = "impersonate-";
const EXTRA: &str = "impersonate-extra-";
const MASTERS: &str = "system:masters";
const ANONYMOUS: &str = "system:anonymous";
const EVERYONE: [&str; 2] = ["system:authenticated", "system:unauthenticated"];

/// Why nobody is impersonated.
#[derive(Debug)]
pub(crate) enum Refusal {
    Forbidden(Status),
    /// Something was asked for without a user's name.
    NoUser(Box<Response<Bytes>>),
}

/// The user a request is to be made as: another one than `actor`, if its headers say so.
pub(crate) fn acting_as(actor: User, headers: &HeaderMap, target: &str) -> Result<User, Refusal> {
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
        let words = format!("Internal Server Error: {target:?}: requested impersonation without a user name\n");
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        let answer = raw_response(code, "text/plain; charset=utf-8", words.into());
        return Err(Refusal::NoUser(Box::new(answer)));
    };
    if !actor.groups().iter().any(|group| group == MASTERS) {
        return Err(Refusal::Forbidden(forbidden(&actor, &name)));
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
    use http::{HeaderName, HeaderValue};

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

    #[test]
    fn the_headers_say_whom() {
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
            assert_eq!(acting_as(admin(), &headers(pairs), "/").unwrap(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_masters_may_and_a_name_is_needed() {
        for (name, message) in [
            (
                "bob",
                r#"users "bob" is forbidden: User "x" cannot impersonate resource "users" in API group "" at the cluster scope"#,
            ),
            (
                "system:serviceaccount:a:b",
                r#"serviceaccounts "b" is forbidden: User "x" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "a""#,
            ),
        ] {
            let refused = acting_as(User::new("x").group("devs"), &headers(&[("impersonate-user", name)]), "/");
            assert!(matches!(refused, Err(Refusal::Forbidden(status)) if status.message() == message), "{name}");
        }
        let refused = acting_as(admin(), &headers(&[("impersonate-group", "a")]), "/api");
        assert!(matches!(refused, Err(Refusal::NoUser(answer)) if answer.status() == 500));
    }
}
