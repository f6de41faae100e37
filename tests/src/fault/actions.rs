//! What every action does to a packet.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType},
    rr::{RData, Record as DnsRecord, RecordType, rdata::A},
};

use super::{
    Action, Direction, Emission, Engine, Flow, Passage, Seen, Then,
    flow::Record,
    packet::{self, Kind, Segment, View, flags},
    rules::{From, ResetTo},
};

/// Time to live of a forged answer, in seconds.
const TTL: u32 = 30;

/// A packet on its way through the rules.
struct Walker {
    direction: Direction,
    flow: Flow,
    record: Record,
    view: View,
    bytes: Vec<u8>,
    delay: Duration,
    /// Delays of further copies.
    copies: Vec<Duration>,
    is_gone: bool,
    is_through: bool,
    emissions: Vec<Emission>,
    redirect: Option<IpAddr>,
}

impl Engine {
    /// Sends a packet through the rules, in order.
    pub(super) fn apply(
        &mut self,
        now: Duration,
        direction: Direction,
        flow: Flow,
        record: Record,
        view: View,
        bytes: Vec<u8>,
    ) -> Passage {
        let mut walker = Walker {
            direction,
            flow,
            record,
            view,
            bytes,
            delay: Duration::ZERO,
            copies: Vec::new(),
            is_gone: false,
            is_through: false,
            emissions: Vec::new(),
            redirect: None,
        };
        for index in 0..self.rules.len() {
            let seen = Seen {
                direction,
                bytes: &walker.bytes,
                view: &walker.view,
                flow,
                is_new: record.begun >= self.since,
                seed: self.path.seed,
            };
            let action = self.rules[index].rule.r#do.clone();
            let is_short = direction == Direction::Out && walker.view.hop_limit < self.reach(&action, flow.host);
            if is_short || !self.rules[index].applies(&seen) {
                continue;
            }
            self.act(now, index, &action, &mut walker);
            if walker.is_gone {
                return Passage { passing: Vec::new(), emissions: walker.emissions, redirect: None };
            }
            if walker.is_through {
                break;
            }
        }
        let mut passing: Vec<_> =
            walker.copies.iter().map(|after| (walker.delay + *after, walker.bytes.clone())).collect();
        passing.insert(0, (walker.delay, walker.bytes));
        Passage { passing, emissions: walker.emissions, redirect: walker.redirect }
    }

    fn act(&mut self, now: Duration, index: usize, action: &Action, walker: &mut Walker) {
        match action {
            Action::Drop => walker.is_gone = true,
            Action::Pass => walker.is_through = true,
            Action::Delay { by, jitter } => {
                let more = jitter.map_or(Duration::ZERO, |jitter| jitter.0.mul_f64(self.dice.fraction()));
                walker.delay += by.0 + more;
            }
            Action::Lose(percent) => walker.is_gone = self.dice.happens(*percent),
            Action::Duplicate { after } => walker.copies.push(after.map_or(Duration::ZERO, |after| after.0)),
            Action::Reorder { percent, by } => {
                if self.dice.happens(*percent) {
                    walker.delay += by.0;
                }
            }
            Action::Corrupt { percent, repaired } => {
                if self.dice.happens(*percent) {
                    self.corrupt(walker, *repaired);
                }
            }
            Action::ReplyFrom(address) => packet::set_source(&mut walker.bytes, *address),
            Action::Redirect { .. } => self.redirect(index, walker),
            Action::Icmp { r#type, code, mtu, from, pass } => {
                self.complain(walker, (*r#type, *code), *mtu, *from);
                walker.is_gone = !pass;
            }
            Action::Reset { to, hop } => self.reset(walker, *to, *hop),
            Action::Accept { then, hop } => self.accept(walker, then, *hop),
            Action::Mtu { bytes, icmp } => {
                if walker.bytes.len() > usize::from(*bytes) {
                    if *icmp && walker.view.dont_fragment {
                        let too_big = if walker.flow.host.is_ipv4() { (3, 4) } else { (2, 0) };
                        self.complain(walker, too_big, *bytes, None);
                    }
                    walker.is_gone = !*icmp || walker.view.dont_fragment;
                }
            }
            Action::Nat { ports, hold } => self.keep_place(now, index, walker, *ports, hold.0, |a, b| {
                (a.is_tcp, a.host, a.port) == (b.is_tcp, b.host, b.port)
            }),
            Action::Sessions { cap, hold } => self.keep_place(now, index, walker, *cap, hold.0, |_, _| true),
            Action::Idle { after, reset } => self.forget(now, index, walker, after.0, *reset),
            Action::Rate { bytes, burst, queue } => self.throttle(now, index, walker, *bytes, *burst, queue.0),
            Action::ForgeDns { address, pass } => self.forge_dns(walker, *address, *pass),
        }
    }

    fn corrupt(&mut self, walker: &mut Walker, repaired: bool) {
        let payload = walker.view.payload.clone();
        if payload.is_empty() {
            return;
        }
        let at = payload.start + self.dice.below(payload.len());
        walker.bytes[at] ^= 0xff;
        if repaired {
            packet::refresh(&mut walker.bytes);
        }
    }

    fn redirect(&mut self, index: usize, walker: &mut Walker) {
        let Some(target) = self.rules[index].target.filter(|_| walker.direction == Direction::Out) else { return };
        if target != walker.flow.host {
            self.redirected.insert(Flow { host: target, ..walker.flow }, walker.flow.host);
            walker.redirect = Some(target);
        }
    }

    /// The sender of a packet learns by ICMP that it went no further.
    fn complain(&self, walker: &mut Walker, kind: (u8, u8), mtu: u16, from: Option<From>) {
        walker.is_gone = true;
        let host = walker.view.destination;
        let (hop, address) = match from {
            None => (self.hop(None, walker.flow.host), Self::router(self.hop(None, walker.flow.host), host)),
            Some(From::Hop(hop)) => (self.hop(Some(hop), walker.flow.host), Self::router(hop, host)),
            Some(From::Address(address)) => (self.hop(None, walker.flow.host), address),
            Some(From::Destination) => (self.distance(walker.flow.host) + 1, host),
        };
        let Some(error) = packet::icmp_error(address, kind, u32::from(mtu), &walker.bytes) else { return };
        let made = match walker.direction {
            Direction::Out => self.to_guest(hop, vec![error]),
            Direction::In => vec![Emission { after: Duration::ZERO, direction: Direction::Out, bytes: error }],
        };
        walker.emissions.extend(made);
    }

    /// Breaks the connection of a segment, in the name of its receiver, and of its sender if both ends shall know.
    fn reset(&self, walker: &mut Walker, to: ResetTo, hop: Option<u8>) {
        let Kind::Tcp { sequence, acknowledged, flags: seen } = walker.view.kind else { return };
        walker.is_gone = true;
        let view = &walker.view;
        let (sender, receiver) = ((view.source, view.source_port), (view.destination, view.destination_port));
        let has_ack = seen & flags::ACK != 0;
        let back = Segment {
            from: receiver,
            to: sender,
            sequence: if has_ack { acknowledged } else { 0 },
            acknowledged: view.next_sequence(),
            flags: flags::RST | flags::ACK,
            payload: &[],
        };
        let on = Segment { from: sender, to: receiver, sequence, acknowledged, ..back };
        let (guest, server) = match walker.direction {
            Direction::Out => (back, on),
            Direction::In => (on, back),
        };
        let hop = self.hop(hop, walker.flow.host);
        walker.emissions.extend(self.to_guest(hop, vec![guest.packet()]));
        if to == ResetTo::Both && has_ack {
            walker.emissions.push(self.to_server(
                self.distance(walker.flow.host),
                Duration::ZERO,
                None,
                server.packet(),
            ));
        }
    }

    fn accept(&mut self, walker: &mut Walker, then: &Then, hop: Option<u8>) {
        let Kind::Tcp { flags: seen, .. } = walker.view.kind else { return };
        let opens = seen & (flags::SYN | flags::ACK) == flags::SYN;
        if walker.direction != Direction::Out || !opens {
            return;
        }
        walker.is_gone = true;
        let hop = self.hop(hop, walker.flow.host);
        let answer = self.interloper.accept(self.path.seed, walker.flow, &walker.view, then, hop);
        walker.emissions.extend(self.to_guest(hop, vec![answer]));
    }

    /// Keeps a place in a table for every flow; without one the flow's packets vanish. Flows from before have theirs.
    fn keep_place(
        &mut self,
        now: Duration,
        index: usize,
        walker: &mut Walker,
        places: usize,
        hold: Duration,
        is_rival: fn(&Flow, &Flow) -> bool,
    ) {
        if walker.record.begun < self.since || self.tables[index].contains(&walker.flow) {
            return;
        }
        let flows = &self.flows;
        let is_held = |flow: &Flow| flows.ended(flow).is_none_or(|ended| now < ended + hold);
        let table: &mut BTreeSet<Flow> = &mut self.tables[index];
        table.retain(is_held);
        if table.iter().filter(|flow| is_rival(flow, &walker.flow)).count() < places {
            table.insert(walker.flow);
        } else {
            walker.is_gone = true;
        }
    }

    fn forget(&mut self, now: Duration, index: usize, walker: &mut Walker, after: Duration, reset: bool) {
        let opens = matches!(walker.view.kind, Kind::Tcp { flags: seen, .. } if seen & flags::SYN != 0);
        if opens {
            self.tables[index].remove(&walker.flow);
        } else if now.saturating_sub(walker.record.before) >= after {
            self.tables[index].insert(walker.flow);
        }
        if self.tables[index].contains(&walker.flow) {
            walker.is_gone = true;
            if reset && walker.direction == Direction::Out {
                self.reset(walker, ResetTo::Guest, None);
            }
        }
    }

    fn throttle(&mut self, now: Duration, index: usize, walker: &mut Walker, rate: u32, burst: u32, queue: Duration) {
        let per_second = f64::from(rate.max(1));
        let depth = Duration::from_secs_f64(f64::from(burst) / per_second);
        let busy = self.busy_until[index].max(now.saturating_sub(depth));
        let end = busy + Duration::from_secs_f64(walker.bytes.len() as f64 / per_second);
        let wait = end.saturating_sub(now);
        if wait > queue {
            walker.is_gone = true;
        } else {
            self.busy_until[index] = end;
            walker.delay += wait;
        }
    }

    fn forge_dns(&self, walker: &mut Walker, address: Ipv4Addr, pass: bool) {
        if walker.direction != Direction::Out || walker.view.kind != Kind::Udp {
            return;
        }
        let query = walker.bytes.get(walker.view.payload.clone()).unwrap_or_default();
        let Some(answer) = dns_answer(query, address) else { return };
        let view = &walker.view;
        let (from, to) = ((view.destination, view.destination_port), (view.source, view.source_port));
        let hop = self.hop(None, walker.flow.host);
        walker.emissions.extend(self.to_guest(hop, vec![packet::datagram(from, to, &answer)]));
        walker.is_gone = !pass;
    }
}

/// An answer to a query for addresses.
fn dns_answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let asked = Message::from_vec(query).ok()?;
    let question = asked.queries.first()?.clone();
    let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    if question.query_type() == RecordType::A {
        answer.answers.push(DnsRecord::from_rdata(question.name().clone(), TTL, RData::A(A(address))));
    }
    answer.add_query(question);
    answer.to_vec().ok()
}
