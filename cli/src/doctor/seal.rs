//! The seal of an aggregator: a data key is drawn and decrypted, bound to what the aggregator's own are bound to.

use orgtrail_aggregator::config::{Config, SealConfig};
use orgtrail_aggregator::seal::encryption_context;
use orgtrail_cloud::{ErrorKind, open_key_service};

use super::advice::{self, Scene};
use super::check::{Advice, Chain, Check};
use super::statement::{Holder, Wanted};
use super::{Context, credentials};

const SEAL: &str = "seal key";

/// Walks the `[seal]` table.
pub(super) async fn seal(seal: &SealConfig, config: &Config, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new("seal");
    let is_file = seal.key_id.starts_with("file://");
    let mut scene = Scene { who: None, region: seal.connection.region.clone() };
    if !is_file {
        scene.who = credentials::walk(&seal.connection, &mut chain, context).await;
        if scene.who.is_none() {
            chain.skip_all(&[SEAL]);
            return chain.end();
        }
    }
    let bound = encryption_context(config);
    let drawn = async {
        let service = open_key_service(&seal.key_id, &seal.connection).await?;
        let drawn = service.generate_data_key(&seal.key_id, &bound).await?;
        let again = service.decrypt(&drawn.ciphertext, &bound).await?;
        Ok(again.bytes() == drawn.plaintext.bytes())
    };
    match context.call("draw a data key from", &seal.key_id, drawn).await {
        Ok(true) => chain.ok(SEAL, format!("{}: a data key was drawn and decrypted", seal.key_id)),
        Ok(false) => chain.fail(SEAL, format!("{}: decrypts to another key than it drew", seal.key_id), Vec::new()),
        Err(error) if is_file => {
            let text = "put the key file back, and let the aggregator's user alone read it; what it sealed can't be read without it";
            chain.fail(SEAL, error.to_string(), vec![Advice::text(text)]);
        }
        Err(error) => {
            let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
            let wanted = Wanted::new("OrgtrailSeals", &actions, seal.key_id.clone(), Holder::Key);
            let condition = serde_json::json!({"Null": {"kms:EncryptionContext:orgtrail:state-dir": "false"}});
            let wanted = Wanted { condition: Some(condition), ..wanted };
            let mut advice = advice::of(&error, &wanted, &scene);
            if *error.kind() == ErrorKind::Invalid && advice.is_empty() {
                advice.push(Advice::text("it must be a symmetric key with KeyUsage ENCRYPT_DECRYPT"));
            }
            chain.fail(SEAL, error.to_string(), advice);
        }
    }
    chain.end()
}
