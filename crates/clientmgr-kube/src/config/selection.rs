//! [`Selection`]: what belongs to one context of a kubeconfig, normalized, with the places where it stood.

use std::path::PathBuf;

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig};

use super::field::Places;
use super::normalize;
use crate::error::{ConfigError, Entry};

/// The kind and the version that a kubeconfig has, if it says so.
const KIND: &str = "Config";
const VERSION: &str = "v1";

/// What belongs to one context. What is missing stays missing.
pub(crate) struct Selection {
    /// The name of the context; none where the configuration is the Pod's own.
    pub(crate) name: Option<String>,
    pub(crate) context: Option<Context>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) user: Option<AuthInfo>,
    /// Where the default namespace is read from.
    pub(crate) namespace_file: Option<PathBuf>,
    pub(crate) places: Places,
    /// What is wrong with the kubeconfig as far as this context is concerned.
    header: Result<(), ConfigError>,
}

/// The parts of a context that has all of them.
pub(crate) struct Parts<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) user: &'a AuthInfo,
}

impl Selection {
    /// Selects what belongs to the context `name` of `kubeconfig`.
    pub(crate) fn new(kubeconfig: &Kubeconfig, name: &str) -> Self {
        let mut header = check_version(kubeconfig);
        let mut found = |entry, index: Option<usize>, names: &mut dyn Iterator<Item = &String>| {
            let Some(index) = index else { return };
            let mut same = names.skip(index);
            let first = same.next();
            if header.is_ok()
                && let Some(name) = first.filter(|name| same.any(|other| other == *name))
            {
                header = Err(ConfigError::Duplicate { entry, name: name.clone() });
            }
        };
        let context_index = kubeconfig.contexts.iter().position(|named| named.name == name);
        found(Entry::Context, context_index, &mut kubeconfig.contexts.iter().map(|named| &named.name));
        let context = context_index.and_then(|index| kubeconfig.contexts[index].context.clone());

        let wanted = context.as_ref().map(|context| &context.cluster);
        let cluster_index = kubeconfig.clusters.iter().position(|named| Some(&named.name) == wanted);
        found(Entry::Cluster, cluster_index, &mut kubeconfig.clusters.iter().map(|named| &named.name));
        let wanted = context.as_ref().and_then(|context| context.user.as_ref());
        let user_index = kubeconfig.auth_infos.iter().position(|named| Some(&named.name) == wanted);
        found(Entry::User, user_index, &mut kubeconfig.auth_infos.iter().map(|named| &named.name));

        let cluster = cluster_index.map(|index| kubeconfig.clusters[index].cluster.clone().unwrap_or_default());
        let user = user_index.map(|index| kubeconfig.auth_infos[index].auth_info.clone().unwrap_or_default());
        let places = Places {
            context: context_index,
            cluster: cluster_index,
            user: user_index,
            of_kubeconfig: true,
            ..Places::default()
        };
        Self { header, ..Self::normalized(Some(name.to_owned()), context, cluster, user, places) }
    }

    /// Returns the selection of a Pod's own service account.
    pub(crate) fn of_service_account(cluster: Cluster, user: AuthInfo, namespace: PathBuf) -> Self {
        let (context, places) = (Context::default(), Places::default());
        Self {
            namespace_file: Some(namespace),
            ..Self::normalized(None, Some(context), Some(cluster), Some(user), places)
        }
    }

    /// Returns the selection of a declaration that `error` makes unusable.
    pub(crate) fn unusable(error: ConfigError) -> Self {
        Self { header: Err(error), ..Self::normalized(None, None, None, None, Places::default()) }
    }

    fn normalized(
        name: Option<String>,
        context: Option<Context>,
        mut cluster: Option<Cluster>,
        mut user: Option<AuthInfo>,
        mut places: Places,
    ) -> Self {
        if let Some(cluster) = &mut cluster {
            normalize::in_cluster(cluster);
            places.has_ca_data = cluster.certificate_authority_data.is_some();
        }
        if let Some(user) = &mut user {
            normalize::in_user(user);
            places.has_certificate_data = user.client_certificate_data.is_some();
            places.has_key_data = user.client_key_data.is_some();
        }
        Self { name, context, cluster, user, namespace_file: None, places, header: Ok(()) }
    }

    /// Returns what is wrong with the kubeconfig, as a text that differs for each problem.
    pub(crate) fn header_problem(&self) -> Option<String> {
        self.header.as_ref().err().map(|error| format!("{:?} {:?} {error}", error.kind(), error.path()))
    }

    /// Returns the parts of the context, if it has all and each only once.
    pub(crate) fn parts(&self) -> Result<Parts<'_>, ConfigError> {
        self.header.clone()?;
        let name = || self.name.clone().unwrap_or_default();
        let context = self.context.as_ref().ok_or_else(|| ConfigError::NoContext { context: name() })?;
        let missing = || ConfigError::NoCluster { context: name(), cluster: context.cluster.clone() };
        let cluster = self.cluster.as_ref().ok_or_else(missing)?;
        // kubectl goes on without credentials, and the server is blamed for what is a slip of the pen.
        let user = self.user.as_ref().ok_or_else(|| match context.user.clone().filter(|user| !user.is_empty()) {
            Some(user) => ConfigError::UnknownUser { context: name(), user },
            None => ConfigError::NoUser { context: name() },
        })?;
        Ok(Parts { cluster, user })
    }
}

fn check_version(kubeconfig: &Kubeconfig) -> Result<(), ConfigError> {
    for (field, found, expected) in [("apiVersion", &kubeconfig.api_version, VERSION), ("kind", &kubeconfig.kind, KIND)]
    {
        if let Some(found) = found.as_ref().filter(|found| !found.is_empty() && *found != expected) {
            return Err(ConfigError::Version { field, found: found.clone(), expected });
        }
    }
    Ok(())
}
