//! What is done to the queue and its messages: how it is drawn, and how it is carried out.

use std::time::Duration;

use jiff::SignedDuration;
use orgtrail_cloud::{ErrorKind, ObjectStore as _};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::{About, Event, Trouble};
use crate::operations::Place;
use crate::run::Run;
use crate::settings::Settings;

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum PostOperation {
    /// So many of the events that were held back are told.
    Release { count: usize },
    /// An earlier object is told of again.
    Again { nth: usize },
    /// A message that can't be read.
    Poison { nth: usize },
    /// A message about a bucket that no source holds.
    Stranger,
    /// A message that says that something is set up.
    Control { nth: usize },
    /// The message of a new object comes before the object.
    Early { place: Place, by: Duration },
    /// A message of an object that was never there.
    Ghost { place: Place },
    /// For a while, calls to the queue fail.
    Trouble { verb: &'static str, kind: ErrorKind, one_in: u32, answer_lost: bool, span: Duration },
}

const POISONS: [&str; 4] = [
    "no JSON at all",
    r#"{"Records":[{"eventVersion":"3.0","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}"#,
    r#"{"Records":[{"eventVersion":"2.1","eventName":"ObjectCreated:Put","s3":{"bucket":{},"object":{"key":"k"}}}]}"#,
    r#"{"Type":"Notification","TopicArn":"arn:aws:sns:us-east-1:111111111111:trail","Message":"{\"Records\":[{\"s3\":{"}"#,
];
const CONTROLS: [&str; 3] = [
    "CloudTrail validation message.",
    r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-03-01T00:00:00.000Z","Bucket":"acme-trail"}"#,
    r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:us-east-1:111111111111:trail","Message":"You have chosen"}"#,
];
const STRANGER: &str = r#"{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"somebody-else"},"object":{"key":"a/b.json.gz","size":5}}}"#;
/// How an entry about what no source holds begins.
pub(crate) const STRANGER_SUBJECT: &str = "bucket somebody-else, told of by ";

impl PostOperation {
    pub(crate) fn draw(random: &mut StdRng, settings: &Settings) -> Self {
        let place = Place::draw(random, settings);
        let mut span = |most: u64| Duration::from_millis(random.random_range(0..=most));
        let (by, long) = (span(4_000), span(40_000));
        match random.random_range(0..20) {
            0..=4 => Self::Release { count: random.random_range(1..5) },
            5..=7 => Self::Again { nth: random.random_range(0..1000) },
            8 | 9 => Self::Poison { nth: random.random_range(0..POISONS.len()) },
            10 => Self::Stranger,
            11 => Self::Control { nth: random.random_range(0..CONTROLS.len()) },
            12 | 13 => Self::Early { place, by },
            14 => Self::Ghost { place },
            _ => Self::Trouble {
                verb: ["receive", "extend", "delete", "delete", "depth"][random.random_range(0..5)],
                kind: [ErrorKind::Throttled, ErrorKind::Denied, ErrorKind::Unavailable, ErrorKind::ContainerMissing]
                    [random.random_range(0..4)]
                .clone(),
                one_in: [1, 2, 4][random.random_range(0..3)],
                answer_lost: random.random_bool(0.3),
                span: long,
            },
        }
    }

    pub(crate) async fn perform(&self, run: &mut Run) {
        let Some(post) = run.world.post.clone() else { return };
        let now = run.world.time.now();
        match self {
            Self::Release { count } => post.release(*count, now),
            Self::Again { nth } => {
                if run.model.objects.is_empty() {
                    return;
                }
                let object = &run.model.objects[nth % run.model.objects.len()];
                let (source, key) = (object.source, object.key.clone());
                let Ok(meta) = run.world.sources[source].store.head(&key).await else { return };
                post.tell(&[Event { source, key, size: meta.size, etag: meta.etag }], now);
            }
            Self::Poison { nth } => post.send(About::Poison, POISONS[*nth], now),
            Self::Stranger => post.send(About::Stranger, STRANGER, now),
            Self::Control { nth } => post.send(About::Control, CONTROLS[*nth], now),
            Self::Early { place, by } => {
                let at = now + SignedDuration::try_from(*by).unwrap();
                let (key, day) = run.model.key(place.source, place.account, place.region, at);
                let event = Event { source: place.source, key: key.clone(), size: 0, etag: String::new() };
                post.set_early(place.source, &key);
                post.tell(&[event], now);
                sleep(*by).await;
                let records = run.model.fresh(2, place.account, place.region, at, false);
                run.deliver_as(*place, key, day, records, None).await;
            }
            Self::Ghost { place } => {
                let (key, _) = run.model.key(place.source, place.account, place.region, now);
                run.model.ghosts.insert((place.source, key.clone()));
                post.tell(&[Event { source: place.source, key, size: 100, etag: String::new() }], now);
            }
            Self::Trouble { verb, kind, one_in, answer_lost, span } => {
                let until = Instant::now() + *span;
                let (kind, one_in, answer_lost) = (kind.clone(), *one_in, *answer_lost);
                post.cast(Trouble { verb, kind, one_in, answer_lost, until });
            }
        }
    }
}
