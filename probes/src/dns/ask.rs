//! A question as a resolver asks it: over UDP first, and once more over TCP where the answer was cut.

use super::{Exchange, Question, Reply, Transport};
use crate::{
    attempt::Attempt,
    cause::Cause,
    verdict::{Confidence, Finding, Verdict},
};

impl Question {
    /// Asks over UDP, and over TCP where that answer was truncated (RFC 7766 section 5); both within the attempt's
    /// deadline. A server that truncates and then says nothing over TCP is [`Cause::DnsNoTcp`].
    pub async fn ask(self, attempt: &Attempt<'_>) -> Exchange<Reply> {
        let by_datagram = Self { transport: Transport::Udp, ..self };
        let cut = by_datagram.run(attempt).await;
        if !cut.reply.answer.as_ref().is_some_and(|answer| answer.truncated) {
            return cut;
        }
        let mut whole = Self { transport: Transport::Tcp, ..by_datagram }.run(attempt).await;
        if let (Verdict::Failed(finding), None) = (whole.verdict, &whole.reply.answer) {
            whole.verdict = Finding::new(Cause::DnsNoTcp, finding.phase, Confidence::Confirmed).failed();
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deadline::Deadline,
        dns::RecordType,
        egress::{Egress, Shape},
        fixture::IMPATIENCE,
    };
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, UdpSocket},
    };

    /// An empty answer to the question, cut or whole.
    fn answer(question: &[u8], cut: bool) -> Vec<u8> {
        let mut bytes = question[..question.len() - 11].to_vec();
        bytes[2..4].copy_from_slice(&[0x81 | if cut { 2 } else { 0 }, 0x80]);
        bytes[6..12].fill(0);
        bytes
    }

    /// A server that cuts every answer over UDP, and over TCP gives the whole one or nothing.
    async fn server(whole: bool) -> SocketAddr {
        // At an address of its own, where no other test uses up the port for the other transport.
        let listener = TcpListener::bind("127.0.0.53:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("bound above");
        let socket = UdpSocket::bind(address).await.expect("nobody else is at this address");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (len, from) = socket.recv_from(&mut buffer).await.expect("a question comes");
            socket.send_to(&answer(&buffer[..len], true), from).await.expect("loopback takes it");
            let (mut peer, _) = listener.accept().await.expect("it comes again");
            let len = peer.read(&mut buffer).await.expect("the question");
            if whole {
                let message = answer(&buffer[2..len], false);
                let length = u16::try_from(message.len()).expect("short").to_be_bytes();
                peer.write_all(&[&length[..], &message].concat()).await.expect("the client reads");
            }
        });
        address
    }

    async fn ask(address: SocketAddr) -> Exchange<Reply> {
        let (egress, deadline) = (Egress::default(), Deadline::within(IMPATIENCE));
        let question = Question::address("login.example".to_owned(), RecordType::A, Transport::Udp);
        question.ask(&Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() }).await
    }

    #[tokio::test]
    async fn what_was_cut_over_udp_is_asked_again_over_tcp() {
        let whole = ask(server(true).await).await;
        assert!(whole.reply.answer.is_some_and(|answer| !answer.truncated), "{:?}", whole.seen);
        let none = ask(server(false).await).await;
        assert_eq!(none.verdict.finding().map(|finding| finding.cause), Some(Cause::DnsNoTcp), "{:?}", none.seen);
    }
}
