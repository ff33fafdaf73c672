//! [`Connector`]: all the I/O of a fleet. From a configuration to a proven transport, and the probes of one.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clientmgr_core::async_trait;
use futures::FutureExt;
use tracing::debug;

use super::clock::since_1970;
use super::timing::Expiry;
use crate::auth::{self, Issued, Stamp};
use crate::client::{Settings, Transport};
use crate::config::{self, ClusterConfig, ClusterIdentity, Credentials, Loaded};
use crate::error::Failure;
use crate::metrics;
use crate::probe::{self, Evidence, Extent, Verified};
use crate::work::{Admission, BlockingWorker, Deadline, Record, catch};

/// After a plugin ran it is left alone for so long, whatever refuses its tokens.
const PLUGIN_PAUSE: Duration = Duration::from_secs(5);

/// The same for files, which cost little to read.
const FILE_PAUSE: Duration = Duration::from_millis(100);

/// What an attempt begins with.
pub(crate) struct Opening {
    pub(crate) config: ClusterConfig,
    /// Where the member's blocking work runs, one piece at a time.
    pub(crate) worker: BlockingWorker,
    /// How that went the last time.
    pub(crate) record: Arc<Record>,
    /// Where the connector notes the files that it is about to read.
    pub(crate) files: Arc<OnceLock<ReadFiles>>,
    /// The transport of now, whose connections are shared where only a token changed.
    pub(crate) previous: Option<Transport>,
}

/// The files whose change means that the configuration is loaded again.
#[derive(Clone, Debug)]
pub(crate) struct ReadFiles {
    pub(crate) files: Vec<PathBuf>,
    /// What these held before they were read.
    pub(crate) stamp: Stamp,
}

/// A transport that was built and proven.
#[derive(Clone)]
pub(crate) struct Established {
    pub(crate) transport: Transport,
    pub(crate) verified: Verified,
    /// What stands in for the identity where the cluster does not say it.
    pub(crate) address: ClusterIdentity,
    pub(crate) expiry: Option<Expiry>,
    /// How long to leave between two loads of credentials; none where a load brings no others.
    pub(crate) renewal_pause: Option<Duration>,
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
    ///
    /// One that reaches another cluster than `expected` is answered as such, whatever else is wrong with that one.
    async fn probe(
        &self,
        transport: &Transport,
        address: &ClusterIdentity,
        expected: &Evidence,
        extent: Extent,
    ) -> Result<Verified, Failure> {
        probe::probe(transport, address, expected, extent, self.request_deadline()).await
    }

    /// For each request of a probe.
    fn request_deadline(&self) -> Duration;
}

/// Reads what a configuration names. Blocks where that is in files, and may hang.
pub(crate) type Load = Arc<dyn Fn(&ClusterConfig) -> Result<Loaded, Failure> + Send + Sync>;

/// The real one.
pub(crate) struct KubeConnector {
    pub(crate) load: Load,
    pub(crate) settings: Settings,
    pub(crate) admission: Admission,
    /// For an attempt as a whole.
    pub(crate) deadline: Duration,
    /// For each request of a proof or a probe.
    pub(crate) request_deadline: Duration,
}

/// Where the blocking work of one attempt runs.
struct Blocking {
    worker: BlockingWorker,
    record: Arc<Record>,
    steps: Deadline,
}

#[async_trait]
impl Connector for KubeConnector {
    async fn open(&self, opening: Opening) -> Result<Established, Failure> {
        let Opening { config, worker, record, files, previous } = opening;
        let blocking = Blocking { worker, record, steps: Deadline::within(self.deadline) };
        let details_first = config.wants_details_first();
        let loaded = metrics::timed("load", self.load(&blocking, config, files)).await?;
        let issued = self.issue(&blocking, &loaded).await?;
        let renewal_pause = renewal_pause(&loaded);
        // New credentials may be another user's, which the snapshot is to say at once. The first connection is served as
        // soon as it is proven, and the first probe asks for the details, unless the configuration wants them first.
        let replaces = previous.is_some();
        let extent = if replaces || details_first { Extent::Details } else { Extent::Proof };
        let address = ClusterIdentity::by_address(&loaded.config.cluster_url, loaded.config.root_cert.as_deref());
        let transport = metrics::timed("build", self.build(&blocking, loaded, issued, previous)).await?;
        debug!(phase = "prove", "attempting");
        // On a connection of its own: a server may end the one on which it refuses credentials, with all that is open on it.
        let proven = if replaces { transport.fresh() } else { transport.clone() };
        let proving = probe::prove(&proven, &address, extent, self.request_deadline);
        let verified = metrics::timed("prove", proving).await?;
        let validity = transport.validity().filter(|_| renewal_pause.is_some());
        let expiry = validity.map(|validity| Expiry::new(since_1970(validity.since()), since_1970(validity.until())));
        Ok(Established { transport, verified, address, expiry, renewal_pause })
    }

    fn request_deadline(&self) -> Duration {
        self.request_deadline
    }
}

impl KubeConnector {
    /// Loads `config`, and notes in `noted` the files that it reads.
    async fn load(
        &self,
        blocking: &Blocking,
        config: ClusterConfig,
        noted: Arc<OnceLock<ReadFiles>>,
    ) -> Result<Loaded, Failure> {
        debug!(phase = "load", "attempting");
        // What reads none cannot hang. A worker may, on a file that an earlier configuration named.
        let reads_files = config::names_files(&config);
        let load = Arc::clone(&self.load);
        let work = move || {
            let files = if reads_files { config::files(&config) } else { Vec::new() };
            let stamp = Stamp::of(&files);
            // Set here only.
            let _ = noted.set(ReadFiles { files, stamp });
            load(&config)
        };
        self.run(blocking, reads_files, work).await?
    }

    /// Runs the credential plugin, if there is one.
    async fn issue(&self, blocking: &Blocking, loaded: &Loaded) -> Result<Option<Issued>, Failure> {
        let Credentials::Exec(exec) = &loaded.credentials else { return Ok(None) };
        debug!(phase = "plugin", "attempting");
        let running = auth::run(exec, blocking.steps, &blocking.worker).boxed();
        metrics::timed("plugin", self.admission.run(&blocking.record, running)).await.map(Some)
    }

    async fn build(
        &self,
        blocking: &Blocking,
        loaded: Loaded,
        issued: Option<Issued>,
        previous: Option<Transport>,
    ) -> Result<Transport, Failure> {
        debug!(phase = "build", "attempting");
        let settings = self.settings.clone();
        let may_block = Transport::build_blocks(&loaded);
        let work = move || {
            Transport::build(&loaded, issued.as_ref(), &settings, previous.as_ref())
                .map_err(|failure| loaded.locate(failure))
        };
        self.run(blocking, may_block, work).await?
    }

    /// Runs `work`: where it may block, on the member's worker.
    async fn run<T: Send + 'static>(
        &self,
        blocking: &Blocking,
        may_block: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if !may_block {
            return catch(work);
        }
        let Blocking { worker, record, steps } = blocking;
        self.admission.run(record, worker.run(*steps, work).boxed()).await
    }
}

/// How long to leave between two loads of the credentials; none where a load brings no others.
fn renewal_pause(loaded: &Loaded) -> Option<Duration> {
    match &loaded.credentials {
        Credentials::Exec(_) => Some(PLUGIN_PAUSE),
        _ if !loaded.files.is_empty() => Some(FILE_PAUSE),
        _ => None,
    }
}
