//! Free loopback ports.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// Returns different ports that are free now. If another process takes one before the server does, the server ends, and is
/// started again on others.
pub(super) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is found: otherwise the system could return one twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
