//! Chance that is the same in every run.

use std::net::IpAddr;

use super::flow::Flow;

/// A generator of numbers (SplitMix64): small, and good enough for faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        unit(self.next())
    }

    /// Whether something with this probability, in percent, happens.
    pub(super) fn happens(&mut self, percent: f64) -> bool {
        self.fraction() * 100.0 < percent
    }

    /// A number below `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.fraction() * end as f64) as usize
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn unit(x: u64) -> f64 {
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Where a flow falls, from 0 to below 1: a load balancer's choice by addresses and ports.
pub(super) fn hash(seed: u64, flow: &Flow) -> f64 {
    // An IPv6 host is folded to the width of an IPv4 one.
    let host = match flow.host {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => (mix(u128::from(v6) as u64) ^ mix((u128::from(v6) >> 64) as u64)) as u32,
    };
    let ends = u64::from(host) << 32 | u64::from(flow.port) << 16 | u64::from(flow.guest_port);
    unit(mix(mix(seed ^ ends).wrapping_add(u64::from(flow.is_tcp))))
}

/// The initial sequence number of whoever accepts for a peer.
pub(super) fn initial_sequence(seed: u64, flow: &Flow) -> u32 {
    (hash(seed ^ 0x5eed, flow) * f64::from(u32::MAX)) as u32
}
