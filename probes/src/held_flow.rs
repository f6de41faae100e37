//! A TCP connection that is held open without a word, one per path. When new connections fail, it tells whether the
//! path still carries the flows it knows: a rule that forbids new flows leaves it alive, a changed route stalls it.

use std::{
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use nix::errno::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::{io::Interest, net::TcpStream};

use crate::{attempt::Attempt, clock, deadline::Deadline, error_queue, evidence::Stop, kernel, seen::Trace, stream};

/// How long a check waits at most: four keep-alive packets, one second apart, all unanswered.
const CHECK_PATIENCE: Duration = Duration::from_millis(3500);
/// Silence after which the kernel keeps the flow alive by itself. Azure forgets flows that are idle for 4 minutes: this
/// and one repetition (100 + 75 s) come before that, so that one lost packet ends no flow.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// Time between keep-alive packets while nobody checks.
const KEEP_ALIVE_AGAIN: Duration = Duration::from_secs(75);
/// The shortest time that the kernel takes for either (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`: whole seconds).
const AT_ONCE: Duration = Duration::from_secs(1);
/// Unanswered packets after which the kernel gives up: its maximum (`MAX_TCP_KEEPCNT` in `net/tcp.h`), so that a flow
/// outlives a long outage.
const MAX_UNANSWERED: u32 = 127;
/// The kernel counts acknowledgements in timer ticks of up to 10 ms (`CONFIG_HZ` of 100); two of them are no difference.
const TICK: Duration = Duration::from_millis(20);
/// The first pause between two looks at the counters, a usual round trip; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause between two looks: an answer is noticed within a fifth of the second between two packets.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a talkative peer that one check reads and drops: a window without scaling (RFC 9293), so that the peer can go
/// on, and one that never stops does not hold the check.
const READ_LIMIT: usize = 64 * 1024;

/// How a held flow fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowState {
    /// The peer acknowledged a keep-alive packet just now.
    Alive,
    /// Nobody acknowledges any more, and nobody says so.
    Stalled,
    /// Somebody on the path or the peer reset it.
    Reset,
    /// The peer ended it in order: this proves nothing about the path; open another.
    Closed,
}

impl FlowState {
    /// Returns the word used in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Stalled => "stalled",
            Self::Reset => "reset",
            Self::Closed => "closed",
        }
    }
}

/// What one check learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The peer.
    pub address: SocketAddr,
    /// How the flow fares.
    pub state: FlowState,
    /// Time since the flow was opened. A reset at about 4 minutes speaks for an idle timeout.
    pub age: Duration,
    /// Time between the peer's last acknowledgement and the start of this check.
    pub quiet: Duration,
    /// The error number of `errno(3)` that the kernel made of an ICMP message for the flow, if one came. It keeps neither
    /// the message nor its sender.
    pub echo: Option<i32>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, age) = (self.address, self.age.as_secs());
        write!(f, "the flow to {address} that was opened {age} s ago ")?;
        f.write_str(match self.state {
            FlowState::Alive => "is still alive",
            FlowState::Stalled => "is not acknowledged any more",
            FlowState::Reset => "was reset",
            FlowState::Closed => "was closed by the peer",
        })?;
        match self.echo.map(Errno::from_raw) {
            Some(errno) => write!(f, "; an ICMP message came for it: {errno:?} ({})", errno.desc()),
            None => Ok(()),
        }
    }
}

/// A flow that is held open. Dropping it closes it.
#[derive(Debug)]
pub struct HeldFlow {
    stream: TcpStream,
    address: SocketAddr,
    opened: Instant,
}

impl HeldFlow {
    /// Connects, and from then on sends nothing but one keep-alive packet after every 100 s of silence.
    ///
    /// # Errors
    /// Where and how the handshake ended.
    pub async fn open(attempt: &Attempt<'_>) -> Result<Self, Stop> {
        let stream = stream::connect(attempt, &mut Trace::default()).await?;
        let flow = Self { stream, address: attempt.address, opened: clock::now() };
        flow.keep_alive(KEEP_ALIVE, KEEP_ALIVE_AGAIN);
        Ok(flow)
    }

    /// The peer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Time since the flow was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Has the kernel send a keep-alive packet now and waits for its acknowledgement, at most 3.5 s. No
    /// payload is sent. After [`FlowState::Reset`] and [`FlowState::Closed`] the flow is of no more use.
    pub async fn check(&mut self) -> Checked {
        let start = clock::now();
        let quiet = self.acknowledged_ago();
        self.keep_alive(AT_ONCE, AT_ONCE);
        let mut echo = None;
        let state = self.await_sign(start, quiet, &mut echo).await;
        self.keep_alive(KEEP_ALIVE, KEEP_ALIVE_AGAIN);
        Checked { address: self.address, state, age: self.age(), quiet, echo }
    }

    async fn await_sign(&self, start: Instant, quiet: Duration, echo: &mut Option<i32>) -> FlowState {
        let deadline = Deadline::within(CHECK_PATIENCE);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(end) = self.end(echo) {
                return end;
            }
            if self.acknowledged_ago() + TICK < quiet + start.elapsed() {
                return FlowState::Alive;
            }
            if deadline.remaining().is_zero() {
                return FlowState::Stalled;
            }
            // An acknowledgement without data wakes nobody, so that its counter must be looked at again and again.
            let event = self.stream.ready(Interest::READABLE | Interest::ERROR);
            drop(deadline.at_most(pause).limit(event).await);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Reads what a talkative peer sent, and says how the flow ended if it did.
    fn end(&self, echo: &mut Option<i32>) -> Option<FlowState> {
        let mut bytes = [0; 4096];
        let mut total = 0;
        while total < READ_LIMIT {
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Some(FlowState::Closed),
                Ok(count) => total += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error_queue::is_echo(&error) => *echo = echo.or(error.raw_os_error()),
                Err(error) => return Some(ending(&error)),
            }
        }
        None
    }

    fn acknowledged_ago(&self) -> Duration {
        kernel::tcp_info(&self.stream).map(|info| info.last_ack).unwrap_or_default()
    }

    /// Sets the kernel's timer. It can only fail where the kernel has no keep-alive; then checks say stalled.
    fn keep_alive(&self, idle: Duration, again: Duration) {
        let timer = TcpKeepalive::new().with_time(idle).with_interval(again).with_retries(MAX_UNANSWERED);
        drop(SockRef::from(&self.stream).set_tcp_keepalive(&timer));
    }
}

/// What a read error says that is no echo of ICMP.
fn ending(error: &io::Error) -> FlowState {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ETIMEDOUT) => FlowState::Stalled,
        Some(_) | None => FlowState::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        egress::{Egress, Shape},
        fixture::{PATIENCE, reset, serve},
    };
    use tokio::{io::AsyncWriteExt, sync::oneshot};

    async fn hold(address: SocketAddr) -> HeldFlow {
        let egress = Egress::default();
        let deadline = Deadline::within(PATIENCE);
        let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
        HeldFlow::open(&attempt).await.expect("loopback accepts")
    }

    #[tokio::test]
    async fn a_flow_is_alive_until_nobody_acknowledges_and_again_when_somebody_does() {
        let (address, _served) = serve(|stream| async move { stream }).await;
        let mut flow = hold(address).await;
        let first = flow.check().await;
        assert_eq!((first.state, first.echo), (FlowState::Alive, None));

        kernel::set_min_hop_limit(&flow.stream, address, 255).expect("a socket option");
        let stalled = flow.check().await;
        assert_eq!(stalled.state, FlowState::Stalled);
        assert!(stalled.age >= CHECK_PATIENCE && stalled.age < 3 * CHECK_PATIENCE, "{:?}", stalled.age);
        assert!(stalled.to_string().ends_with("is not acknowledged any more"), "{stalled}");

        kernel::set_min_hop_limit(&flow.stream, address, 0).expect("a socket option");
        let again = flow.check().await;
        assert_eq!(again.state, FlowState::Alive);
        assert!(again.quiet >= Duration::from_secs(3), "{:?}", again.quiet);
    }

    #[tokio::test]
    async fn a_close_in_order_and_a_reset_are_told_apart() {
        let (go, wait) = oneshot::channel::<()>();
        let (address, served) = serve(|mut stream: TcpStream| async move {
            stream.write_all(b"220 ready\r\n").await.expect("the client is there");
            wait.await.expect("the test goes on");
            stream.shutdown().await.expect("the client is there");
            stream
        })
        .await;
        let mut flow = hold(address).await;
        assert_eq!(flow.check().await.state, FlowState::Alive);
        go.send(()).expect("the script waits");
        let peer = served.await.expect("the script ran");
        assert_eq!(flow.check().await.state, FlowState::Closed);
        drop(peer);

        let (address, served) = serve(|stream| async move { reset(stream) }).await;
        let mut flow = hold(address).await;
        served.await.expect("the script ran");
        let checked = flow.check().await;
        assert_eq!((checked.state, checked.address), (FlowState::Reset, address));
    }
}
