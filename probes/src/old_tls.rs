//! A follow-up measurement: whether a peer that refuses our hello answers one with more versions, cipher suites and curves of
//! TLS, above all older ones. Nothing is agreed on and nothing follows: its choice alone is read.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    attempt::Attempt,
    http::Scheme,
    probe::Probe,
    seen::Trace,
    stream,
    tap::Tap,
    tds::{self, Flavour},
};

/// Cipher suites that older peers know and this agent does not offer, and its own beside them (RFC 5246 appendix A.5,
/// RFC 5288, RFC 5289, RFC 8422, RFC 2246 appendix A.5), stronger ones first.
const SUITES: [u16; 38] = [
    0xc02c, 0xc02b, 0xc030, 0xc02f, 0xcca9, 0xcca8, 0x009f, 0x009e, 0xccaa, 0xc024, 0xc023, 0xc028, 0xc027, 0x006b,
    0x0067, 0xc00a, 0xc009, 0xc014, 0xc013, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x0041,
    0x0084, 0xc012, 0xc008, 0x0016, 0x000a, 0x0096, 0xc011, 0xc007, 0x0005, 0x0004,
];
/// Groups (RFC 8422 section 5.1.1, RFC 7027, RFC 7919): X25519, the NIST curves, X448, secp256k1, Brainpool's, FFDHE.
const GROUPS: [u16; 13] =
    [0x001d, 0x0017, 0x0018, 0x0019, 0x001e, 0x0016, 0x001a, 0x001b, 0x001c, 0x0015, 0x0100, 0x0101, 0x0102];
/// Signature schemes (RFC 8446 section 4.2.3, RFC 5246 section 7.4.1.4.1), SHA-1 and SHA-224 and DSA among them.
const SCHEMES: [u16; 20] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601,
    0x0303, 0x0301, 0x0203, 0x0201, 0x0402, 0x0202,
];
/// Bytes of the answer that are read at most: a ServerHello has about 100.
const ANSWER_LIMIT: usize = 4096;

/// What the peer chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The version on the wire (RFC 5246 section 7.4.1.3).
    pub version: u16,
    /// The cipher suite.
    pub suite: u16,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            _ => "another version of TLS",
        };
        write!(f, "to a hello that offers more of TLS the peer answers: {version}, cipher suite {:#06x}", self.suite)
    }
}

/// Asks the peer of a probe; `None` where it does not answer by a ServerHello, or the probe has no TLS.
pub async fn ask(attempt: &Attempt<'_>, probe: &Probe) -> Option<Chosen> {
    let (host, is_inside_tds) = match probe {
        Probe::Http(question) if question.scheme != Scheme::Http => (&question.host, false),
        Probe::Tds(question) => (&question.host, question.flavour == Flavour::Tds7),
        Probe::Http(_) | Probe::Dns(_) | Probe::Ntp(_) | Probe::Tcp(_) => return None,
    };
    let hello = hello(host, attempt.nonce);
    let mut trace = Trace::default();
    let tap = Tap::new(stream::connect(attempt, &mut trace).await.ok()?, trace.page.take());
    let work = async {
        if is_inside_tds {
            tds::greet(tap.clone(), &tap).await.ok()?;
            tap.allow(ANSWER_LIMIT, "4 KiB of an answer");
            return exchange(tds::Envelope::new(tap.clone()), &hello).await;
        }
        tap.allow(ANSWER_LIMIT, "4 KiB of an answer");
        exchange(tap.clone(), &hello).await
    };
    attempt.deadline.limit(work).await.ok().flatten()
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, hello: &[u8]) -> Option<Chosen> {
    stream.write_all(hello).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = Vec::new();
    let mut bytes = [0; 512];
    while answer.len() < ANSWER_LIMIT {
        let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&bytes[..count]);
        if let Some(chosen) = read(&answer) {
            return Some(chosen);
        }
    }
    None
}

/// A ClientHello of TLS 1.2 in one record (RFC 5246 sections 6.2.1 and 7.4.1.2).
fn hello(host: &str, nonce: u64) -> Vec<u8> {
    let shorts = |values: &[u16]| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>();
    let mut extensions = Vec::new();
    let mut extend = |kind: u16, body: Vec<u8>| extensions.extend([kind.to_be_bytes().to_vec(), long(&body)].concat());
    if host.parse::<std::net::IpAddr>().is_err() {
        extend(0x0000, long(&[&[0], &*long(host.as_bytes())].concat()));
    }
    extend(0x000a, long(&shorts(&GROUPS)));
    extend(0x000b, vec![1, 0]);
    extend(0x000d, long(&shorts(&SCHEMES)));
    extend(0xff01, vec![0]);
    let random = nonce.to_be_bytes().repeat(4);
    let body = [&[3, 3], &*random, &[0], &long(&shorts(&SUITES)), &[1, 0], &long(&extensions)].concat();
    let message = [&[1, 0], &*long(&body)].concat();
    [&[0x16, 3, 1], &*long(&message)].concat()
}

/// Bytes behind their length in two bytes.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// Reads the choice from a ServerHello (RFC 5246 section 7.4.1.3).
fn read(answer: &[u8]) -> Option<Chosen> {
    let [0x16, 3, _, _, _, 2, _, _, _, hello @ ..] = answer else { return None };
    let session = usize::from(*hello.get(34)?);
    let short = |at: usize| Some(u16::from_be_bytes([*hello.get(at)?, *hello.get(at + 1)?]));
    Some(Chosen { version: short(0)?, suite: short(35 + session)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::server::Acceptor;

    #[test]
    fn the_hello_is_read_by_a_server() {
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &*hello("db.example", 7)).expect("vectors give everything");
        let accepted = acceptor.accept().expect("it is well formed").expect("it is whole");
        let hello = accepted.client_hello();
        assert_eq!(hello.server_name(), Some("db.example"));
        assert_eq!(hello.cipher_suites().len(), SUITES.len());
    }

    #[test]
    fn the_choice_is_read_and_said() {
        let answer = [&[0x16, 3, 1, 0, 0x4a, 2, 0, 0, 0x46, 3, 1][..], &[9; 32], &[2, 8, 8], &[0, 0x2f, 0]].concat();
        let chosen = read(&answer).expect("a ServerHello");
        assert_eq!(chosen, Chosen { version: 0x0301, suite: 0x002f });
        assert!(chosen.to_string().ends_with("TLS 1.0, cipher suite 0x002f"));
        assert_eq!(read(&[0x15, 3, 1, 0, 2, 2, 40]), None, "an alert is no choice");
    }

    proptest! {
        #[test]
        fn any_answer_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            _ = read(&[&[0x16, 3, 3, 0, 0, 2, 0, 0, 0][..], &bytes].concat());
        }
    }
}
