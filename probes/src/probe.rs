//! The closed set of probes.

use crate::{attempt::Attempt, dns, http, ntp, outcome::Outcome, tcp, tds, tls::Trust};

/// One question to one dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A DNS question.
    Dns(dns::Question),
    /// The time.
    Ntp(ntp::Question),
    /// An HTTP or HTTPS request.
    Http(http::Question),
    /// A TDS PRELOGIN and TLS handshake.
    Tds(tds::Question),
    /// A TCP connection.
    Tcp(tcp::Question),
}

impl Probe {
    /// Makes one attempt. It never outlives the attempt's deadline. `trust` matters only to the probes that speak TLS.
    pub async fn run(&self, attempt: &Attempt<'_>, trust: &Trust) -> Outcome {
        match self {
            Self::Dns(question) => question.clone().ask(attempt).await.into(),
            Self::Ntp(question) => question.run(attempt).await.into(),
            Self::Http(question) => question.run(attempt, trust).await.into(),
            Self::Tds(question) => question.run(attempt, trust).await.into(),
            Self::Tcp(question) => question.run(attempt).await.into(),
        }
    }
}
