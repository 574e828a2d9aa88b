//! The configuration of both processes in one run, drawn from its seed: bounds so small that they are met.

use rand::Rng;
use rand::rngs::StdRng;

use crate::past::START;
use crate::world::Keys;

/// What a seed decides beside its operations.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Hours after midnight at which it begins.
    pub(crate) begins_at: u8,
    pub(crate) sources: usize,
    pub(crate) accounts: usize,
    pub(crate) regions: usize,
    pub(crate) page_max: usize,
    pub(crate) latency_ms: u64,
    /// How the queue that tells of new objects is read; none where there is no queue.
    pub(crate) post: Option<PostSettings>,
    /// CloudTrail signs digests of what it delivers, and the agent has their keys.
    pub(crate) digests: bool,
    /// Live listings begin with the first day; what was cut before is for backfills.
    pub(crate) past: bool,
    /// Lines of `agent.toml` and `aggregator.toml` behind what all seeds have.
    pub(crate) agent: String,
    pub(crate) aggregator: String,
}

/// How the queue is read.
#[derive(Debug, Clone)]
pub(crate) struct PostSettings {
    pub(crate) until_delivered: bool,
    pub(crate) park_strangers: bool,
    visibility: &'static str,
    messages_max: usize,
}

impl PostSettings {
    fn draw(random: &mut StdRng) -> Self {
        Self {
            until_delivered: random.random_bool(0.5),
            park_strangers: random.random_bool(0.3),
            visibility: one(random, &["10s", "30s", "5m"]),
            messages_max: one(random, &[1, 4, 1000]),
        }
    }

    /// `[sources.notifications]`
    fn toml(&self) -> String {
        let when = if self.until_delivered { "delivered" } else { "acknowledged" };
        let foreign = if self.park_strangers { "park" } else { "delete" };
        format!(
            "[sources.notifications]\nqueue = \"https://sqs.us-east-1.amazonaws.com/111111111111/trail\"\n\
             delete_when = \"{when}\"\nvisibility_timeout = \"{}\"\nforeign = \"{foreign}\"\nmessages_max = {}\n",
            self.visibility, self.messages_max,
        )
    }
}

/// Where CloudTrail delivers to.
pub(crate) const SOURCES: [&str; 2] = ["s3://acme-trail", "s3://acme-logs/some/prefix"];
/// What is delivered: everything, and management events alone.
pub(crate) const TRAILS: [&str; 2] = ["s3://all", "s3://management/only"];
pub(crate) const ACCOUNTS: [&str; 3] = ["111111111111", "222222222222", "333333333333"];
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// Days stay open so long after their end.
pub(crate) const LATENESS_HOURS: i64 = 26;

fn one<T: Copy>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}

impl Settings {
    /// `extra` decides what came to the simulation later, so that seeds stay as they were without it.
    pub(crate) fn draw(random: &mut StdRng, extra: &mut StdRng) -> Self {
        let sealed = random.random_ratio(1, 3);
        let agent = format!(
            "[discover]\npoll_interval_min = \"{}\"\npoll_interval_max = \"{}\"\nrefresh_interval = \"{}\"\nidle_interval_max = \"{}\"\nsweep_interval_max = \"15m\"\nlist_concurrency = {}\n\
             [fetch]\nconcurrency = {}\nmemory = \"4MiB\"\nobject_bytes_max = \"4MiB\"\n\
             [batch]\nbytes = \"{}\"\nobjects = {}\nage = \"{}\"\n\
             [ship]\nwindow = \"{}\"\nreconnect_max = \"{}\"\n",
            one(random, &["500ms", "2s", "10s"]),
            one(random, &["10s", "30s", "60s"]),
            one(random, &["15s", "60s"]),
            one(random, &["60s", "10m"]),
            one(random, &[1, 2, 16]),
            one(random, &[1, 3, 64]),
            one(random, &["1KiB", "64KiB"]),
            one(random, &[1, 3, 512]),
            one(random, &["0s", "200ms", "2s"]),
            one(random, &["64KiB", "1MiB", "32MiB"]),
            one(random, &["1s", "30s"]),
        );
        let mut aggregator = format!(
            "[journal]\ncapacity = \"{}\"\ncommit_bytes = \"{}\"\n[dedup]\nwindow = \"30d\"\nmemory = \"{}\"\n\
             [deliver]\nmerge_below = \"{}\"\nmerge_wait = \"{}\"\nobject_bytes_max = \"{}\"\nplan_bytes = \"{}\"\nconcurrency = {}\n",
            one(random, &["3KiB", "64KiB", "10GiB"]),
            one(random, &["1B", "2KiB", "16MiB"]),
            one(random, &["1B", "2KiB", "256MiB"]),
            one(random, &["0B", "400B", "64KiB"]),
            one(random, &["0s", "1s", "5s", "30s"]),
            one(random, &["1KiB", "16MiB"]),
            one(random, &["1B", "2KiB", "64MiB"]),
            one(random, &[1, 2, 8]),
        );
        aggregator += &format!("[digests]\ndelay = \"{}\"\n", one(random, &["0s", "1m", "30m"]));
        if sealed {
            aggregator +=
                &format!("[seal]\nkey_id = \"{}\"\nrecheck = \"{}\"\n", Keys::ID, one(random, &["5s", "60s"]));
        }
        Self {
            begins_at: random.random_range(0..24),
            sources: random.random_range(1..=2),
            accounts: random.random_range(1..=3),
            regions: random.random_range(1..=2),
            page_max: one(random, &[1, 2, 5, 1000]),
            latency_ms: one(random, &[0, 5, 50, 400]),
            digests: extra.random_bool(0.5),
            post: extra.random_bool(0.4).then(|| PostSettings::draw(extra)),
            past: false,
            agent,
            aggregator,
        }
    }

    /// A third of those with neither queue nor digests have a past.
    pub(crate) fn with_past(self, random: &mut StdRng) -> Self {
        Self { past: self.post.is_none() && !self.digests && random.random_ratio(1, 3), ..self }
    }

    /// `agent.toml`
    pub(crate) fn agent_toml(&self, state_dir: &str, keys: &str) -> String {
        let mut text = format!(
            "name = \"agent\"\nstate_dir = \"{state_dir}\"\n[aggregator]\nendpoint = \"http://127.0.0.1:7443\"\n\
             [health]\nlisten = \"127.0.0.1:0\"\n"
        );
        for location in &SOURCES[..self.sources] {
            text += &format!("[[sources]]\nlocation = \"{location}\"\n");
            if self.past {
                text += &format!("start = \"{START}\"\n");
            }
            if self.digests {
                text += &format!("digest_keys = \"file://{keys}\"\n");
            }
            text += &self.post.as_ref().map(PostSettings::toml).unwrap_or_default();
        }
        text + &self.agent
    }

    /// `aggregator.toml`
    pub(crate) fn aggregator_toml(&self, state_dir: &str) -> String {
        let [all, management] = TRAILS;
        format!(
            "state_dir = \"{state_dir}\"\nlisten = \"127.0.0.1:7443\"\n[health]\nlisten = \"127.0.0.1:0\"\n\
             [[agents]]\nname = \"agent\"\naccounts = [\"*\"]\n\
             [[trails]]\nname = \"all\"\nlocation = \"{all}\"\nevent_selectors = \"all\"\norganization_id = \"o-simulated1\"\n\
             signing_key_id = \"sim\"\nsns_topic = \"sim\"\n\
             [[trails]]\nname = \"management\"\nlocation = \"{management}\"\n"
        ) + &self.aggregator
    }
}
