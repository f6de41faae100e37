//! The TCP handshake, with everything an unprivileged process can learn from its failure.

use std::time::Duration;

use nix::errno::Errno;
use socket2::Type;
use tokio::net::TcpStream;

use crate::{
    attempt::Attempt,
    clock, error_queue,
    evidence::{Operation, Stop, TcpInfo, Trouble, os},
    journal::{Event, Layer},
    kernel,
    seen::{Seen, Trace},
    tap::Tap,
    verdict::Phase,
};

/// The time a handshake gets, whatever the attempt's deadline allows. Linux sends the SYN at 0, 1, 2 and 3 s (at 0, 1
/// and 3 s before 6.5), so that one lost packet is no failure; a neighbour that does not answer is known after 3.1 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// Connects to the attempt's address and records the kernel's round trip.
///
/// # Errors
/// The [`Stop`] that ended the handshake; the ICMP error and the kernel's counters are then in `trace`.
pub(crate) async fn connect(attempt: &Attempt<'_>, trace: &mut Trace) -> Result<TcpStream, Stop> {
    trace.page = attempt.egress.page(attempt.address);
    trace.note(|_| Event::Connecting);
    let start = clock::now();
    let result = handshake(attempt, &mut trace.seen).await;
    let elapsed = start.elapsed();
    trace.phases.record(Phase::Connect, elapsed);
    trace.note(|seen| match (&result, seen.icmp) {
        (Ok(_), _) => Event::Accepted { round_trip: seen.round_trip },
        (Err(_), Some(icmp)) => Event::Icmp(icmp),
        (Err(trouble), None) => Event::Failed(trouble.clone()),
    });
    result.map_err(|trouble| Stop { phase: Phase::Connect, trouble, elapsed })
}

async fn handshake(attempt: &Attempt<'_>, seen: &mut Seen) -> Result<TcpStream, Trouble> {
    let stream = begin(attempt)?;
    let event = async { stream.writable().await.map_err(os(Operation::Handshake)) };
    let event = attempt.deadline.at_most(PATIENCE).bound(event).await;
    seen.tcp = kernel::tcp_info(&stream);
    if let Err(trouble) = event.and_then(|()| accepted(&stream, seen.tcp)) {
        seen.icmp = error_queue::take(&stream, attempt.address);
        return Err(trouble);
    }
    seen.round_trip = seen.tcp.map(|info| info.round_trip);
    Ok(stream)
}

/// Whether the handshake succeeded. Only a connection that is not established needs to be asked for its error.
fn accepted(stream: &TcpStream, info: Option<TcpInfo>) -> Result<(), Trouble> {
    if info.is_some_and(|info| info.is_established) {
        return Ok(());
    }
    stream.take_error().unwrap_or_else(Some).map_or(Ok(()), |error| Err(os(Operation::Handshake)(error)))
}

fn begin(attempt: &Attempt<'_>) -> Result<TcpStream, Trouble> {
    let socket = attempt.egress.socket(attempt.address, Type::STREAM, attempt.shape)?;
    error_queue::collect(&socket, attempt.address, true)?;
    match socket.connect(&attempt.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(os(Operation::Connect)(error)),
    }
    TcpStream::from_std(socket.into()).map_err(os(Operation::Socket))
}

impl Trace {
    /// Notes an event of the connection, if anybody wants to see it.
    fn note(&self, event: impl FnOnce(&Seen) -> Event) {
        if let Some(page) = &self.page {
            page.note(Layer::Tcp, event(&self.seen));
        }
    }
}

/// Refreshes the kernel's counters at the end of an exchange, and looks for traces of ICMP in one that failed.
pub(crate) fn finish(tap: &Tap, failed: bool, seen: &mut Seen) {
    if let Some(info) = kernel::tcp_info(tap.stream()) {
        seen.tcp = Some(info);
    }
    seen.echo = tap.echo(failed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cause::Cause,
        egress::Shape,
        fixture::{ask_shaped, serve},
        probe::Probe,
        tcp,
        tls::Trust,
        verdict::Confidence,
    };

    #[tokio::test]
    async fn a_silent_host_is_known_after_four_seconds_and_three_packets() {
        let (address, _served) = serve(|stream| async move { stream }).await;
        let deaf = Shape { min_hop_limit: Some(255), ..Shape::default() };
        let probe = Probe::Tcp(tcp::Question::default());
        let outcome = ask_shaped(&probe, address, &Trust::none(), Duration::from_secs(30), deaf).await;
        let finding = outcome.verdict.finding().expect("the answers are not heard");
        assert_eq!((finding.cause, finding.confidence), (Cause::Dropped, Confidence::Possible));
        let elapsed = outcome.phases.of(Phase::Connect).expect("the handshake was tried");
        assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
        assert!(outcome.seen.tcp.is_some_and(|info| info.retransmits >= 2), "{:?}", outcome.seen.tcp);
    }
}
