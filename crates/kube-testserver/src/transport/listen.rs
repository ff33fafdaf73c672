//! The socket: accepts connections, speaks TLS and HTTP on them, and ends every task it started.
//! It does not know what a request means.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::credential::Fingerprint,
    control::faults::ConnectionFault,
    pipeline::{
        malformed, respond,
        state::{Connection, Core},
    },
    pki::{
        issued::Validity,
        security::{H2, Security},
        tls,
    },
    transport::silence::Silenced,
};

/// The wait after a connection that the system did not accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A real server's limit of a request's headers, in bytes.
const MOST_HEADER_BYTES: u32 = 1024 * 1024;

/// The answer to plain HTTP on a TLS port.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A running listener.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listening {
    /// Starts accepting on a socket that is already bound.
    pub(crate) fn start(core: &Arc<Core>, listener: TcpListener) -> Self {
        let (stop, tasks) = (core.gone.child_token(), TaskTracker::new());
        tasks.spawn(accept(Arc::clone(core), listener, stop.clone(), tasks.clone()));
        Self { stop, tasks }
    }

    /// Closes the port and waits until every task is over. The connections must have been cut.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Binds a loopback port, a free one if `address` says 0.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // On Windows this option means something else, and connections on their way out do not hold the port there.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(core: Arc<Core>, listener: TcpListener, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(Arc::clone(&core), stream, tasks.clone()));
            }
            // Out of descriptors, or a peer that was gone before we looked: neither ends the server.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(core: Arc<Core>, stream: TcpStream, tasks: TaskTracker) {
    let Some(connection) = core.connect(None) else { return };
    let closed = connection.closed.clone();
    tokio::select! {
        biased;
        () = closed.cancelled() => {}
        () = talk(core, connection, stream, tasks) => {}
    }
}

/// Serves one connection until one side closes it. The client sees the errors of the connection.
async fn talk(core: Arc<Core>, connection: Connection, mut stream: TcpStream, tasks: TaskTracker) {
    let fault = core.connection_faults.take(|orders| (!orders.is_empty()).then_some(0));
    let validity = match fault {
        Some(ConnectionFault::Closed) => return,
        Some(ConnectionFault::Silent) => {
            // Reading on is how we learn that the client has left.
            _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
        Some(ConnectionFault::ExpiredCertificate) => Validity::Expired,
        None => Validity::Good,
    };
    // An event of a watch is a small write that a client waits for.
    _ = stream.set_nodelay(true);
    match core.settings.security {
        Security::Plain => {
            let stream = Silenced::new(stream, connection.tenancy.silent.clone());
            serve_http1(core, connection, stream).await;
        }
        Security::Tls => {
            let shaking = tokio::time::timeout(core.settings.head_timeout, shake(&core, &connection, stream, validity));
            let Ok(Some(stream)) = shaking.await else { return };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(|chain| chain.first());
            let connection = Connection {
                certificate: certificate.map(|certificate| Fingerprint::of_certificate(certificate)),
                ..connection
            };
            if session.alpn_protocol() == Some(H2) {
                serve_http2(core, connection, stream, tasks).await;
            } else {
                serve_http1(core, connection, stream).await;
            }
        }
    }
}

type Tls = TlsStream<Silenced<TcpStream>>;

async fn shake(core: &Core, connection: &Connection, mut stream: TcpStream, validity: Validity) -> Option<Tls> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    if first[0].is_ascii_uppercase() {
        // A method and not a handshake: the client's URL says http. Go's server answers so, in clear.
        _ = stream.write_all(NOT_TLS).await;
        return None;
    }
    let pki = connection.tenancy.cluster.pki.as_ref()?;
    let config = match validity {
        Validity::Good => Arc::clone(&pki.server),
        Validity::Expired => tls::server_config(&pki.authority, core.settings.protocols, Validity::Expired).ok()?,
    };
    let stream = Silenced::new(stream, connection.tenancy.silent.clone());
    TlsAcceptor::from(config).accept(stream).await.ok()
}

// The outcome of a connection is the client's to see: a broken request was answered 400, a broken connection is broken.

async fn serve_http1<S>(core: Arc<Core>, connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (core, connection) = (&*core, &connection);
    let service = service_fn(|request| async move {
        match malformed::refuse_host(&request) {
            Some(refusal) => Ok(refusal),
            None => respond::respond(core, connection, request).await,
        }
    });
    _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(core.settings.head_timeout)
        .max_headers(malformed::MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve_http2<S>(core: Arc<Core>, connection: Connection, stream: S, tasks: TaskTracker)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = Arc::new(connection);
    let service = service_fn(|request| {
        let (core, connection) = (Arc::clone(&core), Arc::clone(&connection));
        async move { respond::respond(&core, &connection, request).await }
    });
    _ = http2::Builder::new(Tracked(tasks))
        .timer(TokioTimer::new())
        .max_concurrent_streams(core.settings.http2_streams)
        .max_header_list_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Spawns the tasks of an HTTP/2 connection, one for each request, where the listener waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
