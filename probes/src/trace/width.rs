//! How large the packets may be that pass each hop: datagrams that nobody may cut up, as large as the device sends them and
//! then as large as a router says it passes.

use std::{net::IpAddr, time::Duration};

use super::throw::{payload, sent};
use crate::{attempt::Attempt, datagram::Datagram, egress::Shape, knock::Answer};

/// The wait for one answer.
const PATIENCE: Duration = Duration::from_millis(600);
/// Times that a router on the way may ask for less.
const NARROWS: usize = 6;
/// Sizes tried to find out what a silent hop still passes.
const HALVINGS: u32 = 8;
/// What every path passes, in bytes: RFC 791 for IPv4, RFC 8200 section 5 for IPv6.
const LEAST: [u32; 2] = [68, 1280];

/// A router that passes less than what came to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// How far the packet should have travelled.
    pub hop_limit: u8,
    /// Who said so.
    pub router: Option<IpAddr>,
    /// Bytes of a packet that it passes at most.
    pub mtu: u32,
}

/// A hop that answers small packets and no large ones, without a word from anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swallowed {
    /// How far the packet should have travelled.
    pub hop_limit: u8,
    /// Bytes of the largest packet that was answered.
    pub passes: u32,
    /// Bytes of the smallest one that was not.
    pub lost: u32,
}

/// What passes on the way, as far as it was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Width {
    /// Bytes of a packet that this machine's device sends at most.
    pub device: u32,
    /// Routers that pass less, in order.
    pub narrows: Vec<Narrow>,
    /// Where larger packets vanish.
    pub swallowed: Option<Swallowed>,
    /// The last hop that answered a packet of the size that passes.
    pub up_to: u8,
}

impl Width {
    /// Bytes of a packet that pass all hops, as far as is known.
    pub fn mtu(&self) -> u32 {
        let narrow = self.narrows.last().map_or(self.device, |narrow| narrow.mtu);
        self.swallowed.map_or(narrow, |swallowed| swallowed.passes.min(narrow))
    }
}

/// Follows large datagrams over these hops, which answer small ones. `None` where the device takes any size, as loopback does,
/// or this machine cannot ask.
pub async fn width(attempt: &Attempt<'_>, hops: &[u8]) -> Option<Width> {
    let asker = Asker { attempt, least: LEAST[usize::from(attempt.address.is_ipv6())] };
    let device = asker.device_mtu().await?;
    let mut width = Width { device, narrows: Vec::new(), swallowed: None, up_to: 0 };
    for hop_limit in hops.iter().copied() {
        if !asker.pass(hop_limit, &mut width).await {
            break;
        }
    }
    Some(width)
}

struct Asker<'a> {
    attempt: &'a Attempt<'a>,
    least: u32,
}

impl Asker<'_> {
    fn attempt(&self, hop_limit: u8) -> Attempt<'_> {
        let shape = Shape { hop_limit: Some(hop_limit), is_whole: true, ..self.attempt.shape };
        Attempt { shape, deadline: self.attempt.deadline.at_most(PATIENCE), ..*self.attempt }
    }

    async fn device_mtu(&self) -> Option<u32> {
        Datagram::open(&self.attempt(1)).ok()?.device_mtu().await
    }

    /// Sends a packet of this size over so many hops.
    async fn send(&self, hop_limit: u8, size: u32) -> Reply {
        let attempt = self.attempt(hop_limit);
        let Ok(socket) = Datagram::open(&attempt) else { return Reply::Nothing };
        let headers = if attempt.address.is_ipv4() { 28 } else { 48 };
        let mut bytes = payload(attempt.address.port());
        bytes.resize((size.saturating_sub(headers) as usize).max(bytes.len()), 0);
        match sent(&socket, &attempt, &bytes).await {
            Answer::Icmp(icmp) if icmp.is_about_mtu() => Reply::Narrow(icmp.offender, icmp.mtu),
            Answer::Icmp(_) | Answer::Open | Answer::Refused => Reply::Passed,
            Answer::Silent | Answer::Unasked(_) => Reply::Nothing,
        }
    }

    /// Makes packets smaller until one is answered from this hop; false where larger ones vanish.
    async fn pass(&self, hop_limit: u8, width: &mut Width) -> bool {
        loop {
            let size = width.mtu();
            match self.send(hop_limit, size).await {
                Reply::Passed => {
                    width.up_to = hop_limit;
                    return true;
                }
                Reply::Narrow(router, mtu) if (self.least..size).contains(&mtu) && width.narrows.len() < NARROWS => {
                    width.narrows.push(Narrow { hop_limit, router, mtu });
                }
                Reply::Narrow(..) => return false,
                Reply::Nothing => {
                    width.swallowed = self.halve(hop_limit, size).await;
                    return width.swallowed.is_none();
                }
            }
        }
    }

    /// Finds out which size the hop still answers; `None` where it answers none now, or the large one after all.
    async fn halve(&self, hop_limit: u8, size: u32) -> Option<Swallowed> {
        let answers = async |size| matches!(self.send(hop_limit, size).await, Reply::Passed);
        if !answers(self.least).await || answers(size).await {
            return None;
        }
        let (mut passes, mut lost) = (self.least, size);
        for _ in 0..HALVINGS {
            let middle = passes.midpoint(lost);
            *(if answers(middle).await { &mut passes } else { &mut lost }) = middle;
        }
        Some(Swallowed { hop_limit, passes, lost })
    }
}

/// What came back for a large packet.
enum Reply {
    /// Something from the hop or the peer.
    Passed,
    /// A router wants less.
    Narrow(Option<IpAddr>, u32),
    /// Nothing.
    Nothing,
}
