//! A peer on loopback that says the fuzzer's bytes to the real probe, and what must hold for whatever it says.

use std::{
    cell::RefCell,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use ase_probes::{
    attempt::Attempt,
    cause::Cause,
    egress::{Egress, Shape},
    deadline::Deadline,
    outcome::Outcome,
    probe::Probe,
    tls::Trust,
};

/// Time of one exchange; a peer that closes ends it long before.
const PATIENCE: Duration = Duration::from_millis(500);
/// Listeners take turns, each at its own loopback address: closed connections then never use up the ports of one.
const LISTENERS: u8 = 64;

struct Peer {
    listeners: Vec<TcpListener>,
    turn: usize,
    runtime: tokio::runtime::Runtime,
    trust: Trust,
}

thread_local! {
    static PEER: RefCell<Peer> = RefCell::new(Peer::new());
}

impl Peer {
    fn new() -> Self {
        let bind = |host: u8| TcpListener::bind((Ipv4Addr::new(127, 0, 1, host), 0)).expect("loopback has ports");
        Self {
            listeners: (1..=LISTENERS).map(bind).collect(),
            turn: 0,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts"),
            trust: Trust::none(),
        }
    }

    fn exchange(&mut self, probe: &Probe, bytes: &[u8]) -> Outcome {
        self.turn = (self.turn + 1) % self.listeners.len();
        let listener = &self.listeners[self.turn];
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let (egress, trust) = (Egress::default(), &self.trust);
        let attempt = Attempt {
            address,
            deadline: Deadline::within(PATIENCE),
            egress: &egress,
            nonce: 7,
            shape: Shape::default(),
        };
        std::thread::scope(|scope| {
            let peer = scope.spawn(|| {
                let Ok((mut stream, _)) = listener.accept() else { return };
                // The probe may hang up first: that is its right.
                drop(stream.write_all(bytes));
                drop(stream.shutdown(std::net::Shutdown::Write));
                let mut rest = [0; 4096];
                while std::io::Read::read(&mut stream, &mut rest).is_ok_and(|count| count > 0) {}
            });
            let outcome = self.runtime.block_on(probe.run(&attempt, trust));
            drop(peer.join());
            outcome
        })
    }
}

/// Runs one exchange: it ends in time, with a cause of the closed set and evidence that cannot steer a terminal.
pub fn says(probe: &Probe, bytes: &[u8]) {
    let start = Instant::now();
    let outcome = PEER.with_borrow_mut(|peer| peer.exchange(probe, bytes));
    assert!(start.elapsed() < PATIENCE * 4, "the deadline bounds the exchange");
    if let Some(finding) = outcome.verdict.finding() {
        assert!(Cause::ALL.contains(&finding.cause));
    }
    let evidence = outcome.evidence().concat();
    assert!(!evidence.contains(|c: char| c.is_control()), "{evidence:?}");
    assert!(evidence.len() < 64 * 1024, "evidence is bounded");
}
