//! Peers on loopback for the tests of this crate: an authority that issues any certificate, and servers that follow
//! a script.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    attempt::Attempt,
    deadline::Deadline,
    egress::{Egress, Shape},
    outcome::Outcome,
    probe::Probe,
    tls::Trust,
};

/// The deadline of exchanges that are expected to end by themselves.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The deadline of exchanges that are expected to run into it.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(400);

/// A certificate authority of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a server presents.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("ring makes keys");
        Self { issuer: CertifiedIssuer::self_signed(authority(name), key).expect("the parameters are complete") }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::only(self.der())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.as_ref().der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    /// A certificate for `name`, valid from the start of one year to the start of another.
    pub(crate) fn issue(&self, name: &str, from: i32, until: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a test name");
        params.distinguished_name = named(name);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        let chain = vec![certificate.der().clone()];
        Identity { chain, key: PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS 8") }
    }

    /// A certificate for this authority's key, under this name, that another one signed.
    pub(crate) fn signed_by(&self, name: &str, other: &Self) -> CertificateDer<'static> {
        authority(name).signed_by(self.issuer.key(), &other.issuer).expect("the parameters are complete").der().clone()
    }

    /// A revocation list that revokes one certificate.
    pub(crate) fn revocation_list(&self, made: i32, next: i32) -> Vec<u8> {
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(made, 1, 1),
            next_update: rcgen::date_time_ymd(next, 1, 1),
            crl_number: rcgen::SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: rcgen::SerialNumber::from(9),
                revocation_time: rcgen::date_time_ymd(made, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("the authority may sign lists").der().to_vec()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Identity {
    /// A server that presents this identity.
    pub(crate) fn server(self, alpn: &[&str]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for both versions")
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .expect("the key fits the certificate");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Accepts one connection and follows the script; what the script returns is lost when nobody joins it.
pub(crate) async fn serve<F, T>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> (SocketAddr, Served<T>)
where
    F: Future<Output = T> + Send,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("one client comes");
        script(stream).await
    });
    (address, task)
}

/// A running script.
pub(crate) type Served<T> = tokio::task::JoinHandle<T>;

/// Makes one attempt of plain probing, and holds it to its deadline.
pub(crate) async fn ask(probe: &Probe, address: SocketAddr, trust: &Trust, timeout: Duration) -> Outcome {
    ask_shaped(probe, address, trust, timeout, Shape::default()).await
}

/// Makes one attempt, and holds it to its deadline.
#[allow(clippy::disallowed_methods, reason = "the test's own stop watch")]
pub(crate) async fn ask_shaped(
    probe: &Probe,
    address: SocketAddr,
    trust: &Trust,
    timeout: Duration,
    shape: Shape,
) -> Outcome {
    let egress = Egress::default();
    let start = std::time::Instant::now();
    let attempt = Attempt { address, deadline: Deadline::within(timeout), egress: &egress, nonce: 7, shape };
    let outcome = probe.run(&attempt, trust).await;
    let elapsed = start.elapsed();
    assert!(elapsed < timeout + Duration::from_secs(2), "the deadline of {timeout:?} was missed: {elapsed:?}");
    outcome
}

/// Reads until the end of an HTTP head or of the stream.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte).await, Ok(1)) {
        head.push(byte[0]);
    }
    head
}

/// Reads and drops whatever the client sends until it leaves; returns how much that was.
pub(crate) async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let (mut bytes, mut total) = ([0; 4096], 0);
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        total += count;
    }
    total
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a connected socket");
}

/// A UDP server that sends these datagrams for each one it gets; the closure gets that one.
pub(crate) async fn udp(script: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = socket.local_addr().expect("bound above");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            for datagram in script(&buffer[..len]) {
                socket.send_to(&datagram, from).await.expect("loopback takes it");
            }
        }
    });
    address
}
