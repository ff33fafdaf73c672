//! [`Sessions`]: the TLS sessions that a configuration keeps, to resume them when it connects again. A store of our own,
//! because most configurations are for one server, and the one of rustls takes the memory of several from the start.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// How many servers are kept, for the clusters whose certificates a public authority signs: they share a configuration. The
/// one that was added first makes room.
const SERVERS: usize = 1024;

/// How many tickets of TLS 1.3 are kept for a server. Each resumes one connection.
const TICKETS: usize = 8;

/// The sessions of one configuration.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Server>>);

struct Server {
    name: ServerName<'static>,
    group: Option<NamedGroup>,
    tls12: Option<Box<Tls12ClientSessionValue>>,
    /// The oldest first.
    tls13: Vec<Tls13ClientSessionValue>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Vec<Server>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, name: &ServerName<'_>, read: impl FnOnce(&mut Server) -> Option<T>) -> Option<T> {
        self.lock().iter_mut().find(|server| server.name == *name).and_then(read)
    }

    fn write(&self, name: ServerName<'static>, write: impl FnOnce(&mut Server)) {
        let mut servers = self.lock();
        if let Some(server) = servers.iter_mut().find(|server| server.name == name) {
            return write(server);
        }
        let mut server = Server { name, group: None, tls12: None, tls13: Vec::new() };
        write(&mut server);
        push(&mut servers, SERVERS, server);
    }
}

/// Appends to a list of at most `limit`, with room for no more than it holds.
fn push<T>(list: &mut Vec<T>, limit: usize, item: T) {
    if list.len() == limit {
        list.remove(0);
    }
    list.reserve_exact(1);
    list.push(item);
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.write(server, |server| server.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.read(server, |server| server.group)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.write(server, |server| server.tls12 = Some(Box::new(value)));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.read(server, |server| server.tls12.as_deref().cloned())
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.read(server, |server| server.tls12.take());
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.write(server, |server| push(&mut server.tls13, TICKETS, value));
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.read(server, |server| server.tls13.pop())
    }
}

impl fmt::Debug for Sessions {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "ring"))]
mod tests {
    use std::sync::Arc;

    use rustls::client::{ClientSessionStore as _, Resumption};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{
        ClientConfig, ClientConnection, Connection, HandshakeKind, NamedGroup, RootCertStore, ServerConfig,
        ServerConnection, SupportedProtocolVersion, version,
    };

    use super::{SERVERS, Sessions, TICKETS};

    fn name(name: &str) -> ServerName<'static> {
        ServerName::try_from(name.to_owned()).unwrap()
    }

    fn configs(sessions: Arc<Sessions>, version: &'static SupportedProtocolVersion) -> (ClientConfig, ServerConfig) {
        let certified = rcgen::generate_simple_self_signed(["east".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert.der().clone()).unwrap();
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        client.resumption = Resumption::store(sessions);
        let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
        (client, server)
    }

    /// Moves what one side has to say to the other. Returns whether there was something.
    fn transfer(from: &mut Connection, to: &mut Connection) -> bool {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            to.read_tls(&mut left).unwrap();
            to.process_new_packets().unwrap();
        }
        !bytes.is_empty()
    }

    fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> HandshakeKind {
        let mut client = Connection::from(ClientConnection::new(Arc::clone(client), name("east")).unwrap());
        let mut server = Connection::from(ServerConnection::new(Arc::clone(server)).unwrap());
        while transfer(&mut client, &mut server) | transfer(&mut server, &mut client) {}
        client.handshake_kind().unwrap()
    }

    #[test]
    fn a_second_connection_resumes_the_session_of_the_first() {
        for version in [&version::TLS12, &version::TLS13] {
            let (client, server) = configs(Arc::default(), version);
            let (client, server) = (Arc::new(client), Arc::new(server));
            let kinds = [(); 3].map(|()| connect(&client, &server));
            assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed], "{version:?}");
        }
    }

    #[test]
    fn the_tickets_of_a_server_are_bounded() {
        let sessions = Arc::<Sessions>::default();
        let (client, mut server) = configs(Arc::clone(&sessions), &version::TLS13);
        server.send_tls13_tickets = TICKETS + 2;
        connect(&Arc::new(client), &Arc::new(server));
        let taken = std::iter::from_fn(|| sessions.take_tls13_ticket(&name("east")));
        assert_eq!(taken.count(), TICKETS);
    }

    #[test]
    fn the_server_that_was_added_first_makes_room() {
        let sessions = Sessions::default();
        for number in 0..=SERVERS {
            sessions.set_kx_hint(name(&format!("s{number}")), NamedGroup::X25519);
        }
        assert_eq!(sessions.kx_hint(&name("s0")), None);
        assert_eq!(sessions.kx_hint(&name("s1")), Some(NamedGroup::X25519));
        assert_eq!(sessions.lock().len(), SERVERS);
    }
}
