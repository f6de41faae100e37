//! Any bytes as a certificate of the peer's chain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::certificate(bytes));
