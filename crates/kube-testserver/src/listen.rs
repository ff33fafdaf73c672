//! The socket: accepts connections, speaks TLS and HTTP/1.1 on them, and ends every task it started.
//! What a request means is none of its business.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    credential::Fingerprint,
    faults::ConnectionFault,
    malformed, serve,
    state::{Connection, Core},
    tls::Validity,
};

/// How long to wait before accepting again when the system would not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What somebody is told who speaks plain HTTP to a TLS port.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Tls,
    Plain,
}

/// A listener at work.
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
                tasks.spawn(connection(Arc::clone(&core), stream));
            }
            // Out of descriptors, or a peer that was gone before we looked: neither ends the server.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(core: Arc<Core>, stream: TcpStream) {
    let Some(connection) = core.connect(None) else { return };
    let cut = connection.tenancy.cut.clone();
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = talk(&core, connection, stream) => {}
    }
}

/// Talks to one client until one side has had enough. Errors of the connection are the client's to see.
async fn talk(core: &Core, connection: Connection, mut stream: TcpStream) {
    let fault = core.connection_faults.take(|rules| (!rules.is_empty()).then_some(0));
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
    // An event of a watch is a small write that somebody waits for.
    _ = stream.set_nodelay(true);
    match core.settings.security {
        Security::Plain => converse(core, connection, stream).await,
        Security::Tls => {
            let shaking = tokio::time::timeout(core.settings.head_timeout, shake(&connection, stream, validity));
            if let Ok(Some(stream)) = shaking.await {
                let certificate = peer_certificate(&stream);
                converse(core, Connection { certificate, ..connection }, stream).await;
            }
        }
    }
}

async fn shake(connection: &Connection, mut stream: TcpStream, validity: Validity) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    if first[0].is_ascii_uppercase() {
        // A method and not a handshake: somebody's URL says http. Go's server answers so, in clear.
        _ = stream.write_all(NOT_TLS).await;
        return None;
    }
    let pki = &connection.tenancy.cluster.pki;
    let config = match validity {
        Validity::Good => Arc::clone(&pki.server),
        Validity::Expired => pki.authority.server_config(Validity::Expired).ok()?,
    };
    TlsAcceptor::from(config).accept(stream).await.ok()
}

fn peer_certificate(stream: &TlsStream<TcpStream>) -> Option<Fingerprint> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| Fingerprint::of_certificate(certificate))
}

async fn converse<S>(core: &Core, connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = &connection;
    let service = service_fn(|request| async move {
        match malformed::refuse_host(&request) {
            Some(refusal) => Ok(refusal),
            None => serve::respond(core, connection, request).await,
        }
    });
    // The outcome is the client's to see: a broken request was answered 400, a broken connection is broken.
    _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(core.settings.head_timeout)
        .max_headers(malformed::MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
