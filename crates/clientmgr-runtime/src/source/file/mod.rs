//! Sources that read files: the contexts of kubeconfigs, and directories of kubeconfigs.

mod directory;
mod kubeconfig;
mod reread;

pub use self::directory::KubeconfigDirectory;
pub use self::kubeconfig::{InvalidPattern, KubeconfigFiles};
