//! The devices that inspect TLS, known by the vendor's name in the certificates that they issue (`tls.rs` judges by it; an
//! issuer that unrelated hosts share is judged in the decision table).

/// Words in the issuer's name by which inspecting devices are known, lower case: the vendors' own names and products. A
/// missing one costs precision only: the certificate is then "not valid" in place of "intercepted".
const INSPECTORS: &[&str] = &[
    "azure firewall manager",
    "barracuda",
    "blue coat",
    "bluecoat",
    "check point",
    "checkpoint",
    "cisco umbrella",
    "forcepoint",
    "fortigate",
    "fortinet",
    "mcafee",
    "netskope",
    "palo alto",
    "skyhigh",
    "sonicwall",
    "sophos",
    "squid",
    "symantec",
    "trellix",
    "watchguard",
    "websense",
    "zscaler",
];

/// Whether an issuer bears the name of an inspecting device.
pub(crate) fn is_one(issuer: &str) -> bool {
    let issuer = issuer.to_lowercase();
    INSPECTORS.iter().any(|name| issuer.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_known_in_any_case_and_a_public_authority_is_none() {
        assert!(is_one("CN=Zscaler Intermediate Root CA, O=ZSCALER Inc."));
        assert!(is_one("CN=FGT-60F, O=Fortinet"));
        assert!(!is_one("CN=DigiCert Global G2 TLS RSA SHA256 2020 CA1, O=DigiCert Inc"));
    }
}
