//! A certificate authority for mutual TLS between test processes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Signs certificates into a folder.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, whose own certificate is `ca.pem` in the folder.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "orgtrail test authority");
        let certificate = params.self_signed(&key)?;
        std::fs::write(dir.join("ca.pem"), certificate.pem()).context("write the authority's certificate")?;
        Ok(Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Signs a certificate for these DNS names; the three lines that a `[tls]` table needs.
    pub fn sign(&self, file: &str, dns_names: &[&str]) -> anyhow::Result<String> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        let (cert_file, key_file) = (self.dir.join(format!("{file}.pem")), self.dir.join(format!("{file}.key")));
        std::fs::write(&cert_file, certificate.pem())?;
        std::fs::write(&key_file, key.serialize_pem())?;
        Ok(format!(
            "cert_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"\n",
            cert_file.display(),
            key_file.display(),
            self.dir.join("ca.pem").display()
        ))
    }
}
