//! The seal of a row: a checksum over its table and all its values. SQLite notices a torn structure but no flipped bit
//! inside a value; a sealed row does. Pure.
//!
//! FNV-1a with 64 bits: each byte is mixed in by an operation that can be undone, so two rows that differ in one byte
//! never have the same seal; larger damage goes unnoticed once in 2⁶⁴ times. It guards against decay, not against malice.

use rusqlite::types::ValueRef;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A seal in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal(u64);

impl Seal {
    /// The seal of a row of this table, before its first value.
    pub(super) fn of(table: &str) -> Self {
        let mut seal = Self(OFFSET);
        seal.bytes(b't', table.as_bytes());
        seal
    }

    /// Mixes in the next value, with its kind and length, so that no two rows read the same.
    pub(super) fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.bytes(b'n', &[]),
            ValueRef::Integer(number) => self.bytes(b'i', &number.to_le_bytes()),
            ValueRef::Real(number) => self.bytes(b'r', &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => self.bytes(b's', text),
            ValueRef::Blob(blob) => self.bytes(b'b', blob),
        }
    }

    /// The seal as SQLite stores it.
    pub(super) fn finish(self) -> i64 {
        i64::from_le_bytes(self.0.to_le_bytes())
    }

    fn bytes(&mut self, kind: u8, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in std::iter::once(&kind).chain(&length).chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal(table: &str, values: &[ValueRef<'_>]) -> i64 {
        let mut seal = Seal::of(table);
        values.iter().for_each(|value| seal.value(*value));
        seal.finish()
    }

    #[test]
    fn kinds_order_and_borders_count() {
        let (one, two) = (ValueRef::Text(b"ab"), ValueRef::Text(b"c"));
        assert_ne!(seal("t", &[one, two]), seal("t", &[two, one]));
        assert_ne!(seal("t", &[one, two]), seal("t", &[ValueRef::Text(b"a"), ValueRef::Text(b"bc")]));
        assert_ne!(seal("t", &[one]), seal("u", &[one]));
        assert_ne!(seal("t", &[ValueRef::Null]), seal("t", &[]));
        assert_ne!(seal("t", &[ValueRef::Integer(1)]), seal("t", &[ValueRef::Real(f64::from_bits(1))]));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_shows(mut text in proptest::collection::vec(any::<u8>(), 1..64), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let before = seal("t", &[ValueRef::Blob(&text)]);
            let at = at.index(text.len());
            text[at] ^= 1 << bit;
            prop_assert_ne!(before, seal("t", &[ValueRef::Blob(&text)]));
        }
    }
}
