//! What a daemon on this machine says while somebody looks once: it has watched for a while, and knows what comes and goes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use ase_probes::cause::Cause;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::engine::snapshot::Snapshot;

/// The longest status document that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// The time that the daemon gets in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its open incidents.
    pub incidents: Vec<Told>,
}

/// An incident as the daemon tells it (`docs/status.schema.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The cause's label.
    pub cause: String,
    /// The broken component, in plain words.
    pub component: String,
    /// Which side it lies on.
    pub side: String,
    /// How much is lost.
    pub scope: String,
    /// How sure that is.
    pub confidence: String,
    /// What to look at first.
    pub hint: Option<String>,
    /// The ids of the endpoints.
    pub endpoints: Vec<String>,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// Since when, RFC 3339.
    pub since: String,
}

#[derive(Deserialize)]
struct Status {
    incidents: Vec<Told>,
}

impl Witness {
    /// Asks the daemon that would listen at this address; `None` where the address is another machine's, or nobody answers
    /// in time as a daemon does.
    pub async fn ask(listen: SocketAddr) -> Option<Self> {
        let address = here(listen);
        // Only an address of this machine can be bound.
        UdpSocket::bind((address.ip(), 0)).ok()?;
        let status = tokio::time::timeout(PATIENCE, read(address)).await.ok()??;
        Some(Self { listen: address, incidents: serde_json::from_slice::<Status>(&status).ok()?.incidents })
    }

    /// The incidents of causes that a snapshot of one look does not show.
    pub fn beyond<'a>(&'a self, snapshot: &Snapshot) -> impl Iterator<Item = &'a Told> {
        let shown: Vec<&str> = snapshot.incidents.open.iter().map(|incident| incident.finding.cause.label()).collect();
        self.incidents.iter().filter(move |told| !shown.contains(&told.cause.as_str()))
    }
}

impl Told {
    /// What happened, in plain words; empty for a cause that this version does not know.
    pub fn summary(&self) -> &'static str {
        Cause::from_label(&self.cause).map_or("", |cause| cause.definition().summary)
    }

    /// What to do next, in plain words.
    pub fn next_step(&self) -> Option<&'static str> {
        Cause::from_label(&self.cause).map(|cause| cause.definition().next_step)
    }
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
        let (witness, ()) = tokio::join!(Witness::ask(listen), daemon);
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
        assert_eq!(Witness::ask("192.0.2.1:9110".parse().expect("an address")).await, None, "another machine's");
        assert_eq!(Witness::ask("127.0.0.1:1".parse().expect("an address")).await, None);
    }
}
