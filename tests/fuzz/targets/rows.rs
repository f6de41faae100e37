//! Any bytes as clocks and standings of the store.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_agent::store::fuzzing::rows(bytes));
