//! The TCP handshake, with everything an unprivileged process can learn from its failure.

use std::os::fd::AsFd;

use nix::errno::Errno;
use socket2::Type;
use tokio::net::TcpStream;

use crate::{
    attempt::Attempt,
    clock,
    egress::os,
    error_queue,
    evidence::{Operation, Stop, Trouble},
    kernel,
    outcome::{Phases, Seen},
    verdict::Phase,
};

/// Connects to the attempt's address and records the kernel's round trip.
///
/// # Errors
/// The [`Stop`] that ended the handshake; the ICMP error and the kernel's counters are then in `seen`.
pub(crate) async fn connect(attempt: &Attempt<'_>, phases: &mut Phases, seen: &mut Seen) -> Result<TcpStream, Stop> {
    let start = clock::now();
    let result = handshake(attempt, seen).await;
    let elapsed = start.elapsed();
    phases.record(Phase::Connect, elapsed);
    result.map_err(|trouble| Stop { phase: Phase::Connect, trouble, elapsed })
}

async fn handshake(attempt: &Attempt<'_>, seen: &mut Seen) -> Result<TcpStream, Trouble> {
    let stream = begin(attempt)?;
    let outcome = attempt.deadline.limit(stream.writable()).await;
    let refused = match outcome {
        Err(_) => Some(Trouble::TimedOut),
        Ok(Err(error)) => Some(os(Operation::Connect)(error)),
        Ok(Ok(())) => stream.take_error().unwrap_or_else(Some).map(os(Operation::Connect)),
    };
    seen.tcp = kernel::tcp_info(&stream);
    if let Some(trouble) = refused {
        seen.icmp = error_queue::take(&stream);
        return Err(trouble);
    }
    seen.round_trip = seen.tcp.map(|info| info.round_trip);
    error_queue::collect(&stream, attempt.address, false)?;
    Ok(stream)
}

fn begin(attempt: &Attempt<'_>) -> Result<TcpStream, Trouble> {
    let socket = attempt.egress.socket(attempt.address, Type::STREAM, attempt.shape)?;
    error_queue::collect(&socket, attempt.address, true)?;
    socket.set_tcp_nodelay(true).map_err(os(Operation::Option))?;
    match socket.connect(&attempt.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(os(Operation::Connect)(error)),
    }
    TcpStream::from_std(socket.into()).map_err(os(Operation::Socket))
}

/// Refreshes the kernel's counters at the end of an exchange.
pub(crate) fn finish(stream: &impl AsFd, seen: &mut Seen) {
    if let Some(info) = kernel::tcp_info(stream) {
        seen.tcp = Some(info);
    }
}
