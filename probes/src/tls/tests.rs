//! The recording handshake and the trust behind it.

use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm};

use super::*;
use crate::fixture::{Authority, IMPATIENCE, ask, serve};
use crate::{cause::Side, http, probe::Probe};
use std::io::Write;

fn handshake(issuer: &str, invalid: Option<Invalid>) -> Handshake {
    let leaf = Certificate {
        subject: "CN=a.example".to_owned(),
        issuer: issuer.to_owned(),
        names: vec!["a.example".to_owned()],
        not_before: 1_700_000_000,
        not_after: 1_800_000_000,
        ..Certificate::default()
    };
    Handshake { version: Some("TLS 1.2"), chain: vec![leaf], invalid, ..Handshake::default() }
}

#[test]
fn each_way_a_certificate_fails_has_its_cause() {
    let some = Authority::new("Corp Root").trust();
    let none = Trust::none();
    let public = "CN=Public CA";
    let rows = [
        (public, Invalid::Expired, &some, Cause::TlsCertInvalid, Confidence::Likely),
        (public, Invalid::NotYetValid, &some, Cause::TlsCertInvalid, Confidence::Likely),
        (public, Invalid::WrongName, &some, Cause::TlsCertInvalid, Confidence::Confirmed),
        (public, Invalid::NoNames, &some, Cause::TlsCertInvalid, Confidence::Confirmed),
        (public, Invalid::Other("bad".to_owned()), &some, Cause::TlsCertInvalid, Confidence::Likely),
        (public, Invalid::Beyond("odd".to_owned()), &some, Cause::LocalLimit, Confidence::Confirmed),
        (public, Invalid::UnknownIssuer, &some, Cause::TlsCertInvalid, Confidence::Likely),
        ("CN=Azure Firewall Manager CA", Invalid::UnknownIssuer, &some, Cause::TlsIntercepted, Confidence::Likely),
        ("O=Zscaler Inc.", Invalid::UnknownIssuer, &some, Cause::TlsIntercepted, Confidence::Likely),
        ("CN=FGT60, O=Fortinet", Invalid::UnknownIssuer, &some, Cause::TlsIntercepted, Confidence::Likely),
        (public, Invalid::UnknownIssuer, &none, Cause::LocalSetup, Confidence::Confirmed),
    ];
    for (issuer, invalid, trust, cause, confidence) in rows {
        let finding = judge(&handshake(issuer, Some(invalid.clone())), trust).expect("it does not verify");
        assert_eq!((finding.cause, finding.confidence), (cause, confidence), "{issuer} {invalid:?}");
    }
    assert_eq!(judge(&handshake("O=Zscaler Inc.", None), &some), None, "a trusted inspector is trusted");
}

#[test]
fn evidence_says_why_a_certificate_passes_and_why_not() {
    let mut lines = Vec::new();
    handshake("CN=Public CA", None).describe(&mut lines);
    assert_eq!(lines[0], "certificate for a.example issued by CN=Public CA verifies until 2027-01-15T08:00:00Z");
    lines.clear();
    handshake("CN=Public CA", Some(Invalid::WrongName)).describe(&mut lines);
    assert_eq!(
        lines[0],
        "the certificate does not verify: it is for other names; it is for a.example, issued by CN=Public CA, \
         valid 2023-11-14T22:13:20Z to 2027-01-15T08:00:00Z"
    );
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("the temporary folder is writable");
    file.write_all(text.as_bytes()).expect("the disk has room");
    file
}

#[test]
fn a_file_of_authorities_adds_to_what_is_trusted() {
    let both = file(&(Authority::new("one").pem() + &Authority::new("two").pem()));
    let trust = Trust::none().with_pem_file(both.path()).expect("two good certificates");
    assert_eq!(trust.len(), 2);
    let third = file(&Authority::new("three").pem());
    assert_eq!(trust.with_pem_file(third.path()).expect("a good certificate").len(), 3);
    assert_eq!(trust.len(), 2, "the first trust is unchanged");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_rule() {
    let junk = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    let rows = [
        (String::new(), "must hold at least one PEM certificate"),
        ("no certificates here\n".to_owned(), "must hold at least one PEM certificate"),
        (Authority::new("one").pem() + junk, "certificate 2 must be an X.509 authority"),
        ("-----BEGIN CERTIFICATE-----\nQUJD\n".to_owned(), "certificates must be readable PEM"),
    ];
    for (text, rule) in rows {
        let file = file(&text);
        let error = Trust::none().with_pem_file(file.path()).expect_err(rule).to_string();
        assert!(error.starts_with(&file.path().display().to_string()) && error.contains(rule), "{error}");
    }
    let error = Trust::none().with_pem_file("/nonexistent/roots.pem").expect_err("there is no such file").to_string();
    assert!(error.starts_with("/nonexistent/roots.pem: certificates must be readable PEM"), "{error}");
}

#[test]
fn dates_are_shown_in_utc() {
    assert_eq!(Utc(0).to_string(), "1970-01-01T00:00:00Z");
    assert_eq!(Utc(4_102_444_799).to_string(), "2099-12-31T23:59:59Z");
    assert!(Utc(i64::MAX).to_string().starts_with("second "));
}

/// A certificate that signs itself, of its own key.
fn own(name: &str) -> CertificateDer<'static> {
    Authority::new(name).der()
}

fn judged(chain: &[CertificateDer<'static>], trust: &Trust, name: &str) -> Judgement {
    let read: Vec<Certificate> = chain.iter().map(|der| certificate::read(der)).collect();
    let chain = path::Chain { certificates: chain, read: &read };
    trust.judge_now(chain, &server_name(name).expect("a test name"))
}

#[test]
fn a_chain_is_judged_with_a_reason() {
    let ours = Authority::new("Test CA");
    let trust = ours.trust();
    let good = ours.issue("a.example", 2020, 2099).chain;
    let rows = [
        (good.clone(), "a.example", None),
        (good.clone(), "b.example", Some(Invalid::WrongName)),
        (ours.issue("a.example", 2020, 2021).chain, "a.example", Some(Invalid::Expired)),
        (ours.issue("a.example", 2098, 2099).chain, "a.example", Some(Invalid::NotYetValid)),
        (Authority::new("Other").issue("a.example", 2020, 2099).chain, "a.example", Some(Invalid::UnknownIssuer)),
        (vec![own("a.example")], "a.example", Some(Invalid::UnknownIssuer)),
        (Vec::new(), "a.example", Some(Invalid::UnknownIssuer)),
    ];
    for (chain, name, invalid) in rows {
        assert_eq!(judged(&chain, &trust, name).invalid, invalid, "{name} {}", chain.len());
    }
}

/// Counts the signatures that are checked.
#[derive(Debug)]
struct Counting(&'static dyn SignatureVerificationAlgorithm, std::sync::atomic::AtomicUsize);

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

/// Judges a chain, and returns how many signatures were checked for it.
fn judged_by_counting(chain: &[CertificateDer<'static>], anchor: &Authority) -> (Judgement, usize) {
    let algorithms: Vec<Counting> =
        signatures::ALGORITHMS.all.iter().map(|one| Counting(*one, Default::default())).collect();
    let algorithms_as: Vec<_> = algorithms.iter().map(|one| one as &dyn SignatureVerificationAlgorithm).collect();
    let der = anchor.der();
    let anchors = [webpki::anchor_from_trusted_cert(&der).expect("an authority").to_owned()];
    let read: Vec<Certificate> = chain.iter().map(|der| certificate::read(der)).collect();
    let now = rustls::pki_types::UnixTime::since_unix_epoch(crate::clock::wall());
    let judge = path::Judge { anchors: &anchors, own: &[], algorithms: &algorithms_as, now };
    let chain = path::Chain { certificates: chain, read: &read };
    let judgement = judge.judge(chain, &server_name("a.example").expect("a test name"));
    (judgement, algorithms.iter().map(|one| one.1.load(std::sync::atomic::Ordering::Relaxed)).sum())
}

#[test]
fn authorities_of_one_name_cost_no_more_than_a_few_checks() {
    let twins: Vec<Authority> = (0..9).map(|_| Authority::new("Twin")).collect();
    let mut chain = twins[0].issue("a.example", 2020, 2099).chain;
    chain.extend((0..9).map(|place| twins[place].signed_by("Twin", &twins[(place + 1) % 9])));
    let (judgement, checks) = judged_by_counting(&chain, &Authority::new("Root"));
    assert_eq!(judgement.invalid, Some(Invalid::UnknownIssuer), "no name leads to an authority");
    assert!(checks <= 24, "{checks} checks");
    let (judgement, checks) = judged_by_counting(&chain, &Authority::new("Twin"));
    assert!(matches!(judgement.invalid, Some(Invalid::Beyond(_))), "{judgement:?}: some ways were not tried");
    assert!(checks <= 24, "{checks} checks");
    chain.swap(1, 3);
    let (judgement, checks) = judged_by_counting(&chain, &twins[3]);
    assert_eq!(judgement.invalid, None, "a way over the few that are tried is found");
    assert!(checks <= 24, "{checks} checks");
}

#[tokio::test]
async fn a_chain_that_was_verified_is_not_verified_again_and_another_is() {
    let ours = Authority::new("Test CA");
    let trust = ours.trust();
    let name = server_name("a.example").expect("a test name");
    let good = ours.issue("a.example", 2020, 2099).chain;
    let read: Vec<Certificate> = good.iter().map(|der| certificate::read(der)).collect();
    for _ in 0..3 {
        assert_eq!(trust.judge(&good, &read, &name).await.invalid, None);
    }
    assert_eq!(trust.verdicts().len(), 1);
    let other = Authority::new("Other").issue("a.example", 2020, 2099).chain;
    let read: Vec<Certificate> = other.iter().map(|der| certificate::read(der)).collect();
    assert_eq!(trust.judge(&other, &read, &name).await.invalid, Some(Invalid::UnknownIssuer));
    assert_eq!(trust.verdicts().len(), 2);
}

#[tokio::test]
async fn a_deadline_that_passes_while_a_chain_waits_for_its_turn_is_no_fault_of_the_peer() {
    let ours = Authority::new("Test CA");
    let trust = ours.trust();
    let config = ours.issue("127.0.0.1", 2020, 2099).server(&[]);
    let (address, served) = serve(move |stream| async move {
        drop(tokio_rustls::TlsAcceptor::from(config).accept(stream).await);
    })
    .await;
    let busy = trust.verdicts().occupy().await;
    let question = http::Question {
        scheme: http::Scheme::Https(Verify::Full),
        host: "127.0.0.1".to_owned(),
        port: address.port(),
        path: "/".to_owned(),
        proof: http::Proof::AnyResponse,
        session: http::Session::default(),
    };
    let outcome = ask(&Probe::Http(question), address, &trust, IMPATIENCE).await;
    let finding = outcome.verdict.finding().expect("nothing was verified");
    assert_eq!((finding.cause, finding.side), (Cause::LocalLimit, Side::Local));
    drop(busy);
    served.await.expect("the server ends");
}

#[test]
fn a_file_s_own_certificate_is_trusted_as_it_is_and_no_other_of_its_name() {
    let one = Authority::new("a.example");
    let trust = Trust::none().with_pem_file(file(&one.pem()).path()).expect("a good certificate");
    let invalid = |der| judged(&[der], &trust, "a.example").invalid;
    assert_eq!(invalid(one.der()), Some(Invalid::NoNames), "it is trusted, and has no alternative name");
    assert_eq!(invalid(own("a.example")), Some(Invalid::UnknownIssuer), "another of the same name is not");
}

#[test]
fn marks_between_certificates_are_passed_over() {
    let text = format!("\u{feff}{}\u{feff}{}", Authority::new("one").pem(), Authority::new("two").pem());
    let trust = Trust::none().with_pem_file(file(&text).path()).expect("two good certificates");
    assert_eq!(trust.len(), 2);
}

#[test]
fn the_verdict_comes_first_and_three_names_at_most_follow() {
    let mut shown = handshake("CN=Public CA", Some(Invalid::Expired));
    shown.chain[0].names = (0..15).map(|number| format!("n{number}.example")).collect();
    let mut lines = Vec::new();
    shown.describe(&mut lines);
    let expected = "does not verify: it has expired; it is for n0.example, n1.example, n2.example and more, issued by";
    assert!(lines[0].contains(expected), "{lines:?}");
}
