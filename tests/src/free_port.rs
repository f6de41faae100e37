//! A port for a program that is about to start.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, bail};
use rand::RngExt as _;

/// Below the ports that Linux gives to connections and to whoever asks for any (`ip_local_port_range`, from 32768 on): what is
/// free there stays so until it is used, however many connections are made meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_768;
/// Ports that are tried.
const TRIES: u32 = 256;

/// A port that nobody on loopback has, neither for TCP nor for UDP.
///
/// # Errors
/// When none was found.
pub fn free_port() -> Result<u16> {
    let mut rng = rand::rng();
    for _ in 0..TRIES {
        let port = rng.random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("none of {TRIES} ports of loopback is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_not_free_and_no_connection_takes_a_free_one() {
        let taken: Vec<TcpListener> =
            (0..50).filter_map(|_| TcpListener::bind(("127.0.0.1", free_port().ok()?)).ok()).collect();
        assert_eq!(taken.len(), 50);
        let by_chance = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        assert!(!PORTS.contains(&by_chance.local_addr().expect("it is bound").port()));
    }
}
