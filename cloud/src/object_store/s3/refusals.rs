//! Counts the answers that ask to slow down, also those after which the SDK tries again by itself.
//!
//! Owns which answers these are. Does not own what is done about it: whoever asks the store asks for the count too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::config::Intercept;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// The count; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<AtomicU64>);

impl Refusals {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// An answer with this status has come. S3 answers SlowDown with 503, "Please reduce your request rate" (S3 API
    /// reference, "Error responses").
    pub(super) fn answered(&self, status: u16) {
        if matches!(status, 429 | 503) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Refusals {
    fn name(&self) -> &'static str {
        "orgtrail refusals"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.answered(context.response().status().as_u16());
        Ok(())
    }
}
