//! Which addresses each endpoint was asked at over days: when each was seen first and last, and how often they were others than in
//! the visit before. A file of lines in the state directory, written whole; this decides what is remembered, how long, and when it
//! is due to be written.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use ase_probes::regular_file;

/// The file in the state directory.
pub const FILE: &str = "addresses";
/// The first line: the name and version of the shape.
const HEAD: &str = "ase-agent/addresses/1";
/// A larger file is none of ours, in bytes: the most that is kept are some 3 MB.
const LARGEST: u64 = 16 << 20;
/// What was not seen for so long is forgotten: a quarter of a year shows every rhythm in which providers renumber.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Addresses that are kept; of more the ones that were not seen for longest are forgotten.
const MOST: usize = 20_000;
/// Forgotten at once, so that forgetting is rare.
const FORGET: usize = 1_000;
/// What is new waits so long for others before it is written.
const NEW_AFTER: Duration = Duration::from_secs(300);
/// That known addresses were seen again is written so often.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// When an address was seen, since the Unix epoch, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First.
    pub first: Duration,
    /// Last.
    pub last: Duration,
}

/// What is remembered of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Each address, in order. Most endpoints have one, and the smallest map has room for eleven.
    pub each: Vec<(IpAddr, Span)>,
    /// Visits that asked an address.
    pub visits: u64,
    /// How many of them asked others than the one before.
    pub changes: u64,
    /// The addresses of the last visit, in order.
    now: Vec<IpAddr>,
}

/// What is remembered of all endpoints, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    known: BTreeMap<Arc<str>, Known>,
    count: usize,
    has_new: bool,
    written: Option<Duration>,
}

impl Addresses {
    /// What is remembered of one endpoint.
    pub fn of(&self, endpoint: &str) -> Option<&Known> {
        self.known.get(endpoint)
    }

    /// Takes the addresses that a visit asked at this time.
    pub fn saw(&mut self, endpoint: &Arc<str>, mut addresses: Vec<IpAddr>, at: Duration) {
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return;
        }
        let at = Duration::from_secs(at.as_secs());
        let known = self.known.entry(Arc::clone(endpoint)).or_default();
        known.visits = known.visits.saturating_add(1);
        let has_changed = !known.now.is_empty() && known.now != addresses;
        known.changes = known.changes.saturating_add(has_changed.into());
        let before = known.each.len();
        for address in &addresses {
            let span = known.span(*address, Span { first: at, last: at });
            span.last = span.last.max(at);
        }
        self.has_new |= known.each.len() > before;
        self.count += known.each.len() - before;
        known.now = addresses;
        if self.count > MOST + FORGET {
            self.forget_to(MOST);
        }
    }

    /// The file as it is to be written now; `None` while it can wait.
    pub fn due(&mut self, now: Duration) -> Option<String> {
        let since = now.saturating_sub(*self.written.get_or_insert(now));
        let is_due = since >= AGAIN_AFTER || self.has_new && since >= NEW_AFTER;
        is_due.then(|| self.to_text(now))
    }

    /// The file, without what is too old.
    pub fn to_text(&mut self, now: Duration) -> String {
        (self.written, self.has_new) = (Some(now), false);
        let oldest = now.saturating_sub(KEPT);
        self.retain(|span| span.last >= oldest);
        let mut text = format!("{HEAD}\n");
        // An id with an end of line in it is not remembered.
        for (id, known) in self.known.iter().filter(|(id, _)| !id.contains(['\n', '\r'])) {
            text.push_str(&format!("endpoint {} {} {id}\n", known.visits, known.changes));
            for (address, span) in &known.each {
                text.push_str(&format!("{address} {} {}\n", span.first.as_secs(), span.last.as_secs()));
            }
        }
        text
    }

    /// Reads [`Addresses::to_text`]; `None` where it is something else.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|head| *head == HEAD)?;
        let mut found = Self::default();
        let mut known: Option<&mut Known> = None;
        for line in lines {
            let mut words = line.splitn(4, ' ');
            match words.next()? {
                "endpoint" => {
                    let (visits, changes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                    let fresh = Known { visits, changes, ..Known::default() };
                    known = Some(found.known.entry(words.next()?.into()).or_insert(fresh));
                }
                address => {
                    let mut time = || words.next()?.parse().ok().map(Duration::from_secs);
                    let span = Span { first: time()?, last: time()? };
                    let known = known.as_mut()?;
                    let before = known.each.len();
                    *known.span(address.parse().ok()?, span) = span;
                    found.count += known.each.len() - before;
                }
            }
        }
        found.known.values_mut().for_each(Known::take_up);
        Some(found)
    }

    /// What the state directory remembers; nothing where it does not, or may not be read.
    pub fn read(folder: &Path) -> Self {
        let bytes = regular_file::read(&folder.join(FILE), LARGEST).ok();
        bytes.and_then(|bytes| Self::from_text(&String::from_utf8(bytes).ok()?)).unwrap_or_default()
    }

    /// Takes up what an earlier process remembered.
    pub fn recall(&mut self, earlier: Self) {
        for (id, known) in earlier.known {
            match self.known.entry(id) {
                Entry::Vacant(place) => drop(place.insert(known)),
                Entry::Occupied(mut place) => place.get_mut().recall(known),
            }
        }
        self.count = self.known.values().map(|known| known.each.len()).sum();
    }

    fn forget_to(&mut self, most: usize) {
        let mut times: Vec<Duration> = self.known.values().flat_map(|known| &known.each).map(|(_, s)| s.last).collect();
        times.sort_unstable();
        let Some(bound) = times.len().checked_sub(most).and_then(|surplus| times.get(surplus)).copied() else { return };
        self.retain(|span| span.last > bound);
    }

    fn retain(&mut self, keeps: impl Fn(&Span) -> bool) {
        self.known.values_mut().for_each(|known| known.each.retain(|(_, span)| keeps(span)));
        self.known.retain(|_, known| !known.each.is_empty());
        self.count = self.known.values().map(|known| known.each.len()).sum();
    }
}

impl Known {
    /// The span of an address, which is this one where the address is new.
    fn span(&mut self, address: IpAddr, new: Span) -> &mut Span {
        let place = self.each.binary_search_by_key(&address, |(known, _)| *known).unwrap_or_else(|place| {
            self.each.reserve_exact(1);
            self.each.insert(place, (address, new));
            place
        });
        &mut self.each[place].1
    }

    fn recall(&mut self, earlier: Self) {
        self.visits = self.visits.saturating_add(earlier.visits);
        let changes = earlier.changes.saturating_add((self.now != earlier.now).into());
        self.changes = self.changes.saturating_add(changes);
        for (address, before) in earlier.each {
            let span = self.span(address, before);
            (span.first, span.last) = (span.first.min(before.first), span.last.max(before.last));
        }
    }

    /// Those that were seen last are the ones of the last visit.
    fn take_up(&mut self) {
        let last = self.each.iter().map(|(_, span)| span.last).max();
        let newest = self.each.iter().filter(|(_, span)| Some(span.last) == last);
        self.now = newest.map(|(address, _)| *address).collect();
    }
}

/// Writes the file in one step.
///
/// # Errors
/// What the system said.
pub(super) fn write(folder: &Path, text: &str) -> std::io::Result<()> {
    regular_file::replace(&folder.join(FILE), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    /// The first day.
    const AT: Duration = Duration::from_secs(1_800_000_000);

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn span_of(known: &Known, address: &str) -> Span {
        let address: IpAddr = address.parse().expect("an address");
        known.each.iter().find(|(known, _)| *known == address).expect("it was seen").1
    }

    #[test]
    fn an_endpoint_with_one_address_takes_the_memory_of_one() {
        let (id, mut addresses) = ("login.example:443".into(), Addresses::default());
        for visit in 0..100 {
            addresses.saw(&id, ips(&["20.1.1.1"]), AT + Duration::from_secs(30) * visit);
        }
        let known = addresses.of(&id).expect("it was seen");
        assert_eq!((known.visits, known.each.capacity(), known.now.capacity()), (100, 1, 1));
    }

    /// Three days of one name: it moves on the second, and moves back on the third.
    fn three_days() -> Addresses {
        let (id, mut addresses) = ("login.example:443".into(), Addresses::default());
        for (day, seen) in [(0, &["20.1.1.1", "fd00::1"][..]), (1, &["20.1.1.2"]), (2, &["fd00::1", "20.1.1.1"])] {
            addresses.saw(&id, ips(seen), AT + DAY * day);
            addresses.saw(&id, ips(seen), AT + DAY * day + Duration::from_secs(30));
        }
        addresses
    }

    #[test]
    fn days_are_remembered_with_first_and_last_and_changes() {
        let addresses = three_days();
        let known = addresses.of("login.example:443").expect("it was seen");
        assert_eq!((known.visits, known.changes, known.each.len()), (6, 2, 3));
        let first = span_of(known, "20.1.1.1");
        assert_eq!((first.first, first.last), (AT, AT + DAY * 2 + Duration::from_secs(30)));
    }

    #[test]
    fn an_earlier_process_is_taken_up_and_something_else_is_nothing() {
        let mut addresses = three_days();
        let now = AT + DAY * 2;
        let text = addresses.to_text(now);
        let mut again = Addresses::from_text(&text).expect("its own text");
        assert_eq!(again.to_text(now), text);
        again.saw(&"login.example:443".into(), ips(&["20.1.1.1", "fd00::1"]), now + DAY);
        assert_eq!(again.of("login.example:443").map(|known| known.changes), Some(2), "the same as before the restart");
        for text in
            ["", "addresses", "ase-agent/addresses/1\n20.1.1.1 1 2\n", "ase-agent/addresses/1\nendpoint x 1 a\n"]
        {
            assert_eq!(Addresses::from_text(text), None, "{text}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Addresses::read(folder.path()), Addresses::default());
        let pipe = folder.path().join("addresses.new");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        // Whoever opens it here waits for nobody: a failure is no hang.
        let _other_end = std::fs::File::options().read(true).write(true).open(&pipe).expect("both ends at once");
        write(folder.path(), &text).expect("a pipe in the place of the draft goes");
        assert_eq!(Addresses::read(folder.path()), Addresses::from_text(&text).expect("its own text"));
    }

    #[test]
    fn what_is_remembered_late_is_joined_to_what_was_seen_meanwhile() {
        let (id, mut late) = ("login.example:443".into(), Addresses::default());
        let now = AT + DAY * 4;
        late.saw(&id, ips(&["20.1.1.2"]), now);
        late.recall(three_days());
        let known = late.of("login.example:443").expect("it was seen");
        assert_eq!((known.visits, known.changes, known.each.len(), late.count), (7, 3, 3, 3));
        let moved = span_of(known, "20.1.1.2");
        assert_eq!((moved.first, moved.last), (AT + DAY, now));
        let mut nothing = Addresses::default();
        nothing.recall(three_days());
        assert_eq!(nothing.known, three_days().known);
    }

    #[test]
    fn what_was_not_seen_for_a_quarter_of_a_year_is_forgotten_and_so_is_what_is_too_much() {
        let mut addresses = three_days();
        addresses.to_text(AT + DAY + KEPT + Duration::from_secs(60));
        assert_eq!(addresses.of("login.example:443").map(|known| known.each.len()), Some(2), "20.1.1.2 is too old");
        let mut many = Addresses::default();
        for number in 0..u32::try_from(MOST + FORGET + 1).expect("it fits") {
            let address = IpAddr::from((number + 1).to_be_bytes());
            many.saw(
                &format!("{}:443", number % 7).as_str().into(),
                vec![address],
                AT + Duration::from_secs(number.into()),
            );
        }
        assert!(many.count < MOST && many.count > MOST - FORGET, "{}", many.count);
    }

    #[test]
    fn what_is_new_is_written_soon_and_what_is_known_seldom() {
        let (id, mut addresses) = ("login.example:443".into(), Addresses::default());
        assert_eq!(addresses.due(AT), None, "there is nothing");
        addresses.saw(&id, ips(&["20.1.1.1"]), AT);
        assert_eq!(addresses.due(AT + NEW_AFTER / 2), None);
        assert!(addresses.due(AT + NEW_AFTER).is_some());
        addresses.saw(&id, ips(&["20.1.1.1"]), AT + NEW_AFTER * 2);
        assert_eq!(addresses.due(AT + NEW_AFTER * 3), None, "nothing is new");
        assert!(addresses.due(AT + NEW_AFTER + AGAIN_AFTER).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_addresses_or_none_and_what_is_read_reads_back(
            text in "(endpoint |[0-9]{1,3} |18446744073709551615 |20\\.1\\.1\\.[0-9] |fd00::1 |a:443|[ \r\n])*",
            visits in any::<u64>(), first in any::<u64>(), last in any::<u64>(),
        ) {
            for text in [format!("{HEAD}\n{text}"), format!("{HEAD}\nendpoint {visits} {visits} a:443\n::1 {first} {last}\n")] {
                let Some(mut found) = Addresses::from_text(&text) else { continue };
                let written = found.to_text(Duration::ZERO);
                let mut again = Addresses::from_text(&written).expect("its own text");
                prop_assert_eq!(again.to_text(Duration::ZERO), written);
                again.saw(&"a:443".into(), ips(&["20.1.1.1"]), AT);
                again.recall(found);
            }
        }
    }
}
