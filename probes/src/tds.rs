//! The SQL probe: TDS PRELOGIN and the TLS handshake behind it (MS-TDS 2.2.6.5), without credentials.

use crate::tls::Handshake;

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
}

/// The server's PRELOGIN options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelogin {
    /// Server version: major, minor, build.
    pub version: (u8, u8, u16),
    /// The encryption mode it chose.
    pub encryption: Encryption,
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, _lines: &mut Vec<String>) {}
}

impl Question {
    /// Makes one attempt.
    pub async fn run(&self, _attempt: &crate::attempt::Attempt<'_>) -> crate::outcome::Outcome {
        unimplemented!("written next")
    }
}
