//! Which agents may speak, and for which accounts (I8).

use std::collections::HashMap;

use orgtrail_proto::Peer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config;

/// The registered agents.
#[derive(Debug)]
pub(crate) struct Agents {
    by_name: HashMap<String, Accounts>,
}

/// The accounts that an agent speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// `["*"]`
    All,
    /// Exactly these.
    Listed(Vec<String>),
}

impl Accounts {
    pub(crate) fn contain(&self, account: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(accounts) => accounts.iter().any(|listed| listed == account),
        }
    }
}

/// Why a stream is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("agent \"{0}\" is not registered: add it under [[agents]] of the aggregator's configuration")]
    Unknown(String),
    #[error("agent \"{name}\" speaks with a certificate for {names:?}: its DNS names must hold the agent's name")]
    OtherName { name: String, names: Vec<String> },
    #[error("client certificate can't be read: {0}")]
    Certificate(String),
}

impl Agents {
    pub(crate) fn new(agents: &[config::Agent]) -> Self {
        let accounts = |agent: &config::Agent| {
            if agent.accounts.iter().any(|account| account == "*") {
                Accounts::All
            } else {
                Accounts::Listed(agent.accounts.clone())
            }
        };
        Self { by_name: agents.iter().map(|agent| (agent.name.clone(), accounts(agent))).collect() }
    }

    /// The accounts that the peer may speak for. Under mutual TLS the certificate decides who it is; plaintext is only
    /// listened for on loopback, where the name it gives is believed.
    pub(crate) fn admit(&self, peer: &Peer, name: &str) -> Result<Accounts, Refused> {
        if let Peer::Certificate(chain) = peer {
            let names = dns_names(chain)?;
            if !names.iter().any(|listed| listed == name) {
                return Err(Refused::OtherName { name: name.to_owned(), names });
            }
        }
        self.by_name.get(name).cloned().ok_or_else(|| Refused::Unknown(name.to_owned()))
    }
}

fn dns_names(chain: &[Vec<u8>]) -> Result<Vec<String>, Refused> {
    let leaf = chain.first().ok_or_else(|| Refused::Certificate("the chain is empty".to_owned()))?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| Refused::Certificate(error.to_string()))?;
    let extension = certificate.subject_alternative_name().map_err(|error| Refused::Certificate(error.to_string()))?;
    let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
    Ok(names
        .filter_map(|name| if let GeneralName::DNSName(dns) = name { Some((*dns).to_owned()) } else { None })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> Agents {
        let agent = |name: &str, accounts: &[&str]| config::Agent {
            name: name.to_owned(),
            accounts: accounts.iter().map(|account| (*account).to_owned()).collect(),
        };
        Agents::new(&[agent("acme", &["111122223333"]), agent("all", &["*"])])
    }

    fn certificate(name: &str) -> Peer {
        let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        Peer::Certificate(vec![key.cert.der().to_vec()])
    }

    #[test]
    fn an_agent_is_heard_only_for_its_accounts() {
        let accounts = agents().admit(&Peer::Plaintext, "acme").expect("registered");
        assert!(accounts.contain("111122223333"));
        assert!(!accounts.contain("444455556666"));
        assert!(agents().admit(&Peer::Plaintext, "all").expect("registered").contain("444455556666"));
    }

    #[test]
    fn an_unknown_agent_is_refused() {
        assert_eq!(agents().admit(&Peer::Plaintext, "eve"), Err(Refused::Unknown("eve".to_owned())));
    }

    #[test]
    fn the_certificate_decides_who_it_is() {
        assert!(agents().admit(&certificate("acme"), "acme").is_ok());
        let refused = agents().admit(&certificate("eve"), "acme");
        assert!(matches!(refused, Err(Refused::OtherName { .. })), "{refused:?}");
        assert!(matches!(agents().admit(&Peer::Certificate(vec![vec![1, 2]]), "acme"), Err(Refused::Certificate(_))));
    }
}
