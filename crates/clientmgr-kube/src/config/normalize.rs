//! Fields that are there and empty: to kubectl they are not there, and templates leave such behind.

use std::path::Path;

use kube::config::{AuthInfo, Cluster, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

/// Takes the empty fields out of a cluster.
pub(crate) fn in_cluster(cluster: &mut Cluster) {
    for field in [
        &mut cluster.server,
        &mut cluster.certificate_authority,
        &mut cluster.certificate_authority_data,
        &mut cluster.proxy_url,
        &mut cluster.tls_server_name,
    ] {
        unset(field);
    }
}

/// Takes the empty fields out of a user.
///
/// An empty token stays where there is no other credential: the user is meant to have one, so it must not be anonymous.
pub(crate) fn in_user(user: &mut AuthInfo) {
    for field in [
        &mut user.username,
        &mut user.token_file,
        &mut user.client_certificate,
        &mut user.client_certificate_data,
        &mut user.client_key,
        &mut user.impersonate,
        &mut user.impersonate_uid,
    ] {
        unset(field);
    }
    unset_secret(&mut user.client_key_data);
    unset_secret(&mut user.password);
    user.impersonate_groups.take_if(|groups| groups.is_empty());
    user.impersonate_user_extra.take_if(|extra| extra.is_empty());
    if has_other_credentials(user) {
        unset_secret(&mut user.token);
    }
}

/// Takes out the paths that were empty before kube made them absolute: they became `directory`.
pub(crate) fn made_absolute(kubeconfig: &mut Kubeconfig, directory: &Path) {
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut());
    let in_clusters = clusters.map(|cluster| &mut cluster.certificate_authority);
    let in_users = users.flat_map(|user| [&mut user.client_certificate, &mut user.client_key, &mut user.token_file]);
    let joined = directory.join("");
    for field in in_clusters.chain(in_users) {
        field.take_if(|path| Some(path.as_str()) == joined.to_str());
    }
}

fn has_other_credentials(user: &AuthInfo) -> bool {
    let texts = [&user.token_file, &user.client_certificate, &user.client_certificate_data];
    let password = user.username.is_some() && user.password.is_some();
    password || texts.iter().any(|field| field.is_some()) || user.exec.is_some() || user.auth_provider.is_some()
}

/// Takes out a text that is empty.
fn unset(field: &mut Option<String>) {
    field.take_if(|text| text.is_empty());
}

fn unset_secret(field: &mut Option<SecretString>) {
    field.take_if(|text| text.expose_secret().is_empty());
}

#[cfg(test)]
mod tests {
    use kube::config::AuthInfo;

    use super::in_user;

    #[test]
    fn an_empty_token_stays_only_where_it_is_all_there_is() {
        type Edit = fn(&mut AuthInfo);

        let table: [(Edit, bool); 8] = [
            (|_| (), true),
            (|user| user.username = Some(String::new()), true),
            (|user| user.username = Some("me".into()), true),
            (|user| (user.username, user.password) = (Some("me".into()), Some("sesame".into())), false),
            (|user| user.token_file = Some("/token".into()), false),
            (|user| user.client_certificate = Some("/certificate".into()), false),
            (|user| user.exec = Some(kube::config::ExecConfig::default()), false),
            (|user| user.auth_provider = Some(kube::config::AuthProviderConfig::default()), false),
        ];
        for (edit, stays) in table {
            let mut user = AuthInfo { token: Some("".into()), ..AuthInfo::default() };
            edit(&mut user);
            in_user(&mut user);
            assert_eq!(user.token.is_some(), stays, "{user:?}");
        }
    }
}
