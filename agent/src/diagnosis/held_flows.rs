//! One flow per TCP port that is held open since before anything is wrong: it tells a rule that forbids new flows from a
//! route that takes all. Flows open after a probe proved its peer, and again when the peer closed them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::held_flow::{FlowState, HeldFlow};

use crate::diagnosis::{
    ask::Measured,
    measure::{Measurer, look_at},
};

/// A flow that ended or could not be opened is not opened again before this: two visits at the default interval.
const AGAIN: Duration = Duration::from_secs(60);
/// Ports that have a flow at most: the built-in catalogue has six over TCP, and each flow costs the peer a connection.
pub const PORTS: usize = 8;

/// What a task about a held flow brought.
#[derive(Debug)]
pub struct Returned {
    port: u16,
    flow: Option<HeldFlow>,
    /// What the look at the flow taught; `None` for one that was just opened.
    pub measured: Option<Measured>,
}

#[derive(Debug)]
enum Held {
    Open(HeldFlow),
    Away,
    Missing(Instant),
}

/// The flows, by port.
#[derive(Debug, Default)]
pub struct HeldFlows(BTreeMap<u16, Held>);

impl HeldFlows {
    /// Whether the port of a peer that works wants a flow now; it is taken to be opened then.
    pub fn wants(&mut self, peer: SocketAddr, now: Instant) -> bool {
        let may_open = match self.0.get(&peer.port()) {
            None => self.0.len() < PORTS,
            Some(Held::Missing(since)) => now.duration_since(*since) >= AGAIN,
            Some(Held::Open(_) | Held::Away) => false,
        };
        if may_open {
            self.0.insert(peer.port(), Held::Away);
        }
        may_open
    }

    /// Takes a port's flow for a look at it; `None` where there is none.
    pub fn take(&mut self, port: u16) -> Option<HeldFlow> {
        let held = self.0.get_mut(&port).filter(|held| matches!(held, Held::Open(_)))?;
        match std::mem::replace(held, Held::Away) {
            Held::Open(flow) => Some(flow),
            Held::Away | Held::Missing(_) => None,
        }
    }

    /// Notes that a task which had a port's flow, or was to open one, brought nothing.
    pub fn give_up(&mut self, port: u16, now: Instant) {
        self.0.insert(port, Held::Missing(now));
    }

    /// Takes back what a task brought.
    pub fn put_back(&mut self, returned: Returned, now: Instant) -> Option<Measured> {
        let held = returned.flow.map_or(Held::Missing(now), Held::Open);
        self.0.insert(returned.port, held);
        returned.measured
    }
}

/// Opens a flow to hold.
pub async fn open(measurer: Arc<Measurer>, address: SocketAddr) -> Returned {
    Returned { port: address.port(), flow: measurer.hold(address).await, measured: None }
}

/// Looks at a flow; one that ended is let go.
pub async fn look(port: u16, mut flow: HeldFlow) -> Returned {
    let (measured, state) = look_at(&mut flow).await;
    let flow = match state {
        FlowState::Alive | FlowState::Stalled => Some(flow),
        FlowState::Reset | FlowState::Closed => None,
    };
    Returned { port, flow, measured: Some(measured) }
}
