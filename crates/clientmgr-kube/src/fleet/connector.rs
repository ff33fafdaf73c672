//! [`Connector`]: all the I/O of a fleet. From a configuration to a proven transport, and the probes of one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::async_trait;
use jiff::Timestamp;

use super::clock::{Clock, since_1970};
use super::member::timing::Expiry;
use crate::auth;
use crate::client::{Settings, Transport};
use crate::config::{ClusterConfig, ClusterIdentity, Credentials, load};
use crate::error::Failure;
use crate::probe::{self, Verified};
use crate::work::{Admission, BlockingWorker, Deadline};

/// After a plugin ran it is left alone for so long, whatever refuses its tokens.
const PLUGIN_PAUSE: Duration = Duration::from_secs(5);

/// The same for files, which cost little to read.
const FILE_PAUSE: Duration = Duration::from_millis(100);

/// What an attempt begins with.
pub(crate) struct Opening {
    pub(crate) config: ClusterConfig,
    /// Where the member's blocking work runs, one piece at a time.
    pub(crate) worker: Arc<BlockingWorker>,
    /// The transport of now, whose connections are shared where only a token changed.
    pub(crate) previous: Option<Transport>,
}

/// A transport that was built and proven.
#[derive(Clone)]
pub(crate) struct Established {
    pub(crate) transport: Transport,
    pub(crate) verified: Verified,
    /// What stands in for the identity where the cluster does not say it.
    pub(crate) address: ClusterIdentity,
    pub(crate) default_namespace: String,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) expiry: Option<Expiry>,
    /// How long to leave between two loads of credentials; none where a load brings no others.
    pub(crate) renewal_pause: Option<Duration>,
    /// The files whose change means that the configuration is loaded again.
    pub(crate) files: Vec<PathBuf>,
}

/// Makes and probes connections: the real one, or a test's.
#[async_trait]
pub(crate) trait Connector: Send + Sync + 'static {
    /// Loads the configuration, builds a transport and proves it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends all that it began, but for a blocking piece of work that hangs.
    async fn open(&self, opening: Opening) -> Result<Established, Failure>;

    /// Probes a transport.
    async fn probe(&self, transport: &Transport, address: &ClusterIdentity) -> Result<Verified, Failure>;
}

/// The real one.
pub(crate) struct KubeConnector {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) admission: Admission,
    /// For an attempt as a whole.
    pub(crate) deadline: Duration,
    /// For each request of a proof or a probe.
    pub(crate) request_deadline: Duration,
}

#[async_trait]
impl Connector for KubeConnector {
    async fn open(&self, opening: Opening) -> Result<Established, Failure> {
        let Opening { config, worker, previous } = opening;
        let steps = Deadline::within(self.deadline);
        let began = self.clock.wall();
        let loading = worker.run(steps, move || load(&config));
        let loaded = self.admission.admit(loading).await??;
        let issued = match &loaded.credentials {
            Credentials::Exec(exec) => Some(self.admission.admit(auth::run(exec, steps)).await?),
            _ => None,
        };
        let renewal_pause = match &loaded.credentials {
            Credentials::Exec(_) => Some(PLUGIN_PAUSE),
            _ if !loaded.files.is_empty() => Some(FILE_PAUSE),
            _ => None,
        };
        let address = ClusterIdentity::by_address(&loaded.config.cluster_url, loaded.config.root_cert.as_deref());
        let default_namespace = loaded.config.default_namespace.clone();
        let files = loaded.files.clone();
        let settings = self.settings.clone();
        // It may read the system's certificate authorities.
        let building = worker.run(steps, move || {
            Transport::build(&loaded, issued.as_ref(), &settings, previous.as_ref())
                .map_err(|failure| loaded.locate(failure))
        });
        let transport = self.admission.admit(building).await??;
        let verified = probe::prove(&transport, &address, self.request_deadline).await?;
        let expires = transport.expires();
        let begins = transport.issued().filter(|issued| *issued < began).unwrap_or(began);
        let renewable = renewal_pause.is_some();
        let expiry = expires.filter(|_| renewable).map(|ends| Expiry::new(since_1970(begins), since_1970(ends)));
        Ok(Established { transport, verified, address, default_namespace, expires, expiry, renewal_pause, files })
    }

    async fn probe(&self, transport: &Transport, address: &ClusterIdentity) -> Result<Verified, Failure> {
        probe::probe(transport, address, self.request_deadline).await
    }
}
