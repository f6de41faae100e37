//! What follow-up measurements are asked for, what each costs, and what it taught. Pure: `measure.rs` makes them.

use std::{net::SocketAddr, sync::Arc};

use ase_probes::{port_sample, source_ports};

use crate::model::{
    catalog::Endpoint,
    contrast::{Ask, Contrasts},
};

/// Which measurement: endpoints that ask the same share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// How it is asked.
    pub ask: Ask,
    /// Whom it asks.
    pub peer: SocketAddr,
    /// What it asks, where that matters: the endpoint's id.
    pub about: Option<Arc<str>>,
}

/// A measurement to make.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Which one.
    pub key: Key,
    /// The endpoint that it is about.
    pub endpoint: Arc<Endpoint>,
    /// Another host that works on the same port, for [`Ask::OtherName`] and [`Ask::FewHops`].
    pub beside: Option<Beside>,
    /// The page that the endpoint itself got, for [`Ask::BogusHost`].
    pub page: Option<(u16, Vec<u8>)>,
}

/// Another host that works on the same port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// Where it answered.
    pub address: SocketAddr,
}

/// What a measurement taught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The contrasts that it answers.
    pub answers: Contrasts,
    /// What it showed, in plain words.
    pub lines: Vec<String>,
}

impl From<Contrasts> for Measured {
    fn from(answers: Contrasts) -> Self {
        Self { answers, lines: Vec::new() }
    }
}

impl Errand {
    /// New flows that it opens at most.
    pub fn flows(&self) -> u32 {
        match self.key.ask {
            Ask::Control => 2,
            Ask::SourcePorts => source_ports::CONTRAST_FLOWS as u32,
            Ask::RedirectPorts => port_sample::SAMPLE_FLOWS as u32 + 1,
            Ask::FewHops | Ask::SmallSegments | Ask::SmallDatagram | Ask::OtherName => 2,
            Ask::TcpCanary
            | Ask::UdpCanary
            | Ask::DnsCanary
            | Ask::OldTls
            | Ask::DnsOverTcp
            | Ask::AnySource
            | Ask::BogusHost => 1,
            Ask::Neighbours | Ask::HeldFlow | Ask::ThisMachine | Ask::Comparison | Ask::Memory => 0,
        }
    }
}
