//! Entry point of the fuzz target for answers of the management API (`tests/fuzz`), and what must hold for any bytes.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

use std::time::Duration;

use crate::imports::{
    answer::{Page, joined},
    configuration::{Profile, yaml},
    environment,
    memory::Memory,
    outbound,
};

/// Any bytes as an answer: what it says cannot become a line of the configuration by itself, and what is remembered reads
/// back.
pub fn answer(bytes: &[u8]) {
    drop(Memory::from_json(bytes));
    let Ok(page) = Page::read("answer.json", bytes) else { return };
    drop((page.next(), joined(std::slice::from_ref(&page))));
    if let Ok((dependencies, _)) = outbound::read(std::slice::from_ref(&page)) {
        let text = yaml(&dependencies, &Profile::default(), "answer.json");
        let begins = ["#", "profile: ", "cloud: ", "slots:", "endpoints:", "  "];
        assert!(text.lines().all(|line| begins.iter().any(|begin| line.starts_with(begin))), "{text}");
    }
    if let Ok((told, _)) = environment::read(&[page], None) {
        let (memory, _) = Memory::note(None, told, Duration::from_secs(1));
        assert_eq!(Memory::from_json(memory.to_json().as_bytes()), Some(memory), "it reads back");
    }
}
