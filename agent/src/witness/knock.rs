//! The knocking side: a sealed challenge to each port, and, at one that is answered, the question what came at those that are
//! not. What it learns is judged in `proof.rs`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    attempt::Attempt,
    carry::Delivery,
    clock,
    deadline::Deadline,
    dns::Transport,
    egress::{Egress, Shape},
};
use futures_util::{StreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    challenge::{ANSWER, Answer, Challenge},
    key::Key,
    port::Port,
    proof::{Knocked, Proof, Witnessed},
};

/// Ports that are knocked at side by side: half of the connections that a witness takes of one address.
const AT_ONCE: usize = 8;
/// A handshake gets 4 s, as any other, and the answer the rest.
const TCP_PATIENCE: Duration = Duration::from_secs(6);
/// A datagram is sent again by nobody else: for each of two so long.
const UDP_PATIENCE: Duration = Duration::from_secs(2);
/// Ports at which the witness is asked what came at the others, one after the other until it answers.
const ASKED_AT: usize = 2;

/// Somebody who knocks.
#[derive(Clone, Copy, Debug)]
pub struct Knocker<'a> {
    /// The secret that the witness knows too.
    pub key: &'a Key,
    /// Where the witness is.
    pub address: IpAddr,
    /// From where to knock.
    pub egress: &'a Egress,
}

impl Knocker<'_> {
    /// Knocks at these ports, and asks about those that are not answered.
    pub async fn knock(&self, ports: &[Port], mut rng: StdRng) -> Vec<Knocked> {
        let run = rng.next_u64();
        let forks: Vec<_> = ports.iter().map(|port| (*port, StdRng::from_rng(&mut rng))).collect();
        let each = forks.into_iter().map(|(port, rng)| self.knock_at(port, run, Vec::new(), rng));
        let mut knocked: Vec<Knocked> = stream::iter(each).buffered(AT_ONCE).collect().await;
        let open: Vec<Port> = knocked.iter().filter(|one| one.answer.is_some()).map(|one| one.port).collect();
        let silent: Vec<Port> = knocked.iter().filter(|one| one.answer.is_none()).map(|one| one.port).collect();
        if silent.is_empty() {
            return knocked;
        }
        for port in open.into_iter().take(ASKED_AT) {
            let asked = self.knock_at(port, run, silent.clone(), StdRng::from_rng(&mut rng)).await;
            if let Some(answer) = asked.answer {
                note(&mut knocked, &silent, &answer);
                break;
            }
        }
        knocked
    }

    async fn knock_at(&self, port: Port, run: u64, asked: Vec<Port>, mut rng: StdRng) -> Knocked {
        let patience = if port.transport == Transport::Tcp { TCP_PATIENCE } else { UDP_PATIENCE };
        let knocked = self.try_at(port, run, &asked, (rng.next_u64(), patience)).await;
        if knocked.answer.is_some() || !is_worth_another(&knocked) {
            return knocked;
        }
        self.try_at(port, run, &asked, (rng.next_u64(), patience)).await
    }

    async fn try_at(&self, port: Port, run: u64, asked: &[Port], (serial, patience): (u64, Duration)) -> Knocked {
        let time = Duration::from_millis(u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX));
        let challenge = Challenge { time, run, serial, knocked: port, asked: asked.to_vec() };
        let message = challenge.write(self.key);
        let attempt = Attempt {
            address: SocketAddr::new(self.address, port.number),
            deadline: Deadline::within(patience),
            egress: self.egress,
            nonce: serial,
            shape: Shape::default(),
        };
        let delivery = Delivery { transport: port.transport, message: &message, answer: ANSWER };
        let exchange = delivery.run(&attempt).await;
        let answer = Answer::read(&exchange.reply, &challenge, self.key);
        let ahead = answer.as_ref().map(|answer| answer.time.as_secs_f64() - clock::wall().as_secs_f64());
        Knocked { port, exchange, answer, ahead, witnessed: None }
    }
}

/// A datagram may be lost. A connection that was accepted may have started the witness, which systemd does at the first one: it
/// answers only what is asked after its start.
fn is_worth_another(knocked: &Knocked) -> bool {
    knocked.port.transport == Transport::Udp || Proof::of(knocked) == Proof::Unproved
}

/// Writes down what the witness said about the ports that it was asked about, in their order.
fn note(knocked: &mut [Knocked], asked: &[Port], answer: &Answer) {
    for (port, (listens, came)) in asked.iter().zip(answer.listens.iter().zip(&answer.came)) {
        let about = knocked.iter_mut().filter(|one| one.port == *port);
        about.for_each(|one| one.witnessed = Some(Witnessed { listens: *listens, came: *came }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::listener::{Open, serve};
    use ase_probes::verdict::Verdict;
    use std::net::Ipv4Addr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UdpSocket,
    };

    fn key(letter: u8) -> Key {
        Key::of(&[letter; 32]).expect("a key")
    }

    /// Sockets on free ports of loopback: TCP, UDP.
    fn sockets() -> (Vec<Open>, Vec<Port>) {
        let tcp = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let open = vec![Open::adopt_tcp(tcp).expect("bound"), Open::adopt_udp(udp).expect("bound")];
        let ports = open.iter().map(Open::port).collect();
        (open, ports)
    }

    /// A witness that has begun: it answers only what is asked after that.
    async fn begun(sockets: Vec<Open>) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let witness = tokio::spawn(serve(sockets, key(1)));
        tokio::task::yield_now().await;
        witness
    }

    async fn knock(key: &Key, ports: &[Port]) -> Vec<Knocked> {
        let egress = Egress::default();
        let knocker = Knocker { key, address: Ipv4Addr::LOCALHOST.into(), egress: &egress };
        knocker.knock(ports, StdRng::from_seed([7; 32])).await
    }

    #[tokio::test]
    async fn a_witness_answers_who_has_the_key_at_every_port_and_says_who_asked() {
        let (sockets, ports) = sockets();
        let witness = begun(sockets).await;
        let knocked = knock(&key(1), &ports).await;
        for one in &knocked {
            let answer = one.answer.as_ref().expect("the witness answers");
            assert!(answer.asker.ip().is_loopback() && answer.reached == one.port);
            assert_eq!((Proof::of(one), one.exchange.verdict), (Proof::Answered, Verdict::Healthy));
        }
        witness.abort();
    }

    #[tokio::test]
    async fn a_port_that_is_not_the_witness_s_is_told_by_the_witness() {
        let (sockets, mut ports) = sockets();
        let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        ports.push(Port { transport: Transport::Tcp, number: closed.expect("a port").port() });
        let witness = begun(sockets).await;
        let knocked = knock(&key(1), &ports).await;
        assert_eq!(knocked[2].witnessed, Some(Witnessed { listens: false, came: false }));
        assert_eq!(Proof::of(&knocked[2]), Proof::Refused);
        witness.abort();
    }

    #[tokio::test]
    async fn another_key_gets_nothing_and_so_does_what_was_answered_before() {
        let (sockets, ports) = sockets();
        let witness = begun(sockets).await;
        let knocked = knock(&key(2), &ports[..1]).await;
        assert_eq!((knocked[0].answer.as_ref(), knocked[0].exchange.reply.len()), (None, 0));
        assert_eq!(Proof::of(&knocked[0]), Proof::Unproved);
        let time = Duration::from_millis(u64::try_from(clock::wall().as_millis()).expect("not so late"));
        let challenge = Challenge { time, run: 1, serial: 1, knocked: ports[1], asked: Vec::new() }.write(&key(1));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        socket.connect((Ipv4Addr::LOCALHOST, ports[1].number)).await.expect("loopback");
        let mut heard = [0; 512];
        socket.send(&challenge).await.expect("loopback");
        assert_eq!(socket.recv(&mut heard).await.expect("an answer"), ANSWER);
        // Again, at the other port too; then garbage, and a new challenge, which is the next that is answered.
        socket.send(&challenge).await.expect("loopback");
        assert_eq!(said_over_tcp(ports[0], &challenge).await, b"");
        assert_eq!(said_over_tcp(ports[0], b"GET / HTTP/1.1\r\n\r\n").await, b"");
        socket.send(b"garbage").await.expect("loopback");
        let next = Challenge { time, run: 1, serial: 2, knocked: ports[1], asked: Vec::new() };
        socket.send(&next.write(&key(1))).await.expect("loopback");
        let length = socket.recv(&mut heard).await.expect("an answer");
        assert_eq!(Answer::read(&heard[..length], &next, &key(1)).map(|answer| answer.serial), Some(2));
        witness.abort();
    }

    #[expect(clippy::disallowed_methods, reason = "the client of a test needs a plain connection, not a probe")]
    async fn said_over_tcp(port: Port, message: &[u8]) -> Vec<u8> {
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port.number)).await.expect("loopback");
        drop(stream.write_all(message).await);
        let mut said = Vec::new();
        drop(stream.read_to_end(&mut said).await);
        said
    }
}
