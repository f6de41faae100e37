//! One flow per TCP port that is held open since before anything is wrong: it tells a rule that forbids new flows from a
//! route that takes all. Flows open after a probe proved its peer, and again when the peer closed them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::held_flow::{FlowState, HeldFlow};

use crate::{
    diagnosis::{
        ask::Measured,
        measure::{Measurer, look_at},
        neighbours::port_of,
    },
    model::endpoint::{EndpointView, Status},
};

/// A flow that ended or could not be opened is not opened again before this.
const AGAIN: Duration = Duration::from_secs(60);
/// Ports that have a flow at most.
const PORTS: usize = 8;

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
    /// The ports that want a flow now, each with a peer that works.
    pub fn wanted(&mut self, views: &[Arc<EndpointView>], now: Instant) -> Vec<SocketAddr> {
        let mut wanted = Vec::new();
        for view in views.iter().filter(|view| view.status == Status::Healthy && !port_of(&view.endpoint).1) {
            let Some(address) = view.last.as_deref().and_then(|visit| Some(visit.outcomes.first()?.address)) else {
                continue;
            };
            let may_open = match self.0.get(&address.port()) {
                None => self.0.len() < PORTS,
                Some(Held::Missing(since)) => now.duration_since(*since) >= AGAIN,
                Some(Held::Open(_) | Held::Away) => false,
            };
            if may_open {
                self.0.insert(address.port(), Held::Away);
                wanted.push(address);
            }
        }
        wanted
    }

    /// Takes a port's flow for a look at it; `None` where there is none.
    pub fn take(&mut self, port: u16) -> Option<HeldFlow> {
        let held = self.0.get_mut(&port).filter(|held| matches!(held, Held::Open(_)))?;
        match std::mem::replace(held, Held::Away) {
            Held::Open(flow) => Some(flow),
            Held::Away | Held::Missing(_) => None,
        }
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
