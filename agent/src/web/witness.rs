//! Asks a daemon on this machine what it has seen, for somebody who looks once.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::readers::witness::{ToldIncident, Witness};

/// The longest status document that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// Incidents that are taken at most.
const MOST: usize = 100;
/// The time that the daemon gets in all.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Status {
    incidents: Vec<ToldIncident>,
}

/// Asks the daemon that would listen at this address; `None` where the address is another machine's, or nobody answers
/// in time as a daemon does.
pub async fn ask(listen: SocketAddr) -> Option<Witness> {
    let address = here(listen);
    // Only an address of this machine can be bound.
    UdpSocket::bind((address.ip(), 0)).ok()?;
    let status = tokio::time::timeout(PATIENCE, read(address)).await.ok()??;
    let told = serde_json::from_slice::<Status>(&status).ok()?.incidents;
    Some(Witness { listen: address, incidents: told.into_iter().take(MOST).map(ToldIncident::plain).collect() })
}

/// Where to find on this machine what listens there: on every address means on loopback too.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[expect(clippy::disallowed_methods, reason = "this is no probe: it never leaves the machine")]
async fn read(address: SocketAddr) -> Option<Bytes> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/api/v1/status").header(HOST, address.to_string()).body(Empty::<Bytes>::new()).ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok().filter(|response| response.status().is_success())?;
        Limited::new(response.into_body(), LONGEST).collect().await.ok().map(http_body_util::Collected::to_bytes)
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        read = &mut answer => read,
        ended = &mut connection => if ended.is_ok() { answer.await } else { None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn words_of_a_stranger_are_short_and_steer_nothing() {
        let long = "x".repeat(20_000);
        let told = format!(
            r#"{{"cause": "\u202edropped\u001b[2J", "component": "{long}", "side": "a\nb", "scope": "", "confidence": "",
            "hint": "\u2066", "endpoints": ["{long}"], "evidence": [], "since": ""}}"#
        );
        let told = format!(r#"{{"incidents": [{}]}}"#, vec![told; 150].join(","));
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", told.len());
        let witness = answered((head + &told).leak()).await.expect("it speaks like a daemon");
        assert_eq!(witness.incidents.len(), MOST);
        let incident = &witness.incidents[0];
        assert_eq!((&*incident.cause, &*incident.side), ("�dropped�[2J", "a�b"));
        assert_eq!(incident.hint.as_deref(), Some("�"));
        assert!(incident.component.chars().count() <= 301 && incident.endpoints[0].chars().count() <= 301);
    }

    async fn answered(body: &'static str) -> Option<Witness> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listen = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listener.local_addr().expect("an address").port());
        let daemon = async {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            let mut asked = [0; 1024];
            let count = stream.read(&mut asked).await.expect("a question");
            assert!(asked[..count].starts_with(b"GET /api/v1/status HTTP/1.1\r\n"));
            stream.write_all(body.as_bytes()).await.expect("somebody listens");
        };
        let (witness, ()) = tokio::join!(ask(listen), daemon);
        witness
    }

    #[tokio::test]
    async fn a_daemon_is_heard_and_anything_else_is_not() {
        let told = r#"{"incidents": [{"cause": "flow_table_full", "component": "login:443", "side": "path", "scope": "host",
            "confidence": "likely", "hint": null, "endpoints": ["login:443"], "evidence": [], "since": "2026-01-01T00:00:00Z",
            "and": "what later versions add"}]}"#;
        let good: &'static str =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{told}", told.len()).leak();
        let witness = answered(good).await.expect("a daemon");
        assert!(witness.listen.ip().is_loopback());
        assert_eq!(witness.incidents[0].component, "login:443");
        assert!(witness.incidents[0].summary().contains("new flows"));
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "SSH-2.0-something\r\n",
            "",
        ] {
            assert_eq!(answered(other).await, None, "{other}");
        }
        assert_eq!(ask("192.0.2.1:9110".parse().expect("an address")).await, None, "another machine's");
        assert_eq!(ask("127.0.0.1:1".parse().expect("an address")).await, None);
    }
}
