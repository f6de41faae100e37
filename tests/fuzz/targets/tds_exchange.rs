//! Any bytes behind a good PRELOGIN reply: TLS inside TDS packets, read by the real probe.
#![no_main]

mod peer;

use ase_probes::{
    probe::Probe,
    tds::{Flavour, Question},
};

/// A reply that wants encryption: header, VERSION at 11, ENCRYPTION at 17, the end, version 16.0, encryption on.
const PRELOGIN: [u8; 26] = [
    0x04, 0x01, 0x00, 0x1a, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x06, 0x01, 0x00, 0x11, 0x00, 0x01, 0xff, 0x10,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    let flavour = if kind % 4 == 0 { Flavour::Tds8 } else { Flavour::Tds7 };
    let said = if kind % 2 == 0 { bytes.to_vec() } else { [&PRELOGIN[..], bytes].concat() };
    peer::says(&Probe::Tds(Question { host: "a.example".to_owned(), flavour }), &said);
});
