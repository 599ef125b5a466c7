//! Ports for servers under test.

use std::net::TcpListener;

/// A TCP port of 127.0.0.1 that nobody uses right now.
///
/// Another program may take it before its user does; servers that can listen on port 0 and tell
/// which port they got should do that instead.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}
