//! The fields of a kubeconfig that name a file: one list for what is read, what is watched, and whether loading may block.

use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster};
use secrecy::{ExposeSecret, SecretString};

use super::credential_files;
use crate::error::{ConfigError, CredentialFile};

/// The fields of a cluster and a user that name a file.
#[derive(Clone, Copy)]
pub(super) struct FileFields<'a> {
    pub(super) certificate_authority: FileField<'a>,
    pub(super) client_certificate: FileField<'a>,
    pub(super) client_key: FileField<'a>,
    pub(super) token: FileField<'a>,
}

/// A field that names a file, and the data that is used in its place.
#[derive(Clone, Copy)]
pub(super) struct FileField<'a> {
    material: CredentialFile,
    path: Option<&'a str>,
    data: Option<&'a str>,
}

impl<'a> FileFields<'a> {
    pub(super) fn of(cluster: Option<&'a Cluster>, user: Option<&'a AuthInfo>) -> Self {
        let of_cluster =
            |material, path: fn(&Cluster) -> &Option<String>, data: fn(&Cluster) -> Option<&str>| FileField {
                material,
                path: cluster.and_then(|cluster| path(cluster).as_deref()),
                data: cluster.and_then(data),
            };
        let of_user = |material, path: fn(&AuthInfo) -> &Option<String>, data: fn(&AuthInfo) -> Option<&str>| {
            FileField { material, path: user.and_then(|user| path(user).as_deref()), data: user.and_then(data) }
        };
        Self {
            certificate_authority: of_cluster(
                CredentialFile::CertificateAuthority,
                |cluster| &cluster.certificate_authority,
                |cluster| cluster.certificate_authority_data.as_deref(),
            ),
            client_certificate: of_user(
                CredentialFile::ClientCertificate,
                |user| &user.client_certificate,
                |user| user.client_certificate_data.as_deref(),
            ),
            client_key: of_user(
                CredentialFile::ClientKey,
                |user| &user.client_key,
                |user| user.client_key_data.as_ref().map(SecretString::expose_secret),
            ),
            // The file is used, and the token beside it only while the file cannot be read.
            token: of_user(CredentialFile::TokenFile, |user| &user.token_file, |_| None),
        }
    }

    fn all(self) -> [FileField<'a>; 4] {
        let Self { certificate_authority, client_certificate, client_key, token } = self;
        [certificate_authority, client_certificate, client_key, token]
    }

    /// Whether there is a file in any of the fields, used or not.
    pub(super) fn any_is_set(self) -> bool {
        self.all().iter().any(|field| field.path.is_some())
    }

    /// The files that are used.
    pub(super) fn in_use(self) -> impl Iterator<Item = PathBuf> {
        self.all().into_iter().filter(|field| field.data.is_none()).filter_map(|field| field.path.map(PathBuf::from))
    }
}

impl FileField<'_> {
    /// Reads the data, or else the file. Blocks.
    pub(super) fn read(self) -> Result<Option<Vec<u8>>, ConfigError> {
        match (self.data, self.path) {
            (Some(data), _) => credential_files::decode(self.material, data).map(Some),
            (None, Some(path)) => credential_files::read(self.material, Path::new(path)).map(Some),
            (None, None) => Ok(None),
        }
    }
}
