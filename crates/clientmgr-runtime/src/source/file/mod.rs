//! Sources that read files: the contexts of kubeconfigs, and directories of kubeconfigs.

mod content;
mod directories;
mod directory;
mod known;
mod kubeconfig;
mod reread;

pub use self::directory::KubeconfigDirectory;
pub(crate) use self::known::Known;
pub(crate) use self::kubeconfig::Merged;
pub use self::kubeconfig::{InvalidPattern, KubeconfigFiles};
pub(crate) use self::reread::{Files, Found, News, reread};
