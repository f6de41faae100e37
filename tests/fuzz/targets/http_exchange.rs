//! Any bytes as the answer to a real HTTP/1 request, under each proof.
#![no_main]

mod peer;

use ase_probes::{
    http::{Proof, Question, Scheme, Session},
    probe::Probe,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    let proof = match kind % 4 {
        0 => Proof::AnyResponse,
        1 => Proof::Status(vec![200, 204]),
        2 => Proof::Contains("Microsoft".to_owned()),
        _ => Proof::Crl,
    };
    let (host, path, session) = ("a.example".to_owned(), "/".to_owned(), Session::default());
    peer::says(&Probe::Http(Question { scheme: Scheme::Http, host, port: 80, path, proof, session }), bytes);
});
