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
    use crate::replay;

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay::seeds("dns", super::dns);
        replay::seeds("tds", super::tds);
        replay::seeds("ntp", super::ntp);
        replay::seeds("crl", super::crl);
        replay::seeds("certificate", super::certificate);
        replay::seeds("redirect", super::redirect);
    }
}
