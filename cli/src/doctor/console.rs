//! A trail of the console: its list of public keys.

use orgtrail_console::TrailConfig;
use orgtrail_event::digest::PublicKeys;

use super::check::{Advice, Chain, Check};

const PUBLIC_KEYS: &str = "public keys";

/// Reads what the console would serve.
pub(super) async fn trail(config: &TrailConfig) -> Vec<Check> {
    let mut chain = Chain::new(format!("trail {}", config.name));
    let Some(path) = &config.public_keys else {
        chain.skip(PUBLIC_KEYS, "no `public_keys`: the trail shows no log file validation");
        return chain.end();
    };
    match std::fs::read(path).map_err(|error| error.to_string()) {
        Err(error) => {
            let text = "the aggregator makes the file with its first digest: name public-keys.json in its state folder, and let \
                        the console's user read it";
            chain.fail(PUBLIC_KEYS, format!("read {}: {error}", path.display()), vec![Advice::text(text)]);
        }
        Ok(json) => match PublicKeys::from_json(&json) {
            Ok(keys) => chain.ok(PUBLIC_KEYS, format!("{} in {}", keys.iter().count(), path.display())),
            Err(error) => chain.fail(PUBLIC_KEYS, format!("read {}: {error}", path.display()), Vec::new()),
        },
    }
    chain.end()
}
