//! From a `ClusterProfile` to a configuration. Pure.
//!
//! Each configuration has a copy of its provider's plugin: arguments and variables of one profile never reach another.

use std::collections::{BTreeMap, HashMap};

use clientmgr_kube::kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::{ClusterConfig, Policy};
use serde::Deserialize;
use serde_json::Value;

use super::providers::{AccessProviders, ArgumentsPolicy, Provider, VariablesPolicy};
use crate::source::assemble::config_of;
use crate::source::error::SourceError;

const ARGUMENTS: &str = "clusterprofiles.multicluster.x-k8s.io/exec/additional-args";
const VARIABLES: &str = "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs";

/// An access that a profile offers.
#[derive(Deserialize)]
struct Access {
    name: String,
    #[serde(default)]
    cluster: Cluster,
}

/// Returns the configuration of the profile with the fields `profile`.
pub(super) fn translate(
    profile: &Value,
    providers: &AccessProviders,
    policy: Policy,
) -> Result<ClusterConfig, SourceError> {
    let mut offered = accesses(profile, "accessProviders")?;
    // The name that v1alpha1 had for the same; where both have an access, the new name counts.
    offered.extend(accesses(profile, "credentialProviders")?);
    if offered.is_empty() {
        return Err(SourceError::Missing { field: "status.accessProviders".to_owned() });
    }
    let found = providers.iter().find_map(|provider| {
        let (path, access) = offered.iter().find(|(_, access)| access.name == provider.name)?;
        Some((provider, path, access))
    });
    let Some((provider, path, access)) = found else {
        let offered = offered.into_iter().map(|(_, access)| access.name).collect();
        return Err(SourceError::NoProvider { offered });
    };
    let exec = plugin(provider, path, &access.cluster)?;
    let user = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
    config_of(access.cluster.clone(), user, policy, |field| {
        let name = field.split_once("].").map_or(field, |(_, name)| name);
        match name.strip_prefix("user.exec") {
            Some(rest) => format!("the provider {:?}: execConfig{rest}", provider.name),
            None => format!("{path}.{name}"),
        }
    })
}

/// Returns the accesses in the list `name` of the status, each with its path.
fn accesses(profile: &Value, name: &str) -> Result<Vec<(String, Access)>, SourceError> {
    let Some(list) = profile["status"][name].as_array() else { return Ok(Vec::new()) };
    let read = |(index, access): (usize, &Value)| {
        let path = format!("status.{name}[{index}]");
        match Access::deserialize(access) {
            Ok(access) => Ok((path, access)),
            Err(_) => Err(SourceError::Malformed { field: path, expected: "an access provider" }),
        }
    };
    list.iter().enumerate().map(read).collect()
}

/// Returns a copy of the provider's plugin, with what the profile adds under its policies.
fn plugin(provider: &Provider, path: &str, cluster: &Cluster) -> Result<ExecConfig, SourceError> {
    let extension = |name: &str| {
        let named = cluster.extensions.iter().flatten().enumerate().find(|(_, named)| named.name == name);
        named.map(|(index, named)| (format!("{path}.cluster.extensions[{index}].extension"), &named.extension))
    };
    let mut exec = provider.exec_config.clone();
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    if provider.arguments == ArgumentsPolicy::Append
        && let Some((field, value)) = extension(ARGUMENTS)
    {
        let expected = "a list of texts";
        let added = Vec::<String>::deserialize(value).map_err(|_| SourceError::Malformed { field, expected })?;
        exec.args.get_or_insert_default().extend(added);
    }
    if provider.variables != VariablesPolicy::Ignore
        && let Some((field, value)) = extension(VARIABLES)
    {
        let expected = "an object of texts";
        let added = BTreeMap::<String, String>::deserialize(value);
        let added = added.map_err(|_| SourceError::Malformed { field, expected })?;
        add_variables(exec.env.get_or_insert_default(), added, provider.variables);
    }
    Ok(exec)
}

fn add_variables(env: &mut Vec<HashMap<String, String>>, added: BTreeMap<String, String>, policy: VariablesPolicy) {
    for (name, value) in added {
        let known = env.iter_mut().find(|variable| variable.get("name") == Some(&name));
        match (known, policy) {
            (None, _) => env.push([("name".to_owned(), name), ("value".to_owned(), value)].into()),
            (Some(variable), VariablesPolicy::Replace) => drop(variable.insert("value".to_owned(), value)),
            (Some(_), VariablesPolicy::Ignore | VariablesPolicy::AppendIfNotExists) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::Policy;
    use clientmgr_kube::kube::config::{Cluster, ExecConfig};
    use serde_json::{Value, json};

    use super::{plugin, translate};
    use crate::source::{AccessProviders, SourceError};

    fn providers(policies: &Value) -> AccessProviders {
        let provider = |name: &str| {
            let mut provider = json!({"name": name, "execConfig": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": name, "args": ["one"],
                "env": [{"name": "A", "value": "file"}], "provideClusterInfo": true,
            }});
            provider.as_object_mut().unwrap().extend(policies.as_object().unwrap().clone());
            provider
        };
        let file = json!({"providers": [provider("first"), provider("second")]});
        AccessProviders::from_json(file.to_string().as_bytes()).unwrap()
    }

    fn access(name: &str) -> Value {
        json!({"name": name, "cluster": {"server": format!("https://{name}"), "extensions": [
            {"name": super::ARGUMENTS, "extension": ["two", "three"]},
            {"name": super::VARIABLES, "extension": {"A": "profile", "B": "profile"}},
        ]}})
    }

    fn policy() -> Policy {
        Policy::for_secrets().allow_exec(true)
    }

    /// The arguments and variables of the plugin under these policies.
    fn added(policies: &Value) -> (Vec<String>, Vec<String>) {
        let providers = providers(policies);
        let cluster: Cluster = serde_json::from_value(access("first")["cluster"].clone()).unwrap();
        let read = || plugin(providers.iter().next().unwrap(), "p", &cluster).unwrap();
        let text = |exec: ExecConfig| {
            let variables = exec.env.into_iter().flatten();
            let variables = variables.map(|variable| format!("{}={}", variable["name"], variable["value"])).collect();
            (exec.args.unwrap(), variables)
        };
        let first = text(read());
        assert_eq!(text(read()), first, "nothing piles up");
        first
    }

    #[test]
    fn each_policy_says_what_becomes_of_what_a_profile_adds() {
        let table = [
            (json!({}), "one", "A=file"),
            (
                json!({"profileSourcedCLIArgsPolicy": "Ignore", "profileSourcedEnvVarsPolicy": "Ignore"}),
                "one",
                "A=file",
            ),
            (json!({"profileSourcedCLIArgsPolicy": "Append"}), "one two three", "A=file"),
            (json!({"profileSourcedEnvVarsPolicy": "AppendIfNotExists"}), "one", "A=file B=profile"),
            (json!({"profileSourcedEnvVarsPolicy": "Replace"}), "one", "A=profile B=profile"),
        ];
        for (policies, arguments, variables) in table {
            let (found_arguments, found_variables) = added(&policies);
            assert_eq!(
                (found_arguments.join(" ").as_str(), found_variables.join(" ").as_str()),
                (arguments, variables)
            );
        }
    }

    #[test]
    fn the_first_provider_of_the_file_that_the_profile_offers_counts() {
        let config = |status: Value| translate(&json!({"status": status}), &providers(&json!({})), policy());
        let first = config(json!({"accessProviders": [access("first")]})).unwrap();
        let second = config(json!({"accessProviders": [access("second")]})).unwrap();
        assert!(first != second);
        for offered in [[access("first"), access("second")], [access("second"), access("first")]] {
            assert_eq!(config(json!({"accessProviders": offered})).unwrap(), first);
        }
        assert_eq!(config(json!({"credentialProviders": [access("first")]})).unwrap(), first);
        let mut old = access("first");
        old["cluster"]["server"] = json!("https://old");
        let both = json!({"accessProviders": [access("first")], "credentialProviders": [old]});
        assert_eq!(config(both).unwrap(), first, "the new name counts");
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_named_by_its_path() {
        let with = |name: &str, value: Value| {
            let mut access = access("first");
            access["cluster"][name] = value;
            json!({"accessProviders": [{"name": "other"}, access]})
        };
        let extension = json!([{"name": super::ARGUMENTS, "extension": {"not": "a list"}}]);
        let append = providers(&json!({"profileSourcedCLIArgsPolicy": "Append"}));
        let table = [
            (json!({}), "status.accessProviders"),
            (json!({"accessProviders": [{"name": "other"}]}), "status.accessProviders"),
            (json!({"accessProviders": [{"cluster": {}}]}), "status.accessProviders[0]"),
            (with("server", json!("http://plain")), "status.accessProviders[1].cluster.server"),
            (
                with("insecure-skip-tls-verify", json!(true)),
                "status.accessProviders[1].cluster.insecure-skip-tls-verify",
            ),
            (with("proxy-url", json!("http://proxy")), "status.accessProviders[1].cluster.proxy-url"),
            (with("certificate-authority", json!("/etc/x")), "status.accessProviders[1].cluster.certificate-authority"),
            (with("extensions", extension), "status.accessProviders[1].cluster.extensions[0].extension"),
        ];
        for (status, expected) in table {
            let error = translate(&json!({"status": status}), &append, policy()).unwrap_err();
            assert_eq!(error.field(), Some(expected), "{error}");
        }
    }

    #[test]
    fn a_plugin_that_cannot_be_run_is_the_providers_fault() {
        let file = br#"{"providers": [{"name": "first", "execConfig": {"command": "c"}}]}"#;
        let providers = AccessProviders::from_json(file).unwrap();
        let profile = json!({"status": {"accessProviders": [access("first")]}});
        let error = translate(&profile, &providers, policy()).unwrap_err();
        assert_eq!(error.field(), Some("the provider \"first\": execConfig.apiVersion"));
        assert!(matches!(error, SourceError::Config { .. }));
    }
}
