//! A certificate authority for mutual TLS between test processes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::civil::Date;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

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
        self.sign_until(file, dns_names, None)
    }

    /// The same for a certificate that ends with the beginning of a day.
    pub fn sign_until(&self, file: &str, dns_names: &[&str], end: Option<Date>) -> anyhow::Result<String> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        if let Some(end) = end {
            params.not_after = date_time_ymd(end.year().into(), end.month().unsigned_abs(), end.day().unsigned_abs());
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
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
