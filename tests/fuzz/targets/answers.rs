//! Any bytes as an answer of the management API, as a status and as the memory of an environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ase_agent::imports::fuzzing::answer(bytes);
    ase_agent::lint::fuzzing::seen(bytes);
});
