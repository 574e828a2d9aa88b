//! Mutual TLS from files: a certificate, its key, and the authority that signed the other side.
//!
//! It owns reading and checking the files, so that a wrong one is named at the start instead of failing every
//! handshake. It does not own who may do what: the server's owner reads the client certificate's names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::config::{Check, Problems};

/// Where the files are. All three are PEM, and all three are needed: both sides prove who they are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// This side's certificate, followed by intermediate ones if there are any.
    pub cert_file: PathBuf,
    /// The private key of the first certificate in `cert_file`. Should be readable by the process's user alone.
    pub key_file: PathBuf,
    /// The certificates of the authorities that the other side's certificate must be signed by.
    pub ca_file: PathBuf,
}

impl Check for Tls {
    /// Only what can be said without touching the files: a configuration is also checked on other machines.
    fn check(&self, problems: &mut Problems) {
        for (key, path) in [("cert_file", &self.cert_file), ("key_file", &self.key_file), ("ca_file", &self.ca_file)] {
            if path.as_os_str().is_empty() {
                problems.push(key, "missing; name a PEM file (mutual TLS needs cert_file, key_file and ca_file)");
            }
        }
    }
}

/// What is wrong with a TLS file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read {key} {}: {source}", .path.display())]
    Read {
        /// The configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what the key asks for.
    #[error("read {key} {}: {problem}", .path.display())]
    Content {
        /// The configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// The files' contents, checked.
struct Material {
    identity: Identity,
    authorities: Certificate,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
}

impl Tls {
    /// The server's side. A client must show a certificate signed by `ca_file`; there is no way to make that optional.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn server(&self) -> Result<ServerTlsConfig, Error> {
        let material = self.read()?;
        Ok(ServerTlsConfig::new()
            .identity(material.identity)
            .client_ca_root(material.authorities)
            .client_auth_optional(false))
    }

    /// The server's side for a server that isn't tonic's: HTTP/1.1 with the same rules.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let material = self.read()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(material.roots), Arc::clone(&provider)).build();
        let verifier =
            verifier.map_err(|error| content("ca_file", &self.ca_file, format!("cannot be used: {error}")))?;
        let unusable = |error| content("cert_file", &self.cert_file, format!("cannot be used: {error}"));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_client_cert_verifier(verifier).with_single_cert(material.chain, material.key)
            })
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The client's side. The server is checked against `domain` if given, else against the host of the address that is
    /// called.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn client(&self, domain: Option<&str>) -> Result<ClientTlsConfig, Error> {
        let material = self.read()?;
        let config = ClientTlsConfig::new().identity(material.identity).ca_certificate(material.authorities);
        Ok(match domain {
            Some(domain) => config.domain_name(domain),
            None => config,
        })
    }

    fn read(&self) -> Result<Material, Error> {
        use_ring();
        let cert_pem = read("cert_file", &self.cert_file)?;
        let chain = certificates("cert_file", &self.cert_file, &cert_pem)?;
        let key_pem = read("key_file", &self.key_file)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|error| content("key_file", &self.key_file, pem_problem(&error, "private key")))?;
        warn_if_others_can_read(&self.key_file);
        // Builds the signer and compares the public keys: both errors would otherwise show only at a handshake.
        rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &rustls::crypto::ring::default_provider())
            .map_err(|error| {
                let problem = match error {
                    rustls::Error::InconsistentKeys(_) => {
                        format!("is not the key of the certificate in {}", self.cert_file.display())
                    }
                    other => format!("cannot be used: {other}"),
                };
                content("key_file", &self.key_file, problem)
            })?;
        let ca_pem = read("ca_file", &self.ca_file)?;
        let mut roots = RootCertStore::empty();
        for authority in certificates("ca_file", &self.ca_file, &ca_pem)? {
            roots.add(authority).map_err(|error| {
                content("ca_file", &self.ca_file, format!("holds a certificate that cannot be used: {error}"))
            })?;
        }
        let (identity, authorities) = (Identity::from_pem(cert_pem, key_pem), Certificate::from_pem(ca_pem));
        Ok(Material { identity, authorities, chain, key, roots })
    }
}

/// Makes ring the process's provider of cryptography, for those who ask for none by name, such as tonic. A library that
/// brings another one along would leave them without any.
pub fn use_ring() {
    // An error says that it was done before.
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { key, path: path.to_owned(), source })
}

fn content(key: &'static str, path: &Path, problem: String) -> Error {
    Error::Content { key, path: path.to_owned(), problem }
}

fn certificates(key: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| content(key, path, pem_problem(&error, "certificate")))?;
    if found.is_empty() {
        return Err(content(key, path, pem_problem(&PemError::NoItemsFound, "certificate")));
    }
    Ok(found)
}

fn pem_problem(error: &PemError, wanted: &str) -> String {
    match error {
        PemError::NoItemsFound => format!("holds no PEM {wanted}; it should have a `-----BEGIN …-----` line of one"),
        other => format!("is not valid PEM: {other}"),
    }
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map(|meta| meta.permissions().mode()).unwrap_or_default();
    if mode & 0o004 != 0 {
        tracing::warn!(file.path = %path.display(), "the private key can be read by every user; chmod o-rwx it");
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_path: &Path) {}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        tls: Tls,
    }

    fn files() -> Files {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["acme".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let tls = Tls {
            cert_file: write("cert.pem", cert.pem()),
            key_file: write("key.pem", key.serialize_pem()),
            ca_file: write("ca.pem", authority.pem()),
        };
        Files { dir, tls }
    }

    fn problem(tls: &Tls) -> String {
        tls.server().expect_err("a file is wrong").to_string()
    }

    #[test]
    fn good_files_serve_both_sides() {
        let files = files();
        files.tls.server().unwrap();
        files.tls.server_config().unwrap();
        files.tls.client(None).unwrap();
        files.tls.client(Some("aggregator.example")).unwrap();
    }

    #[test]
    fn a_missing_file_is_named_with_its_key() {
        let mut files = files();
        files.tls.ca_file = files.dir.path().join("none.pem");
        let said = problem(&files.tls);
        assert!(said.starts_with("read ca_file ") && said.contains("none.pem: No such file"), "{said}");
    }

    #[test]
    fn files_that_were_mixed_up_are_named() {
        let files = files();
        let swapped = Tls { cert_file: files.tls.key_file.clone(), ..files.tls.clone() };
        assert!(problem(&swapped).contains("key.pem: holds no PEM certificate"), "{}", problem(&swapped));
        let swapped = Tls { key_file: files.tls.cert_file.clone(), ..files.tls.clone() };
        assert!(problem(&swapped).contains("cert.pem: holds no PEM private key"), "{}", problem(&swapped));
        let text = files.dir.path().join("notes.txt");
        fs::write(&text, "my certificates").unwrap();
        let wrong = Tls { ca_file: text, ..files.tls.clone() };
        assert!(problem(&wrong).contains("read ca_file"), "{}", problem(&wrong));
    }

    #[test]
    fn a_key_of_another_certificate_is_found_before_the_first_handshake() {
        let files = files();
        let other = self::files();
        let mixed = Tls { key_file: other.tls.key_file.clone(), ..files.tls.clone() };
        assert!(problem(&mixed).contains("is not the key of the certificate in "), "{}", problem(&mixed));
    }

    #[test]
    fn all_three_files_are_asked_for() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            tls: Tls,
        }
        impl Check for Outer {
            fn check(&self, problems: &mut Problems) {
                problems.within("tls", |problems| self.tls.check(problems));
            }
        }
        let error = crate::config::parse::<Outer>(Path::new("a.toml"), "[tls]\ncert_file = \"c.pem\"\n").unwrap_err();
        let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["tls.ca_file", "tls.key_file"]);
    }
}
