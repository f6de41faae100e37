//! Any bytes as packets of a TDS message, whole and cut, and as PRELOGIN options.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::tds(bytes));
