//! Any two sets of rules asked of the evaluator by sets, and each packet that it shows asked again alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_agent::lint::fuzzing::rules(bytes));
