//! What DHCP handed out about DNS, read from the lease files that the usual clients leave behind.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ase_probes::regular_file;

/// A lease file of this size is none, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Where clients leave leases, below the root of the file system: systemd-networkd (`KEY=VALUE`), NetworkManager (the same
/// by its own client, ISC's form by dhclient) and dhclient (ISC's form; Debian and Red Hat).
const FOLDERS: [&str; 4] = ["run/systemd/netif/leases", "var/lib/NetworkManager", "var/lib/dhcp", "var/lib/dhclient"];

/// What one lease says about DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The servers, in order.
    pub servers: Vec<IpAddr>,
    /// The domain and the search suffixes.
    pub suffixes: Vec<String>,
    /// The file it was read from.
    pub file: PathBuf,
}

/// Reads the newest lease that names DNS servers; `None` where no client left a readable one.
pub fn newest(root: &Path) -> Option<Lease> {
    let mut files: Vec<_> = FOLDERS.iter().flat_map(|folder| files_in(&root.join(folder))).collect();
    files.sort_by_key(|(_, modified)| std::cmp::Reverse(*modified));
    files.into_iter().find_map(|(file, _)| read(&file))
}

fn files_in(folder: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let described = entries.flatten().filter_map(|entry| {
        let about = entry.metadata().ok().filter(|about| about.is_file() && about.len() <= MAX_FILE)?;
        Some((entry.path(), about.modified().ok()?))
    });
    described.filter(|(path, _)| is_lease(path)).collect()
}

/// Files named by an interface index are systemd-networkd's, the others say what they are.
fn is_lease(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.bytes().all(|byte| byte.is_ascii_digit()) || name.ends_with(".lease") || name.ends_with(".leases")
}

fn read(file: &Path) -> Option<Lease> {
    let text = String::from_utf8(regular_file::read(file, MAX_FILE).ok()?).ok()?;
    let (servers, suffixes) = parse(&text);
    (!servers.is_empty()).then(|| Lease { servers, suffixes, file: file.to_owned() })
}

/// Reads either form: in ISC's a later lease of the same file replaces the earlier ones.
fn parse(text: &str) -> (Vec<IpAddr>, Vec<String>) {
    let (mut servers, mut suffixes) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("lease") && line.ends_with('{') {
            (servers, suffixes) = (Vec::new(), Vec::new());
        } else if let Some((key, value)) = setting(line) {
            match key {
                "DNS" | "domain-name-servers" => {
                    servers.extend(words(value).filter_map(|word| word.parse::<IpAddr>().ok()))
                }
                "DOMAINNAME" | "DOMAIN_SEARCH_LIST" | "domain-name" | "domain-search" => {
                    suffixes.extend(words(value).map(|word| word.trim_end_matches('.').to_ascii_lowercase()));
                }
                _ => {}
            }
        }
    }
    (servers, suffixes)
}

/// `KEY=VALUE` or `option KEY VALUE;`.
fn setting(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("option ") {
        Some(option) => option.trim_end_matches(';').split_once(' '),
        None => line.split_once('='),
    }
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', ',']).map(|word| word.trim_matches('"')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETWORKD: &str = "# This is private data. Do not parse.\nADDRESS=10.0.1.5\nNETMASK=255.255.255.0\nROUTER=10.0.1.1\n\
        SERVER_ADDRESS=168.63.129.16\nDNS=10.0.0.4 10.0.0.5\nDOMAINNAME=reddog.microsoft.com\nLIFETIME=4294967295\n";
    const DHCLIENT: &str = "lease {\n  interface \"eth0\";\n  fixed-address 10.0.1.5;\n  option domain-name-servers 10.0.0.9;\n  \
        option domain-name \"old.example\";\n  renew 3 2026/11/25 10:00:00;\n}\nlease {\n  interface \"eth0\";\n  \
        option subnet-mask 255.255.255.0;\n  option domain-name-servers 168.63.129.16,10.0.0.4;\n  \
        option domain-search \"abc.ax.internal.cloudapp.net.\", \"Corp.example.\";\n  unknown-245 a8:3f:81:10;\n}\n";

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("a literal")).collect()
    }

    #[test]
    fn both_forms_are_read_and_the_last_lease_of_a_file_counts() {
        let (servers, suffixes) = parse(NETWORKD);
        assert_eq!(
            (servers, suffixes),
            (addresses(&["10.0.0.4", "10.0.0.5"]), vec!["reddog.microsoft.com".to_owned()])
        );
        let (servers, suffixes) = parse(DHCLIENT);
        assert_eq!(servers, addresses(&["168.63.129.16", "10.0.0.4"]));
        assert_eq!(suffixes, ["abc.ax.internal.cloudapp.net", "corp.example"]);
    }

    #[test]
    fn what_is_no_lease_says_nothing() {
        for text in
            ["", "DNS=\n", "DNS=not-an-address\n", "option domain-name-servers ;\n", "lease {\n", "=\n", "option\n"]
        {
            assert_eq!(parse(text), (Vec::new(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn the_newest_readable_file_counts() {
        let root = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(newest(root.path()), None);
        let write = |path: &str, text: &str, age: u64| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder is writable");
            fs::write(&path, text).expect("the folder is writable");
            let modified = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age);
            fs::File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(modified))
                .expect("it was written");
        };
        write("var/lib/dhcp/dhclient.eth0.leases", DHCLIENT, 10);
        assert_eq!(newest(root.path()).map(|lease| lease.servers), Some(addresses(&["168.63.129.16", "10.0.0.4"])));
        write("run/systemd/netif/leases/2", NETWORKD, 5);
        write("var/lib/NetworkManager/internal-1-eth0.lease", "ADDRESS=10.0.1.5\n", 1);
        write("var/lib/NetworkManager/secret_key", "DNS=10.9.9.9\n", 0);
        let lease = newest(root.path()).expect("networkd's is newer than dhclient's, and the others say nothing");
        assert_eq!(lease.servers, addresses(&["10.0.0.4", "10.0.0.5"]));
        assert!(lease.file.ends_with("leases/2"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_lease_of_words_or_none(
            text in "(lease \\{|\\}|option |DNS|DOMAINNAME|domain-name-servers|domain-search|=|10\\.0\\.0\\.[0-9]|Corp\\.Example\\.|\"|[ ,;\t\n])*",
        ) {
            let (servers, suffixes) = parse(&text);
            prop_assert!(servers.len() <= text.matches("10.0.0.").count());
            let is_word = |suffix: &String| !suffix.ends_with('.') && !suffix.contains([' ', ',', 'C']);
            prop_assert!(suffixes.iter().all(is_word), "{:?}", suffixes);
        }
    }
}
