//! Any bytes as a DNS message that carries our id.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::dns(bytes));
