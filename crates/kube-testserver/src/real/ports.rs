//! Free loopback ports, as far as one can know.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// Ports that were free a moment ago, no two alike. Somebody else may take one before the server does; the server then
/// says so and is started again on others.
pub(super) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is found: else the system might give one twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
