//! Any bytes as the target of a redirect.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::redirect(bytes));
