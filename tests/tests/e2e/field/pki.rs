//! Certificates as odd as openssl's command line makes them, and openssl's server that shows them.

use std::{fs, path::Path, process::Command};

use super::world::World;
use crate::process::{Program, require, run};

/// A public key infrastructure in the folder of a test.
pub(crate) struct Pki<'a> {
    world: &'a World,
}

/// What is special about a certificate.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The key: an algorithm of `openssl genpkey` and its options.
    pub(crate) key: &'a [&'a str],
    /// The hash of its signature, with further options for signing.
    pub(crate) signed: &'a [&'a str],
    /// Its subject.
    pub(crate) subject: &'a str,
    /// Lines of its extension section.
    pub(crate) extensions: &'a str,
    /// Start and end of its validity (RFC 5280 section 4.1.2.5.2, GeneralizedTime).
    pub(crate) validity: [&'a str; 2],
}

pub(crate) const P256: &[&str] = &["EC", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["EC", "ec_paramgen_curve:P-384"];
pub(crate) const P521: &[&str] = &["EC", "ec_paramgen_curve:P-521"];
pub(crate) const BRAINPOOL: &[&str] = &["EC", "ec_paramgen_curve:brainpoolP256r1"];
pub(crate) const RSA_1024: &[&str] = &["RSA", "rsa_keygen_bits:1024"];
pub(crate) const RSA_2048: &[&str] = &["RSA", "rsa_keygen_bits:2048"];
pub(crate) const RSA_PSS: &[&str] = &["RSA-PSS", "rsa_keygen_bits:2048"];
pub(crate) const ED448: &[&str] = &["ED448"];
/// The extensions of an authority.
pub(crate) const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";
/// A validity that is over.
pub(crate) const OVER: [&str; 2] = ["20190101000000Z", "20200101000000Z"];

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            key: P256,
            signed: &["sha256"],
            subject: "/CN=web.example",
            extensions: "basicConstraints=CA:FALSE\nsubjectAltName=DNS:web.example",
            validity: ["20180101000000Z", "20980101000000Z"],
        }
    }
}

impl<'a> Pki<'a> {
    /// An infrastructure whose authority `ca` has a key on P-256; `None` with a loud skip where openssl is missing.
    pub(crate) fn new(world: &'a World) -> Option<Self> {
        if !require("openssl", "openssl") {
            return None;
        }
        let pki = Self { world };
        pki.authority("ca", Wish::default());
        Some(pki)
    }

    /// The path of a file, as an argument.
    pub(crate) fn path(&self, name: &str) -> String {
        self.world.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// Makes a key and a certificate that signs itself.
    pub(crate) fn authority(&self, name: &str, wish: Wish<'_>) {
        let subject = format!("/CN=Lab {name}");
        let extensions = if wish.extensions == Wish::default().extensions { AUTHORITY } else { wish.extensions };
        let subject = if wish.subject == Wish::default().subject { &subject } else { wish.subject };
        self.issue(name, name, Wish { subject, extensions, ..wish });
    }

    /// Makes a key, and a certificate for it by another's.
    pub(crate) fn issue(&self, name: &str, by: &str, wish: Wish<'_>) {
        let (algorithm, options) = wish.key.split_first().expect("an algorithm");
        let mut make = vec!["genpkey", "-algorithm", algorithm];
        options.iter().for_each(|option| make.extend(["-pkeyopt", option]));
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        make.extend(["-out", &key]);
        self.openssl(&make);
        self.openssl(&["req", "-new", "-key", &key, "-subj", wish.subject, "-out", &request, "-config", "/dev/null"]);
        self.sign(name, name, by, wish);
    }

    /// Makes one more certificate for the key of `of`.
    pub(crate) fn sign(&self, name: &str, of: &str, by: &str, wish: Wish<'_>) {
        let (hash, options) = wish.signed.split_first().expect("a hash");
        let config = format!(
            "[ca]\ndefault_ca=one\n[one]\ndatabase={name}.index\nrand_serial=yes\nnew_certs_dir=.\npolicy=any\n\
             unique_subject=no\n[any]\nC=optional\nO=optional\nCN=optional\n[v3]\n{}\n",
            wish.extensions
        );
        let (configuration, request, certificate) = (format!("{name}.cnf"), format!("{of}.csr"), format!("{name}.pem"));
        self.world.file(&configuration, config);
        self.world.file(&format!("{name}.index"), "");
        let (signer, key) = (format!("{by}.pem"), format!("{by}.key"));
        let mut make = vec!["ca", "-batch", "-notext", "-preserveDN", "-config", &configuration, "-extensions", "v3"];
        make.extend(["-in", &request, "-out", &certificate, "-keyfile", &key, "-md", hash]);
        make.extend(["-startdate", wish.validity[0], "-enddate", wish.validity[1]]);
        if by == of {
            make.push("-selfsign");
        } else {
            make.extend(["-cert", &signer]);
        }
        options.iter().for_each(|option| make.extend(["-sigopt", option]));
        self.openssl(&make);
    }

    /// Puts certificates into one file, in this order.
    pub(crate) fn chain(&self, name: &str, of: &[&str]) {
        let text: String = of.iter().map(|one| self.read(&format!("{one}.pem"))).collect();
        self.world.file(&format!("{name}.pem"), text);
    }

    /// The text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("openssl wrote it")
    }

    /// Runs openssl in the folder, and holds it to success.
    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let folder: &Path = self.world.folder.path();
        let output = run(Command::new("openssl").args(arguments).current_dir(folder));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// openssl's server on a port of the network: it shows these certificates, leaf first, and answers a request by a page
    /// about itself.
    pub(crate) fn serve(&self, port: u16, chain: &[&str], more: &[&str]) -> Program {
        let (leaf, rest) = chain.split_first().expect("a leaf");
        let (listen, file, key) =
            (port.to_string(), self.path(&format!("{leaf}.pem")), self.path(&format!("{leaf}.key")));
        let mut arguments = vec!["s_server", "-www", "-accept", &listen, "-cert", &file, "-key", &key];
        let others = self.path(&format!("{leaf}.rest.pem"));
        if !rest.is_empty() {
            self.chain(&format!("{leaf}.rest"), rest);
            arguments.extend(["-cert_chain", &others]);
        }
        arguments.extend(more);
        self.world.program("openssl", &arguments, port)
    }
}
