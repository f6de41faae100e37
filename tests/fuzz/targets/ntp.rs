//! Any bytes as an NTP packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ase_probes::fuzzing::ntp(bytes));
