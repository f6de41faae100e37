//! Any bytes as a revocation list.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::crl(bytes));
