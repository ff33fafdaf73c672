//! Sources that read files: the contexts of kubeconfigs, and directories of kubeconfigs.

mod directory;
mod kubeconfig;
mod reread;

pub use self::directory::KubeconfigDirectory;
pub(crate) use self::kubeconfig::Merged;
pub use self::kubeconfig::{InvalidPattern, KubeconfigFiles};
pub(crate) use self::reread::{Files, Found, reread};
