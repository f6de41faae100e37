//! The way in the terminal while its hops answer: the table redrawn in place, and below it what is waited for.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ase_probes::trace::Walk;

use crate::{
    commands::terminal::Line,
    readers::trace::{Hops, letter, render_live},
};

/// What is shown, and where.
pub(super) struct Live<'a> {
    line: &'a Line,
    target: &'a str,
    address: SocketAddr,
    flows: RefCell<Flows>,
}

/// How far each flow is.
#[derive(Debug, Default)]
struct Flows {
    walks: Vec<Walk>,
    over: BTreeSet<usize>,
}

impl<'a> Live<'a> {
    /// Nothing of these flows is known yet.
    pub(super) fn begin(line: &'a Line, target: &'a str, address: SocketAddr, walks: Vec<Walk>) -> Self {
        let flows = RefCell::new(Flows { walks, over: BTreeSet::new() });
        let live = Self { line, target, address, flows };
        live.show();
        live
    }

    /// A flow came one hop further.
    pub(super) fn saw(&self, number: usize, walk: &Walk) {
        if let Some(known) = self.flows.borrow_mut().walks.get_mut(number) {
            known.clone_from(walk);
        }
        self.show();
    }

    /// A flow goes no further.
    pub(super) fn ended(&self, number: usize) {
        self.flows.borrow_mut().over.insert(number);
        self.show();
    }

    fn show(&self) {
        let Some(look) = self.line.look() else { return };
        let flows = self.flows.borrow();
        let names = BTreeMap::new();
        let hops = Hops { target: self.target, address: self.address, walks: &flows.walks, names: &names };
        self.line.show_below(&render_live(&hops, look), &flows.waits());
    }
}

impl Flows {
    /// Which hop is waited for by which flows.
    fn waits(&self) -> String {
        let mut waits = BTreeMap::<u8, String>::new();
        for (number, walk) in self.walks.iter().enumerate().filter(|(number, _)| !self.over.contains(number)) {
            let last = walk.path.steps.last().map_or(0, |step| step.hop_limit);
            waits.entry(last.saturating_add(1)).or_default().push(letter(number));
        }
        let waits: Vec<_> = waits.iter().map(|(hop, flows)| format!("hop {hop} ({flows})")).collect();
        if waits.is_empty() { "thinking it over".to_owned() } else { format!("waiting for {}", waits.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ase_probes::{
        hops::{Path, Step},
        knock::{Answer, Knock},
        trace::Method,
    };

    use super::*;

    fn walk(hops: u8) -> Walk {
        let knock = Knock { answer: Answer::Silent, elapsed: Duration::ZERO, retransmitted: false };
        let steps = (1..=hops).map(|hop_limit| Step { hop_limit, knock: knock.clone() }).collect();
        Walk { method: Method::Tcp, source_port: 40_000, path: Path { steps } }
    }

    #[test]
    fn what_is_waited_for_is_the_next_hop_of_every_flow_that_goes_on() {
        let mut flows = Flows { walks: vec![walk(0), walk(3), walk(0), walk(5)], over: BTreeSet::new() };
        assert_eq!(flows.waits(), "waiting for hop 1 (ac), hop 4 (b), hop 6 (d)");
        flows.over = BTreeSet::from([0, 2, 3]);
        assert_eq!(flows.waits(), "waiting for hop 4 (b)");
        flows.over.insert(1);
        assert_eq!(flows.waits(), "thinking it over");
    }
}
