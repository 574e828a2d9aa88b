//! `orgtrail keys create|list|public`: the keys that sign digests and seal the aggregator's disk.
//!
//! Owns what is printed of keys. Does not own keys: key files and KMS are the cloud crate's, the list of keys that signed is
//! the aggregator's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use orgtrail_aggregator::digest::{NO_END, PUBLIC_KEYS_FILE};
use orgtrail_cloud::key_service::LocalKeyService;
use orgtrail_cloud::signer::LocalSigner;
use orgtrail_cloud::{Connection, Signer, open_signer};
use orgtrail_event::digest::{ListedKey, PublicKey, PublicKeys};
use orgtrail_service::clock;
use orgtrail_service::run::Exit;

use crate::runtime::block_on;
use crate::setup::{Content, load};
use crate::terminal::{end, table};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a key file, readable by its owner alone. Never replaces one.
    Create(Create),
    /// The public keys that ever signed digests here.
    List(List),
    /// The public key of a signing key, for auditors, in the form of `aws cloudtrail list-public-keys`.
    Public(Public),
}

/// `keys create`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Create {
    /// An RSA key of 2048 bits as PEM, for `signing_key_id` of a trail.
    #[arg(long, value_name = "FILE")]
    signing: Option<PathBuf>,
    /// An AES key of 256 bits, for `key_id` of `[seal]`.
    #[arg(long, value_name = "FILE")]
    sealing: Option<PathBuf>,
}

/// `keys list`
#[derive(Debug, Args)]
pub struct List {
    /// Configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// The document that `aws cloudtrail list-public-keys` prints.
    #[arg(long)]
    json: bool,
}

/// `keys public`
#[derive(Debug, Args)]
pub struct Public {
    /// The key: ARN, id or alias of a KMS key, or `file:///path.pem`. KMS is reached as the AWS CLI would: by `AWS_REGION`,
    /// `AWS_PROFILE` and so on.
    key_id: String,
}

/// Runs the verb.
pub fn run(verb: Verb) -> ExitCode {
    end(text(&verb).map(|text| {
        print!("{text}");
        Exit::Ok
    }))
}

fn text(verb: &Verb) -> anyhow::Result<String> {
    match verb {
        Verb::Create(Create { signing: Some(path), .. }) => create_signing(path),
        Verb::Create(Create { sealing: Some(path), .. }) => create_sealing(path),
        Verb::Create(_) => anyhow::bail!("write --signing FILE or --sealing FILE"),
        Verb::List(list) => list_text(list),
        Verb::Public(public) => public_text(&public.key_id),
    }
}

fn create_signing(path: &Path) -> anyhow::Result<String> {
    let path = absolute(path)?;
    LocalSigner::create(&path)?;
    let signer = LocalSigner::open(&path)?;
    let fingerprint = block_on(public_key(&signer))?.fingerprint().to_owned();
    let mut text = format!("made {}: an RSA key of 2048 bits, for its owner alone\n\n", path.display());
    writeln!(text, "public key fingerprint: {fingerprint}")?;
    writeln!(text, "write into a [[trails]] table of the aggregator's configuration:")?;
    writeln!(text, "  signing_key_id = {}", toml::Value::from(signer.key_id()))?;
    writeln!(text, "whoever reads the file can sign in your name; the process's user must own it")?;
    Ok(text)
}

fn create_sealing(path: &Path) -> anyhow::Result<String> {
    let path = absolute(path)?;
    LocalKeyService::create(&path)?;
    let key_id = LocalKeyService::open(&path)?.key_id();
    let mut text = format!("made {}: an AES key of 256 bits, for its owner alone\n\n", path.display());
    writeln!(text, "write into the aggregator's configuration:")?;
    writeln!(text, "  [seal]\n  key_id = {}", toml::Value::from(key_id))?;
    writeln!(text, "keep a copy off this machine: without it nothing that was sealed is ever read again")?;
    Ok(text)
}

/// The id of a key file holds its whole path, wherever the process is started later.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("find the folder of {}", path.display()))
}

/// The keys that ever signed for the aggregators of a configuration, and the files that were looked at.
pub(crate) fn configured(config: &Path) -> anyhow::Result<(PublicKeys, Vec<PathBuf>)> {
    let mut keys = PublicKeys::new();
    let mut looked_at = Vec::new();
    for file in load(config)? {
        let Content::Aggregator(config) = &file.content else { continue };
        let path = config.state_dir.join(PUBLIC_KEYS_FILE);
        match std::fs::read(&path) {
            Ok(json) => {
                let there = PublicKeys::from_json(&json).with_context(|| path.display().to_string())?;
                there.iter().for_each(|key| keys.add(key.clone()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        }
        looked_at.push(path);
    }
    Ok((keys, looked_at))
}

fn list_text(list: &List) -> anyhow::Result<String> {
    let (keys, looked_at) = configured(&list.config)?;
    anyhow::ensure!(!looked_at.is_empty(), "{}: no aggregator's configuration", list.config.display());
    if list.json {
        return Ok(keys.to_json());
    }
    if keys.is_empty() {
        let files: Vec<_> = looked_at.iter().map(|path| path.display().to_string()).collect();
        return Ok(format!("nothing was signed yet: {} is not there\n", files.join(", ")));
    }
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let row = |key: &ListedKey| vec![key.fingerprint.clone(), time(key.validity_start), time(key.validity_end)];
    let rows = keys.iter().map(row).collect();
    Ok(format!("{}\n", table(3, &["FINGERPRINT", "VALID FROM", "VALID UNTIL"], rows)))
}

fn public_text(key_id: &str) -> anyhow::Result<String> {
    let key = block_on(async {
        let signer = open_signer(key_id, &Connection::default()).await?;
        public_key(&*signer).await
    })?;
    let end = NO_END.parse().expect("a time");
    let from = Timestamp::from_second(clock::system().now().as_second()).expect("now, without its fraction");
    let keys: PublicKeys = [ListedKey::new(key, from, end)].into_iter().collect();
    Ok(keys.to_json())
}

async fn public_key(signer: &dyn Signer) -> anyhow::Result<PublicKey> {
    Ok(PublicKey::from_der(&signer.public_key().await?)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn public(key_id: String) -> anyhow::Result<PublicKeys> {
        let text = text(&Verb::Public(Public { key_id }))?;
        Ok(PublicKeys::from_json(text.as_bytes())?)
    }

    #[test]
    fn a_signing_key_is_made_once_and_gives_its_public_key_to_auditors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signing.pem");
        let create = Verb::Create(Create { signing: Some(path.clone()), sealing: None });
        let made = text(&create).unwrap();
        let key_id = format!("file://{}", path.display());
        assert!(made.contains(&format!("signing_key_id = \"{key_id}\"\n")), "{made}");

        let keys = public(key_id).unwrap();
        let [key] = &keys.iter().collect::<Vec<_>>()[..] else { panic!("one key is one entry") };
        assert!(made.contains(&key.fingerprint), "{made}");
        assert_eq!(key.value.len(), 270, "PKCS#1 of 2048 bits");
        assert!(key.validity_start <= clock::system().now() && key.validity_end > clock::system().now());

        let before = fs::read(&path).unwrap();
        let error = text(&create).unwrap_err().to_string();
        assert!(error.contains("already exists") && error.contains("signing.pem"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_sealing_key_is_made_once_and_is_no_signing_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        let create = Verb::Create(Create { signing: None, sealing: Some(path.clone()) });
        let made = text(&create).unwrap();
        assert!(made.contains(&format!("key_id = \"file://{}\"\n", path.display())), "{made}");
        assert!(text(&create).unwrap_err().to_string().contains("already exists"));
        let error = public(format!("file://{}", path.display())).unwrap_err().to_string();
        assert!(error.contains("no private key as PEM"), "{error}");
    }

    #[test]
    fn the_keys_that_signed_are_listed_as_a_table_and_as_the_document() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("aggregator.toml");
        let state = dir.path().join("state");
        let trail = format!("[[trails]]\nname = \"audit\"\nlocation = \"file://{}/trail\"\n", dir.path().display());
        let agents = "[[agents]]\nname = \"a\"\naccounts = [\"111122223333\"]\n";
        fs::write(&config, format!("state_dir = \"{}\"\n{trail}{agents}", state.display())).unwrap();
        let list = |json| text(&Verb::List(List { config: config.clone(), json }));
        let empty = list(false).unwrap();
        assert!(empty.contains("nothing was signed yet") && empty.contains("public-keys.json"), "{empty}");

        fs::create_dir(&state).unwrap();
        let document = r#"{"PublicKeyList":[{"Value":"MAYCAQMCAQM=","ValidityStartTime":1767225600,
            "ValidityEndTime":"2026-06-01T00:00:00Z","Fingerprint":"2a34fabdffb91a6d74db62321c9e1d5f"}]}"#;
        fs::write(state.join(PUBLIC_KEYS_FILE), document).unwrap();
        let shown = list(false).unwrap();
        let last: Vec<&str> = shown.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["2a34fabdffb91a6d74db62321c9e1d5f", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"]);
        let again = PublicKeys::from_json(list(true).unwrap().as_bytes()).unwrap();
        assert_eq!(again, PublicKeys::from_json(document.as_bytes()).unwrap());

        fs::write(state.join(PUBLIC_KEYS_FILE), "{").unwrap();
        assert!(list(false).unwrap_err().to_string().contains("public-keys.json"));
    }
}
