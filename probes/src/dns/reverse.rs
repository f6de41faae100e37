//! The name under which the names of an address are asked for (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::IpAddr;

/// The reverse name of an address: its bytes, or the halves of its bytes, from the last to the first.
pub fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let halves = v6.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
            halves.map(|half| format!("{half:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_backwards() {
        let name = |text: &str| reverse_name(text.parse().expect("an address"));
        assert_eq!(name("192.0.2.17"), "17.2.0.192.in-addr.arpa");
        assert_eq!(name("::ffff:192.0.2.17"), "17.2.0.192.in-addr.arpa");
        assert_eq!(name("2001:db8::ab").len(), 32 * 2 + "ip6.arpa".len());
        assert!(name("2001:db8::ab").starts_with("b.a.0.0.0."), "{}", name("2001:db8::ab"));
        assert!(name("2001:db8::ab").ends_with(".0.8.b.d.0.1.0.0.2.ip6.arpa"), "{}", name("2001:db8::ab"));
    }
}
