//! The SQL probe: TDS PRELOGIN and the TLS handshake behind it (MS-TDS 2.2.6.5), without credentials.

mod envelope;
mod wire;

use std::{fmt, net::IpAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) use self::envelope::Envelope;
use self::wire::Message;
use crate::{
    attempt::Attempt,
    cause::Cause,
    evidence::{Ending, Stop, Trouble},
    progress::Progress,
    seen::{Exchange, Seen, Trace},
    stream,
    tap::Tap,
    tls::{self, Application, Client, Handshake, Trust, Verify},
    transport,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// Bytes kept to recognise a peer that does not speak TDS: a whole status line, or a packet header and what follows.
const PREFIX_LIMIT: usize = 64;

/// What a server that does not encrypt lacks.
const UNENCRYPTED: &str =
    "the server has no certificate, or its encryption is off: its administrators (DBA) can turn it on";
/// Azure SQL takes TDS 7.x and 8.0 alike, in every cloud: what cuts a PRELOGIN in clear there stands in between.
const NEVER_STRICT: [&str; 3] = [".database.windows.net", ".database.usgovcloudapi.net", ".database.chinacloudapi.cn"];
/// What a server that forces strict encryption does.
const STRICT: &str = "the server closes at a PRELOGIN in clear and answers over TDS 8.0: it forces strict encryption";

/// The order of PRELOGIN and TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// TDS 7.x: PRELOGIN in clear, then TLS inside TDS packets.
    #[default]
    Tds7,
    /// TDS 8.0 strict: TLS first with ALPN `tds/8.0`, then PRELOGIN inside it.
    Tds8,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The server's name, for SNI and the certificate.
    pub host: String,
    /// The order of PRELOGIN and TLS.
    pub flavour: Flavour,
}

/// The server's answer to the ENCRYPTION option (MS-TDS 2.2.6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// 0x00: login packet only.
    Off,
    /// 0x01: the whole session.
    On,
    /// 0x02: not supported.
    NotSupported,
    /// 0x03: required.
    Required,
    /// Any other value.
    Other(u8),
}

/// Everything a TDS exchange showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The server's PRELOGIN; `None` if none came.
    pub prelogin: Option<Prelogin>,
    /// The TLS handshake, as far as it got.
    pub tls: Option<Handshake>,
    /// The first bytes the peer sent, at most 64, kept to recognise peers that do not speak TDS.
    pub prefix: Vec<u8>,
    /// Whether the server closed at a PRELOGIN in clear, so that it was asked over TDS 8.0.
    pub forces_strict: bool,
}

/// The version of a server (MS-TDS 2.2.6.5, UL_VERSION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Build number.
    pub build: u16,
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// The server's PRELOGIN options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelogin {
    /// The server's version.
    pub version: ServerVersion,
    /// The encryption mode it chose.
    pub encryption: Encryption,
}

impl Question {
    /// Makes one attempt; the certificate is verified against `trust`. No login is ever sent. A server that closes at a
    /// PRELOGIN in clear is asked once more over TDS 8.0, as SQL Server 2022 wants it under "Force Strict Encryption".
    pub async fn run(&self, attempt: &Attempt<'_>, trust: &Trust) -> Exchange<Reply> {
        let exchange = self.once(attempt, trust).await;
        if !self.is_closed_to(&exchange) {
            return exchange;
        }
        let strict = Self { flavour: Flavour::Tds8, ..self.clone() };
        let mut again = strict.once(attempt, trust).await;
        let is_strict = again.reply.tls.as_ref().is_some_and(|tls| tls.alpn.is_some());
        if !is_strict && again.verdict != Verdict::Healthy {
            return exchange;
        }
        again.reply.forces_strict = true;
        again
    }

    /// Whether the server closed right at a PRELOGIN in clear, without a word.
    fn is_closed_to(&self, exchange: &Exchange<Reply>) -> bool {
        let closed = |stop: &Stop| stop.phase == Phase::Tds && stop.trouble.ending() == Ending::Cut;
        let host = self.host.to_ascii_lowercase();
        self.flavour == Flavour::Tds7
            && !NEVER_STRICT.iter().any(|suffix| host.ends_with(suffix))
            && exchange.seen.stop.as_ref().is_some_and(closed)
            && exchange.reply.prefix.is_empty()
    }

    async fn once(&self, attempt: &Attempt<'_>, trust: &Trust) -> Exchange<Reply> {
        let (mut trace, mut reply) = (Trace::default(), Reply::default());
        trace.seen.stop = self.ask(attempt, trust, &mut trace, &mut reply).await.err();
        let certificate = reply.tls.as_ref().and_then(|tls| tls::judge(tls, trust));
        let verdict = self.judge(attempt.address.ip(), &trace.seen, &reply, certificate);
        trace.conclude(attempt.address, verdict, reply)
    }

    async fn ask(
        &self,
        attempt: &Attempt<'_>,
        trust: &Trust,
        trace: &mut Trace,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let name = tls::server_name(&self.host).map_err(Stop::unasked)?;
        let tap = Tap::new(stream::connect(attempt, trace).await?, trace.page.take());
        let mut progress = Progress::begin(self.first_phase(), &mut trace.phases);
        let client = |application| Client { trust, name: &name, application, verify: Verify::Full };
        let talk = self.converse(client, &tap, &mut progress, reply);
        let result = attempt.deadline.bound(talk).await;
        let result = progress.end(result);
        reply.keep_prefix(&tap);
        stream::finish(&tap, result.is_err(), &mut trace.seen);
        result
    }

    fn first_phase(&self) -> Phase {
        match self.flavour {
            Flavour::Tds7 => Phase::Tds,
            Flavour::Tds8 => Phase::Tls,
        }
    }

    async fn converse<'a>(
        &self,
        client: impl Fn(Application) -> Client<'a>,
        tap: &Tap,
        progress: &mut Progress<'_>,
        reply: &mut Reply,
    ) -> Result<(), Trouble> {
        match self.flavour {
            Flavour::Tds7 => {
                let prelogin = *reply.prelogin.insert(greet(tap.clone(), tap).await?);
                if prelogin.encrypts() {
                    progress.enter(Phase::Tls);
                    let record = reply.tls.insert(Handshake::default());
                    client(Application::Tds7).handshake(Envelope::new(tap.clone()), tap, record).await?;
                }
            }
            Flavour::Tds8 => {
                let record = reply.tls.insert(Handshake::default());
                let stream = client(Application::Tds8).handshake(tap.clone(), tap, record).await?;
                progress.enter(Phase::Tds);
                reply.prelogin = Some(greet(stream, tap).await?);
            }
        }
        Ok(())
    }

    /// Says what the exchange means; only the certificate proves the server.
    fn judge(&self, peer: IpAddr, seen: &Seen, reply: &Reply, certificate: Option<Finding>) -> Verdict {
        if let (Some(stop), Some(confidence)) = (&seen.stop, reply.speaks_http()) {
            return Finding::new(Cause::HttpBlocked, stop.phase, confidence).failed();
        }
        if let Some(finding) = certificate {
            return finding.failed();
        }
        if let Some(stop) = &seen.stop {
            return self.judge_end(stop, seen, reply).unwrap_or_else(|| transport::judge(stop, seen, peer).failed());
        }
        let failed = |cause| Finding::new(cause, Phase::Tds, Confidence::Confirmed).failed();
        match (self.flavour, reply.prelogin.map(|prelogin| prelogin.encryption)) {
            (Flavour::Tds8, Some(_)) | (Flavour::Tds7, Some(Encryption::On | Encryption::Required)) => Verdict::Healthy,
            (Flavour::Tds7, Some(Encryption::Off | Encryption::NotSupported)) => failed(Cause::TlsRejected),
            (Flavour::Tds7, Some(Encryption::Other(_))) | (_, None) => failed(Cause::ProtocolViolation),
        }
    }

    /// What an end of the exchange means where the protocol tells more than the connection.
    fn judge_end(&self, stop: &Stop, seen: &Seen, reply: &Reply) -> Option<Verdict> {
        let tls = reply.tls.as_ref()?;
        if let Some(confidence) = tls.left_for_want_of_certificate(stop) {
            let is_proved = self.flavour == Flavour::Tds7 && confidence == Confidence::Confirmed;
            let wanting = Verdict::Degraded(Finding::new(Cause::TlsRejected, Phase::Tls, confidence));
            return Some(if is_proved { Verdict::Healthy } else { wanting });
        }
        // Inside TDS 7 the peer alone sees the hello as such; Windows ends without an alert where no suite is common.
        let closed = self.flavour == Flavour::Tds7
            && stop.phase == Phase::Tls
            && stop.trouble == Trouble::Closed
            && tls.chain.is_empty()
            && seen.echo.is_none();
        closed.then(|| Finding::new(Cause::TlsRejected, Phase::Tls, Confidence::Likely).failed())
    }
}

/// Sends PRELOGIN and reads the server's.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, tap: &Tap) -> Result<Prelogin, Trouble> {
    tap.allow(2 * wire::MESSAGE_LIMIT, "64 KiB around a TDS message");
    tap.watch_pace(true);
    let broken = |_| tap.trouble().unwrap_or(Trouble::Closed);
    stream.write_all(&wire::PRELOGIN).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let (mut message, mut bytes) = (Message::default(), [0; 1024]);
    loop {
        let count = stream.read(&mut bytes).await.map_err(broken)?;
        if count == 0 {
            return Err(Trouble::Closed);
        }
        if let Some(payload) = message.take(&bytes[..count])? {
            tap.watch_pace(false);
            return wire::decode(&payload).map_err(Trouble::Malformed);
        }
    }
}

/// What must hold for any bytes, however they are cut: the same message, within the limits.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let [cut, bytes @ ..] = bytes else { return };
    let whole = Message::default().take(bytes);
    let (mut message, mut read) = (Message::default(), Ok(None));
    for part in bytes.chunks(usize::from(*cut).max(1)) {
        read = message.take(part);
        if !matches!(read, Ok(None)) {
            break;
        }
    }
    if let (Ok(Some(one)), Ok(Some(other))) = (&whole, &read) {
        assert_eq!(one, other, "however the bytes are cut");
    }
    for payload in [whole, read].into_iter().flatten().flatten() {
        assert!(payload.len() <= wire::MESSAGE_LIMIT, "within the limit");
        _ = wire::decode(&payload);
    }
    _ = wire::decode(bytes);
}

impl Prelogin {
    fn encrypts(self) -> bool {
        matches!(self.encryption, Encryption::On | Encryption::Required)
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On => f.write_str("on"),
            Self::NotSupported => f.write_str("not supported"),
            Self::Required => f.write_str("required"),
            Self::Other(value) => write!(f, "{value:#04x}, a value that MS-TDS does not know"),
        }
    }
}

impl Reply {
    /// Whether HTTP came where TDS was asked for, and how sure that is a block page.
    fn speaks_http(&self) -> Option<Confidence> {
        let statuses = [&b" 470 "[..], b" 407 ", b" 511 "];
        let status = self.prefix.get(8..).filter(|_| self.prefix.starts_with(b"HTTP/1.")).unwrap_or_default();
        if statuses.iter().any(|denied| status.starts_with(denied)) {
            Some(Confidence::Confirmed)
        } else if self.prefix.starts_with(b"HTTP/") || self.prefix.starts_with(b"<") {
            Some(Confidence::Likely)
        } else {
            None
        }
    }

    /// Keeps the peer's first bytes when they became neither PRELOGIN nor TLS.
    fn keep_prefix(&mut self, tap: &Tap) {
        if self.prelogin.is_none() && self.tls.as_ref().is_none_or(|tls| tls.version.is_none()) {
            let mut head = tap.head();
            head.truncate(PREFIX_LIMIT);
            self.prefix = head;
        }
    }

    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        if let Some(Prelogin { version, encryption }) = self.prelogin {
            lines.push(format!("the server answered PRELOGIN: version {version}, encryption {encryption}"));
            if self.tls.is_none() {
                lines.push(UNENCRYPTED.to_owned());
            }
        }
        if self.forces_strict {
            lines.push(format!("{STRICT}: `tds: \"8.0\"` asks so at once"));
        }
        if !self.prefix.is_empty() {
            lines.push(format!("the peer's first bytes: {}", self.prefix.escape_ascii()));
        }
        if let Some(tls) = &self.tls {
            tls.describe(lines);
        }
    }
}

#[cfg(test)]
mod tests;
