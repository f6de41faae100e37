//! What the host says about DNS: the servers in its resolver files, read byte by byte as the C library reads them.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use ase_probes::regular_file;
use hickory_resolver::system_conf::parse_resolv_conf;

/// The resolver file that every program reads.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps its own servers when the file above holds only its stub.
pub const UPLINK_CONF: &str = "/run/systemd/resolve/resolv.conf";
/// Where systemd-resolved's stub listens (systemd-resolved.service(8)). Any other local server is one that apps do use.
const STUBS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54))];
/// Servers that the C library reads at most (`resolv.h`, MAXNS).
const MAX_SERVERS: usize = 3;
/// A resolver file of this size is none, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// What some editors put before the first byte of a file (UTF-8's byte order mark).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The servers a host uses, and the file they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The servers in order.
    pub servers: Vec<IpAddr>,
    /// The file.
    pub file: &'static str,
}

/// What a resolver file holds; `None` where there is none that a resolver would read.
pub fn file(path: &str) -> Option<Vec<u8>> {
    regular_file::read(Path::new(path), MAX_FILE).ok()
}

/// Picks the servers from the two resolver files: behind systemd-resolved's stub the uplinks count.
pub fn servers(resolv_conf: Option<&[u8]>, uplink_conf: Option<&[u8]>) -> Option<Found> {
    let direct = resolv_conf.map(parse).unwrap_or_default();
    let is_stub = direct.iter().all(|server| STUBS.contains(server));
    let uplinks = uplink_conf.map(parse).unwrap_or_default();
    match (direct.is_empty() || is_stub, uplinks.is_empty()) {
        (true, false) => Some(Found { servers: uplinks, file: UPLINK_CONF }),
        (true, true) if direct.is_empty() => None,
        (_, _) => Some(Found { servers: direct, file: RESOLV_CONF }),
    }
}

/// The search suffixes of a resolver file; the last line that names some counts (resolv.conf(5)).
pub fn suffixes(file: &[u8]) -> Vec<String> {
    let names_some = |line: &Line<'_>| line.value("search").or(line.value("domain")).is_some();
    let Some(line) = lines(file).filter(names_some).last() else { return Vec::new() };
    // The library wants a server in every file.
    let file = [b"nameserver 127.0.0.1\n", line.text].concat();
    let Ok((config, _)) = parse_resolv_conf(file) else { return Vec::new() };
    config.search().iter().map(|name| name.to_string().trim_end_matches('.').to_owned()).collect()
}

/// What the C library does not take from a file although it looks as if it should, in plain words.
pub fn oddities(file: &[u8]) -> Vec<String> {
    let mut odd = Vec::new();
    let servers = || lines(file).filter(|line| line.server().is_some());
    if let Some(line) = servers().find(|line| line.ends_in_return) {
        odd.push(format!(
            "{RESOLV_CONF}: line {} ends in CR LF, as on Windows: the C library takes the address for none, and most \
             programs here cannot resolve names; the agent asks it",
            line.number
        ));
    }
    if let Some(line) = servers().find(|line| line.is_marked) {
        odd.push(format!(
            "{RESOLV_CONF}: a byte order mark stands before line {}: the C library passes the line over; the agent asks \
             its server",
            line.number
        ));
    }
    let indented = |line: &Line<'_>| line.text.trim_ascii_start().starts_with(b"nameserver") && line.text[0] != b'n';
    if let Some(line) = lines(file).find(indented) {
        odd.push(format!(
            "{RESOLV_CONF}: line {} is indented: the C library passes it over, and so does the agent",
            line.number
        ));
    }
    odd
}

/// The servers of a file. One that is named twice takes two of the three places, as in the C library.
fn parse(file: &[u8]) -> Vec<IpAddr> {
    let mut servers: Vec<IpAddr> = Vec::new();
    for server in lines(file).filter_map(|line| line.server()).take(MAX_SERVERS) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// One line of a resolver file.
struct Line<'a> {
    number: usize,
    /// Without its end and without a mark before it.
    text: &'a [u8],
    /// Whether a carriage return stands right behind the last word.
    ends_in_return: bool,
    is_marked: bool,
}

fn lines(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    (1..).zip(file.split(|byte| *byte == b'\n')).map(|(number, line)| {
        let text = line.strip_prefix(MARK).filter(|_| number == 1);
        let (is_marked, text) = (text.is_some(), text.unwrap_or(line));
        let kept = text.strip_suffix(b"\r").unwrap_or(text);
        let ends_in_return = kept.len() < text.len() && kept.last().is_some_and(|byte| !is_blank(*byte));
        Line { number, text: kept, ends_in_return, is_marked }
    })
}

impl<'a> Line<'a> {
    /// What follows a keyword: it begins the line, and a blank ends it.
    fn value(&self, keyword: &str) -> Option<&'a [u8]> {
        let rest = self.text.strip_prefix(keyword.as_bytes())?;
        rest.first().is_some_and(|byte| is_blank(*byte)).then_some(rest)
    }

    /// The server that it names: the first word, without the interface of a link-local address.
    fn server(&self) -> Option<IpAddr> {
        let mut words = self.value("nameserver")?.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
        let word = std::str::from_utf8(words.next()?).ok()?;
        word.split('%').next()?.parse().ok()
    }
}

/// What ends a word for the C library: a blank or a tab, and nothing else.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(resolv: &str, uplink: Option<&str>) -> Option<(Vec<String>, &'static str)> {
        let found = servers(Some(resolv.as_bytes()), uplink.map(str::as_bytes))?;
        Some((found.servers.iter().map(IpAddr::to_string).collect(), found.file))
    }

    fn read(file: &[u8]) -> Vec<String> {
        parse(file).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn servers_come_from_the_file_that_names_real_ones() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch internal.cloudapp.net\n";
        let uplink = "nameserver 10.0.0.4\nnameserver 10.0.0.5\n";
        assert_eq!(found(uplink, None), Some((vec!["10.0.0.4".into(), "10.0.0.5".into()], RESOLV_CONF)));
        assert_eq!(found(stub, Some(uplink)), Some((vec!["10.0.0.4".into(), "10.0.0.5".into()], UPLINK_CONF)));
        assert_eq!(found(stub, None), Some((vec!["127.0.0.53".into()], RESOLV_CONF)));
        let local = "nameserver 127.0.0.1\n";
        assert_eq!(found(local, Some(uplink)), Some((vec!["127.0.0.1".into()], RESOLV_CONF)), "a cache of its own");
        assert_eq!(found("# nothing\n", None), None);
        assert_eq!(servers(None, None), None);
    }

    #[test]
    fn a_broken_search_list_does_not_hide_the_servers() {
        let broken = "search a..b -- ..\noptions nonsense\nnameserver 10.0.0.4\n";
        assert_eq!(found(broken, None), Some((vec!["10.0.0.4".into()], RESOLV_CONF)));
    }

    #[test]
    fn only_the_first_three_count_as_in_the_c_library() {
        let four = b"nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        assert_eq!(read(four), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn lines_are_read_as_the_c_library_reads_them() {
        let rows: [(&str, &[u8], &[&str]); 11] = [
            ("a comment in Latin-1", b"# g\xe9r\xe9\nnameserver 10.0.0.4\n", &["10.0.0.4"]),
            ("bytes behind the address", b"nameserver 10.0.0.4 \xe9\xff\n", &["10.0.0.4"]),
            ("a tab", b"nameserver\t10.0.0.4\t# first\n", &["10.0.0.4"]),
            ("no end of line", b"nameserver 10.0.0.4", &["10.0.0.4"]),
            ("an indented line", b"  nameserver 10.0.0.4\nnameserver 10.0.0.5\n", &["10.0.0.5"]),
            ("another keyword", b"nameservers 10.0.0.4\nnameserver10.0.0.4\nNAMESERVER 10.0.0.4\n", &[]),
            ("a comment behind a semicolon", b";nameserver 10.0.0.4\n", &[]),
            ("CR LF", b"nameserver 10.0.0.4\r\nsearch corp.example\r\n", &["10.0.0.4"]),
            ("a mark", b"\xef\xbb\xbfnameserver 10.0.0.4\n", &["10.0.0.4"]),
            ("a scoped address", b"nameserver fe80::1%eth0\nnameserver fd00::4\n", &["fe80::1", "fd00::4"]),
            ("no address", b"nameserver dns.example\nnameserver 10.0.0\xe9\n", &[]),
        ];
        for (label, file, servers) in rows {
            assert_eq!(read(file), servers, "{label}");
        }
    }

    #[test]
    fn what_the_c_library_passes_over_is_said() {
        let rows: [(&[u8], &str); 4] = [
            (b"# Windows\r\nnameserver 10.0.0.4\r\n", "line 2 ends in CR LF"),
            (b"\xef\xbb\xbfnameserver 10.0.0.4\n", "byte order mark stands before line 1"),
            (b"nameserver 10.0.0.4\n\tnameserver 10.0.0.5\n", "line 2 is indented"),
            (b"nameserver 10.0.0.4 \r\nsearch a.example\r\n# nameserver\r\n", ""),
        ];
        for (file, words) in rows {
            let odd = oddities(file);
            assert_eq!(odd.len(), usize::from(!words.is_empty()), "{odd:?}");
            assert!(odd.iter().all(|line| line.contains(words)), "{odd:?}");
        }
    }

    #[test]
    fn the_last_search_list_counts() {
        assert_eq!(
            suffixes(b"domain one.example\nsearch two.example. three.example\r\n"),
            ["two.example", "three.example"]
        );
        assert_eq!(suffixes(b"nameserver 10.0.0.4\n"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_resolver_file_with_three_servers_at_most(
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            text in "(nameserver|search|domain|options|10\\.0\\.0\\.[0-9]|fd00::[0-9]|%eth0|\u{feff}|[a-z.]{1,5}|[ \t\r\n;#])*",
        ) {
            for file in [&noise[..], text.as_bytes(), &[text.as_bytes(), &noise].concat()] {
                let found = servers(Some(file), None).map(|found| found.servers).unwrap_or_default();
                let unlike: std::collections::BTreeSet<_> = found.iter().collect();
                prop_assert!(found.len() <= MAX_SERVERS && unlike.len() == found.len(), "{:?}", found);
                let said = oddities(file);
                prop_assert!(said.iter().all(|line| !line.contains(char::is_control)), "{:?}", said);
                drop(suffixes(file));
            }
        }
    }
}
