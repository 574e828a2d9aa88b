//! A port for a process of our own on this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use rand::Rng;

/// Ports are taken from here: below the ranges out of which Linux (32768) and macOS (49152) serve outgoing connections, so
/// that no connection of another process takes the port between its choice and its use.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const TRIES: usize = 100;

/// A port of the loopback interface on which nobody listens at the moment. Drawn at random, so that two who ask at the same
/// time hardly ever get the same one.
pub fn free_port() -> anyhow::Result<u16> {
    let mut random = rand::rng();
    (0..TRIES)
        .map(|_| random.random_range(PORTS))
        .find(|port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).is_ok())
        .context("find a free port on 127.0.0.1")
}
