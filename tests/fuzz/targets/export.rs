//! Any bytes as an export, and whatever could be read of it judged by every profile.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_agent::lint::fuzzing::export(bytes));
