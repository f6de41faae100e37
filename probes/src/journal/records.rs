//! Cuts a byte stream into its records, however it was cut on the way: TLS records, HTTP/2 frames and TDS packets all say in
//! a short head how long they are.

use super::Message;

/// One direction of one stream, as far as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Cutter {
    /// Bytes that still belong to the last record.
    rest: usize,
    /// The beginning of a head whose end has not come.
    begun: Vec<u8>,
}

/// What the head of a record says.
pub(super) struct Head {
    /// Bytes behind the head.
    pub(super) length: usize,
    /// The record in words.
    pub(super) words: String,
}

impl Cutter {
    /// Whether a record is under way whose end has not come.
    pub(super) fn is_begun(&self) -> bool {
        self.rest > 0 || !self.begun.is_empty()
    }

    /// The records that begin in the next stretch of the stream. `read` is given a record from its head on, as far as it is
    /// there, and never less than `size` bytes.
    pub(super) fn cut(&mut self, message: &Message, size: usize, mut read: impl FnMut(&[u8]) -> Head) -> Vec<String> {
        let mut lines = Vec::new();
        let begun = std::mem::take(&mut self.begun);
        let (length, bytes) = (begun.len() + message.length, [begun, message.bytes.clone()].concat());
        let mut at = self.rest.min(length);
        if at > 0 {
            lines.push(format!("{at} more bytes of the record before"));
        }
        self.rest -= at;
        while let Some(record) = bytes.get(at..).filter(|record| record.len() >= size) {
            let Head { length: body, words } = read(record);
            lines.push(words);
            let end = at + size + body;
            self.rest = end.saturating_sub(length);
            at = end.min(length);
        }
        self.begun = bytes.get(at..).unwrap_or_default().to_vec();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with a head of two bytes: a name and a length.
    fn cut(parts: &[&[u8]]) -> Vec<Vec<String>> {
        let mut cutter = Cutter::default();
        let read = |record: &[u8]| Head { length: record[1].into(), words: char::from(record[0]).to_string() };
        let message = |part: &&[u8]| Message { bytes: part.to_vec(), length: part.len() };
        parts.iter().map(|part| cutter.cut(&message(part), 2, read)).collect()
    }

    #[test]
    fn records_are_the_same_however_the_stream_is_cut() {
        let stream = b"a\x03xyzb\x00c\x01x";
        assert_eq!(cut(&[stream]), [["a", "b", "c"]]);
        for at in 1..stream.len() {
            let (one, other) = stream.split_at(at);
            let mut names = cut(&[one, other]).concat();
            names.retain(|line| line.len() == 1);
            assert_eq!(names, ["a", "b", "c"], "cut at {at}");
        }
        assert_eq!(cut(&[b"a\x09xyz", b"xyzxyz", b"b\x00"])[1], ["6 more bytes of the record before"]);
    }

    #[test]
    fn a_record_that_is_not_kept_whole_is_passed_over() {
        let mut cutter = Cutter::default();
        let read = |record: &[u8]| Head { length: record[1].into(), words: char::from(record[0]).to_string() };
        let cut = Message { bytes: b"a\x20xx".to_vec(), length: 34 };
        assert_eq!(cutter.cut(&cut, 2, read), ["a"]);
        assert_eq!(cutter.cut(&Message { bytes: b"b\x00".to_vec(), length: 2 }, 2, read), ["b"]);
    }
}
