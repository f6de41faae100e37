//! Any bytes as a configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_agent::config::fuzzing::configuration(bytes));
