//! Any bytes as requests of a web client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_agent::web::fuzzing::head(bytes));
