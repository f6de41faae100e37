//! What two agents say to each other: a challenge of 168 bytes and its answer of 96, both sealed. Numbers are in network order.
//!
//! Challenge: `ASEKNOCK`, time in milliseconds (8), run (8), serial (8), the port that is knocked at (4), how many ports are
//! asked about (4), those (24 × 4), seal (32). Answer: `ASEREPLY`, time (8), run (8), serial (8), who asked (16 + 2),
//! padding (2), at which port (4), on which of the ports it listens (4), at which it was reached (4), seal (32).

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{
    key::{Key, SEAL},
    port::{MOST, Port},
};

/// Bytes of a challenge.
pub const CHALLENGE: usize = 40 + 4 * MOST + SEAL;
/// Bytes of an answer: fewer than of what was asked, so that nobody can make a witness send more than was sent to it.
pub const ANSWER: usize = 96;
/// The clocks of both agents may be so far apart.
pub const WINDOW: Duration = Duration::from_secs(60);
/// How a challenge begins. The words also part what is sealed in one direction from what is sealed in the other.
pub(super) const ASKS: &[u8; 8] = b"ASEKNOCK";
const ANSWERS: &[u8; 8] = b"ASEREPLY";

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// When it was made, since the Unix epoch, in whole milliseconds.
    pub time: Duration,
    /// Drawn for each run of `witness knock`: what a witness saw of the same run can be asked for.
    pub run: u64,
    /// Drawn for each challenge: with the run and the time the nonce.
    pub serial: u64,
    /// The port that it is sent to.
    pub knocked: Port,
    /// The ports about which the witness is asked what came, at most 24.
    pub asked: Vec<Port>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The witness's clock, since the Unix epoch, in whole milliseconds.
    pub time: Duration,
    /// The challenge's.
    pub run: u64,
    /// The challenge's.
    pub serial: u64,
    /// Who asked, as the witness saw it.
    pub asker: SocketAddr,
    /// The port at which it was asked.
    pub reached: Port,
    /// Whether it listens, for each of the ports that it was asked about.
    pub listens: Vec<bool>,
    /// Whether a packet of the same asker came, for each of the ports that it was asked about.
    pub came: Vec<bool>,
}

impl Challenge {
    /// The message, sealed.
    pub fn write(&self, key: &Key) -> Vec<u8> {
        let mut bytes = ASKS.to_vec();
        bytes.extend(millis(self.time).to_be_bytes());
        bytes.extend(self.run.to_be_bytes());
        bytes.extend(self.serial.to_be_bytes());
        bytes.extend(self.knocked.to_bytes());
        let asked = &self.asked[..self.asked.len().min(MOST)];
        bytes.extend(u32::try_from(asked.len()).unwrap_or(0).to_be_bytes());
        asked.iter().for_each(|port| bytes.extend(port.to_bytes()));
        sealed(bytes, CHALLENGE, key)
    }

    /// What a message says; `None` for anything that is not a whole challenge under this key.
    pub fn read(bytes: &[u8], key: &Key) -> Option<Self> {
        let said = unsealed(bytes, CHALLENGE, key)?;
        let mut said = Words(said.strip_prefix(ASKS)?);
        let (time, run, serial) = (said.number()?, said.number()?, said.number()?);
        let knocked = Port::from_bytes(said.take()?)?;
        let count = usize::try_from(u32::from_be_bytes(said.take()?)).ok().filter(|count| *count <= MOST)?;
        let asked = (0..count).map(|_| Port::from_bytes(said.take()?)).collect::<Option<_>>()?;
        Some(Self { time: Duration::from_millis(time), run, serial, knocked, asked })
    }
}

impl Answer {
    /// The message, sealed.
    pub fn write(&self, key: &Key) -> Vec<u8> {
        let mut bytes = ANSWERS.to_vec();
        bytes.extend(millis(self.time).to_be_bytes());
        bytes.extend(self.run.to_be_bytes());
        bytes.extend(self.serial.to_be_bytes());
        let address = match self.asker.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        bytes.extend(address.octets());
        bytes.extend(self.asker.port().to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.reached.to_bytes());
        bytes.extend(bits(&self.listens).to_be_bytes());
        bytes.extend(bits(&self.came).to_be_bytes());
        sealed(bytes, ANSWER, key)
    }

    /// What an answer to this challenge says; `None` for anything else.
    pub fn read(bytes: &[u8], challenge: &Challenge, key: &Key) -> Option<Self> {
        let said = unsealed(bytes, ANSWER, key)?;
        let mut said = Words(said.strip_prefix(ANSWERS)?);
        let (time, run, serial) = (said.number()?, said.number()?, said.number()?);
        let ip = IpAddr::V6(Ipv6Addr::from(said.take::<16>()?)).to_canonical();
        let asker = SocketAddr::new(ip, u16::from_be_bytes(said.take()?));
        said.take::<2>()?;
        let reached = Port::from_bytes(said.take()?)?;
        let mut flags = || Some(of_bits(u32::from_be_bytes(said.take()?), challenge.asked.len()));
        let (listens, came) = (flags()?, flags()?);
        let answer = Self { time: Duration::from_millis(time), run, serial, asker, reached, listens, came };
        ((run, serial) == (challenge.run, challenge.serial)).then_some(answer)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Fills a message up to its length and seals it.
fn sealed(mut bytes: Vec<u8>, length: usize, key: &Key) -> Vec<u8> {
    bytes.resize(length - SEAL, 0);
    let seal = key.seal(&bytes);
    bytes.extend(seal);
    bytes
}

/// What stands before the seal, if that is right.
fn unsealed<'a>(bytes: &'a [u8], length: usize, key: &Key) -> Option<&'a [u8]> {
    let (said, seal) = bytes.split_at_checked(length - SEAL).filter(|_| bytes.len() == length)?;
    key.is_sealed(said, seal).then_some(said)
}

fn bits(flags: &[bool]) -> u32 {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | u32::from(*flag))
}

fn of_bits(bits: u32, count: usize) -> Vec<bool> {
    (0..count)
        .map(|place| bits.checked_shr(u32::try_from(place).unwrap_or(u32::MAX)).is_some_and(|bits| bits & 1 == 1))
        .collect()
}

/// What is left of a message.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn take<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (taken, left) = self.0.split_first_chunk::<COUNT>()?;
        self.0 = left;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::witness::port::parse;

    fn key(letter: u8) -> Key {
        Key::of(&[letter; 32]).expect("a key")
    }

    fn challenge() -> Challenge {
        let port = |text: &str| parse(text).expect("a port");
        Challenge {
            time: Duration::from_millis(1_700_000_000_123),
            run: 7,
            serial: 9,
            knocked: port("454"),
            asked: vec![port("455"), port("123/udp")],
        }
    }

    fn answer() -> Answer {
        Answer {
            time: Duration::from_millis(5),
            run: 7,
            serial: 9,
            asker: "10.0.2.7:40000".parse().expect("an address"),
            reached: challenge().knocked,
            listens: vec![true, false],
            came: vec![false, true],
        }
    }

    #[test]
    fn both_messages_survive_the_wire_and_the_answer_is_the_smaller_one() {
        let (challenge, answer) = (challenge(), answer());
        let bytes = challenge.write(&key(1));
        assert_eq!((bytes.len(), CHALLENGE), (168, 168));
        assert_eq!(Challenge::read(&bytes, &key(1)), Some(challenge.clone()));
        let bytes = answer.write(&key(1));
        assert_eq!(bytes.len(), ANSWER);
        const { assert!(ANSWER <= CHALLENGE) };
        assert_eq!(Answer::read(&bytes, &challenge, &key(1)), Some(answer.clone()));
        let six = Answer { asker: "[fd00::7]:1".parse().expect("an address"), ..answer };
        assert_eq!(Answer::read(&six.write(&key(1)), &challenge, &key(1)), Some(six));
    }

    #[test]
    fn another_key_and_any_changed_bit_make_it_nothing() {
        let bytes = challenge().write(&key(1));
        assert_eq!(Challenge::read(&bytes, &key(2)), None);
        for place in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[place / 8] ^= 1 << (place % 8);
            assert_eq!(Challenge::read(&changed, &key(1)), None, "bit {place}");
        }
        for length in [0, 1, CHALLENGE - 1, CHALLENGE + 1] {
            let mut other = bytes.clone();
            other.resize(length, 0);
            assert_eq!(Challenge::read(&other, &key(1)), None, "{length} bytes");
        }
    }

    #[test]
    fn an_answer_to_another_challenge_or_a_challenge_sent_back_is_none() {
        let bytes = answer().write(&key(1));
        let other = Challenge { serial: 8, ..challenge() };
        assert_eq!(Answer::read(&bytes, &other, &key(1)), None);
        let reflected = challenge().write(&key(1));
        assert_eq!(Answer::read(&reflected, &challenge(), &key(1)), None);
        assert_eq!(Answer::read(&bytes, &challenge(), &key(2)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none_and_what_is_read_reads_back(
            noise in proptest::collection::vec(any::<u8>(), 0..CHALLENGE + 8), count in 0_u32..40,
        ) {
            prop_assert_eq!(Challenge::read(&noise, &key(1)), None);
            prop_assert_eq!(Answer::read(&noise, &challenge(), &key(1)), None);
            // The same from somebody who has the key.
            let mut asks = [&ASKS[..], &noise].concat();
            asks.resize(CHALLENGE, 0);
            asks[36..40].copy_from_slice(&count.to_be_bytes());
            if let Some(read) = Challenge::read(&sealed(asks, CHALLENGE, &key(1)), &key(1)) {
                prop_assert!(read.asked.len() <= MOST);
                prop_assert_eq!(Challenge::read(&read.write(&key(1)), &key(1)), Some(read));
            }
            let mut says = [&ANSWERS[..], &noise].concat();
            says.resize(ANSWER, 0);
            says[16..32].copy_from_slice(&[[0, 0, 0, 0, 0, 0, 0, 7], [0, 0, 0, 0, 0, 0, 0, 9]].concat());
            if let Some(read) = Answer::read(&sealed(says, ANSWER, &key(1)), &challenge(), &key(1)) {
                prop_assert_eq!(Answer::read(&read.write(&key(1)), &challenge(), &key(1)), Some(read));
            }
        }
    }
}
