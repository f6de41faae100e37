//! Entry points of the fuzz targets (`tests/fuzz`): every decoder of bytes from peers, and what must hold for any.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

pub use crate::{
    dns::fuzz as dns,
    http::{fuzz_list as crl, fuzz_redirect as redirect},
    ntp::fuzz as ntp,
    tds::fuzz as tds,
    tls::fuzz as certificate,
};

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Replays every seed of a target.
    fn replay(target: &str, door: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
        let seeds: Vec<_> =
            fs::read_dir(&folder).expect("the seeds are there").map(|seed| seed.expect("readable")).collect();
        assert!(!seeds.is_empty(), "{} holds seeds", folder.display());
        seeds.iter().for_each(|seed| door(&fs::read(seed.path()).expect("readable")));
    }

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay("dns", super::dns);
        replay("tds", super::tds);
        replay("ntp", super::ntp);
        replay("crl", super::crl);
        replay("certificate", super::certificate);
        replay("redirect", super::redirect);
    }
}
