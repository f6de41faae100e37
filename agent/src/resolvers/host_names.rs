//! The names that the configured servers give to addresses (PTR records), asked only where somebody wants them: all side by
//! side, within one time, and nothing depends on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    dns::{Question, Transport},
    egress::{Egress, Shape},
};
use futures_util::future::join_all;

/// Time that one server gets for one address.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Addresses that are asked for at most: thirty hops of two ways.
const MOST: usize = 64;

/// Who is asked for the names, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The servers, in order; the next is asked where one says neither yes nor no.
    pub servers: &'a [SocketAddr],
    /// Source address and interface.
    pub egress: &'a Egress,
    /// Time for everything together.
    pub within: Duration,
    /// What questions are drawn from.
    pub nonce: u64,
}

impl Asker<'_> {
    /// The names of those addresses that have one, of the first 64.
    pub async fn names(&self, addresses: &BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String> {
        let deadline = Deadline::within(self.within);
        let asked = addresses.iter().take(MOST).zip(1u32..);
        let names = asked.map(|(address, number)| async move {
            Some((*address, self.name(*address, deadline, self.nonce.rotate_left(number)).await?))
        });
        join_all(names).await.into_iter().flatten().collect()
    }

    async fn name(&self, address: IpAddr, deadline: Deadline, nonce: u64) -> Option<String> {
        let question = Question::pointer(address, Transport::Udp);
        for (server, number) in self.servers.iter().zip(0u64..) {
            if deadline.remaining().is_zero() {
                break;
            }
            let (egress, nonce) = (self.egress, nonce.wrapping_add(number));
            let attempt = Attempt {
                address: *server,
                deadline: deadline.at_most(PATIENCE),
                egress,
                nonce,
                shape: Shape::default(),
            };
            let answer = question.clone().ask(&attempt).await.reply.answer;
            if let Some(answer) = answer.filter(|answer| answer.rcode.is_yes_or_no()) {
                return answer.hosts.into_iter().next();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::net::UdpSocket;

    use super::*;

    /// A server that gives the same name to whatever address it is asked for, or refuses.
    async fn server(refuses: bool) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = socket.local_addr().expect("bound above");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                // The question without the EDNS record behind it, which has eleven bytes.
                let asked = &buffer[12..length - 11];
                let flags: &[u8] = if refuses { b"\x81\x85" } else { b"\x81\x80" };
                let record: &[u8] =
                    if refuses { b"" } else { b"\xc0\x0c\0\x0c\0\x01\0\0\0\x3c\0\x0b\x04edge\x04test\0" };
                let counts = [0, 1, 0, u8::from(!refuses), 0, 0, 0, 0];
                drop(socket.send_to(&[&buffer[..2], flags, &counts, asked, record].concat(), from).await);
            }
        });
        address
    }

    #[tokio::test]
    async fn the_first_server_that_says_yes_or_no_names_every_address() {
        let (refusing, naming) = (server(true).await, server(false).await);
        let egress = Egress::default();
        let addresses = BTreeSet::from(["10.0.0.1".parse().expect("v4"), "fd00::1".parse().expect("v6")]);
        let named: BTreeMap<_, _> = addresses.iter().map(|address| (*address, "edge.test".to_owned())).collect();
        for (servers, expected) in
            [(vec![refusing, naming], named), (vec![refusing], BTreeMap::new()), (Vec::new(), BTreeMap::new())]
        {
            let asker = Asker { servers: &servers, egress: &egress, within: Duration::from_secs(20), nonce: 7 };
            assert_eq!(asker.names(&addresses).await, expected);
        }
    }

    #[tokio::test]
    async fn whoever_has_no_time_gets_no_names() {
        let egress = Egress::default();
        let (naming, addresses) = (server(false).await, BTreeSet::from([[10, 0, 0, 1].into()]));
        let asker = Asker { servers: &[naming], egress: &egress, within: Duration::ZERO, nonce: 7 };
        assert_eq!(asker.names(&addresses).await, BTreeMap::new());
    }
}
