//! How far this machine's clock is off a service's, by the `Date` of its answers.
//!
//! Owns the reading, refusals included: those that a wrong clock brings carry a date too. Does not own what is too far.
//! The SDK itself signs by the service's clock once it has seen it (`aws_runtime::service_clock_skew`), so that a wrong
//! clock shows in no error for as long as the SDK is what asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;
use jiff::SignedDuration;

/// A `Date` is of whole seconds (RFC 9110, 5.6.7), so on average half a second later.
const HALF: SignedDuration = SignedDuration::from_millis(500);

/// One comparison of two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The service's clock minus ours.
    pub ahead: SignedDuration,
    /// By how much that may be wrong: half of a second and of the request's time.
    pub uncertainty: SignedDuration,
}

impl Reading {
    /// From the service's clock and our own when it was asked and when it answered.
    pub fn new(service: SystemTime, sent: SystemTime, received: SystemTime) -> Self {
        let way = received.duration_since(sent).unwrap_or_default() / 2;
        let ahead = between(sent + way, service) + HALF;
        Self { ahead, uncertainty: HALF + SignedDuration::try_from(way).unwrap_or(SignedDuration::MAX) }
    }
}

fn between(from: SystemTime, to: SystemTime) -> SignedDuration {
    let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    match to.duration_since(from) {
        Ok(ahead) => signed(ahead),
        Err(behind) => -signed(behind.duration()),
    }
}

/// Compares clocks whenever a request is answered, and keeps the surest reading. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ServerClock(Arc<Mutex<Option<Reading>>>);

impl ServerClock {
    /// The surest reading; none before the first answer with a date.
    pub fn reading(&self) -> Option<Reading> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, reading: Reading) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none_or(|kept| reading.uncertainty < kept.uncertainty) {
            *kept = Some(reading);
        }
    }
}

/// When an attempt was sent.
#[derive(Debug)]
struct Sent(SystemTime);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "orgtrail server clock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(time) = components.time_source() {
            bag.interceptor_state().store_put(Sent(time.now()));
        }
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let service = date.and_then(|date| SystemTime::try_from(date).ok());
        if let (Some(service), Some(sent), Some(time)) = (service, bag.load::<Sent>(), components.time_source()) {
            self.note(Reading::new(service, sent.0, time.now()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_request() {
        let reading = Reading::new(at(100_000), at(400_000), at(404_000));
        assert_eq!(reading.ahead, SignedDuration::from_millis(-301_500));
        assert_eq!(reading.uncertainty, SignedDuration::from_millis(2_500));
        let reading = Reading::new(at(100_000), at(100_000), at(100_000));
        assert_eq!((reading.ahead, reading.uncertainty), (HALF, HALF));
    }

    #[test]
    fn the_surest_reading_is_kept() {
        let clock = ServerClock::default();
        assert_eq!(clock.reading(), None);
        for (service, received) in [(0, 4_000), (7_000, 1_000), (9_000, 3_000)] {
            clock.note(Reading::new(at(service), at(0), at(received)));
        }
        assert_eq!(clock.reading(), Some(Reading::new(at(7_000), at(0), at(1_000))));
    }
}
