//! [`Places`]: where in the original kubeconfig a context's parts stand, so that an error can name a field by its path.

use crate::error::{About, ConfigError, CredentialFile, Failure, Field, FieldError};

/// Which entries of a kubeconfig a context consists of, and which of its values are embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says of one field whether its value is embedded")]
pub(crate) struct Places {
    pub(crate) context: Option<usize>,
    pub(crate) cluster: Option<usize>,
    pub(crate) user: Option<usize>,
    /// Whether the certificate authority is embedded; else it is in a file.
    pub(crate) has_ca_data: bool,
    pub(crate) has_certificate_data: bool,
    pub(crate) has_key_data: bool,
    /// Whether this is of a kubeconfig at all.
    pub(crate) of_kubeconfig: bool,
}

impl Places {
    /// Returns the path of `field`, unless the configuration comes from elsewhere than a kubeconfig.
    pub(crate) fn path(&self, field: Field) -> Option<String> {
        match field {
            Field::Top(name) => self.of_kubeconfig.then(|| name.to_owned()),
            Field::ContextEntry(name) => self.context.map(|index| format!("contexts[{index}].{name}")),
            Field::ClusterEntry(name) => self.cluster.map(|index| format!("clusters[{index}].{name}")),
            Field::UserEntry(name) => self.user.map(|index| format!("users[{index}].{name}")),
            Field::Cluster(name) => self.cluster.map(|index| format!("clusters[{index}].cluster.{name}")),
            Field::User(name) => self.user.map(|index| format!("users[{index}].user.{name}")),
        }
    }

    /// Adds to `failure` the path of the field that it is about.
    pub(crate) fn locate(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Config(error) => self.locate_config(error),
            other => other,
        }
    }

    /// Adds to `error` the path of the field that it is about.
    pub(crate) fn locate_config(&self, error: ConfigError) -> Failure {
        let field = match error.about() {
            Some(About::Field(field)) => Some(field),
            Some(About::CredentialFile(material)) => self.of_credential_file(material),
            None => None,
        };
        match field.and_then(|field| self.path(field)).or_else(|| error.path().map(str::to_owned)) {
            Some(path) => FieldError::new(path, error).into(),
            None => error.into(),
        }
    }

    /// Returns the field that holds `material`, the one that is in use.
    fn of_credential_file(&self, material: CredentialFile) -> Option<Field> {
        let is_embedded = match material {
            CredentialFile::CertificateAuthority => self.has_ca_data,
            CredentialFile::ClientCertificate => self.has_certificate_data,
            CredentialFile::ClientKey => self.has_key_data,
            CredentialFile::TokenFile | CredentialFile::Kubeconfig => false,
        };
        if is_embedded { material.value_field() } else { material.path_field() }
    }
}
