//! What an SDK error means to us: from the service's code and the HTTP status to an `ErrorKind`.
//!
//! Owns: every error code orgtrail knows. Does not own: what is done about a kind (`ErrorKind::disposition`).

#[cfg(test)]
mod wire;

use crate::{Error, ErrorKind};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::RequestId as _;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error as StdError;

/// How many errors deep a cause is looked for and shown.
const CAUSES_MAX: usize = 8;

/// The error of a failed call.
pub(crate) fn sdk<E>(verb: &'static str, subject: impl Into<String>, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    if let Some(refused) = credentials(&error) {
        return Error::new(refused.kind, verb, subject)
            .detail(format!("no credentials: {}", refused.detail))
            .code(refused.code)
            .of_credentials()
            .request_id(refused.request_id)
            .source(error);
    }
    let facts = answer(&error);
    let told = Error::new(facts.kind, verb, subject).detail(facts.detail).code(facts.code);
    told.request_id(facts.request_id).source(error)
}

/// The error of an answer whose body broke off, stalled, or failed its checksum.
pub(crate) fn body(
    verb: &'static str,
    subject: impl Into<String>,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    Error::new(ErrorKind::Unavailable, verb, subject)
        .detail(format!("reading the body: {}", causes(&error)))
        .source(error)
}

/// The HTTP status of an error, where there was an answer at all.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

/// The region a bucket says it lives in. S3 says so with errors too.
pub(crate) fn bucket_region<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    error.raw_response()?.headers().get("x-amz-bucket-region").map(str::to_owned)
}

struct Facts {
    kind: ErrorKind,
    detail: String,
    code: Option<String>,
    request_id: Option<String>,
}

/// What the service answered, or why it didn't.
fn answer<E>(error: &SdkError<E, HttpResponse>) -> Facts
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let request_id = error.request_id().map(str::to_owned);
    let code = error.code().map(str::to_owned);
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let kind = match kind_of(service.err().code(), status) {
                ErrorKind::WrongRegion { .. } => ErrorKind::WrongRegion { region: bucket_region(error) },
                kind => kind,
            };
            let detail = match (service.err().code(), service.err().message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(code), None) => format!("{code}, HTTP {status}"),
                (None, Some(message)) => format!("HTTP {status}: {message}"),
                (None, None) => format!("HTTP {status}"),
            };
            Facts { kind, detail, code, request_id }
        }
        SdkError::ConstructionFailure(_) => Facts { kind: ErrorKind::Invalid, detail: causes(error), code, request_id },
        SdkError::TimeoutError(_) => {
            Facts { kind: ErrorKind::Unavailable, detail: "timed out".into(), code, request_id }
        }
        SdkError::ResponseError(response) => {
            // Emulators and proxies answer some refusals in a form that can't be read; the status still tells.
            let kind = match kind_of(None, response.raw().status().as_u16()) {
                ErrorKind::Other => ErrorKind::Unavailable,
                kind => kind,
            };
            Facts { kind, detail: causes(error), code, request_id }
        }
        _ => Facts { kind: ErrorKind::Unavailable, detail: causes(error), code, request_id },
    }
}

/// Why there are no credentials to sign with, where that is the cause. A role that can't be assumed fails here, inside
/// the call that needed it.
fn credentials(error: &(dyn StdError + 'static)) -> Option<Facts> {
    let mut sources = chain(Some(error));
    let refused = sources.find_map(|error| error.downcast_ref::<CredentialsError>())?;
    for source in chain(refused.source()) {
        if let Some(sts) = source.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            let facts = answer(sts);
            return Some(Facts { detail: format!("AssumeRole: {}", facts.detail), ..facts });
        }
        if let Some(sts) = source.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>() {
            let facts = answer(sts);
            return Some(Facts { detail: format!("AssumeRoleWithWebIdentity: {}", facts.detail), ..facts });
        }
    }
    let kind = match refused {
        CredentialsError::CredentialsNotLoaded(_) => ErrorKind::Denied,
        CredentialsError::InvalidConfiguration(_) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Some(Facts { kind, detail: causes(refused), code: None, request_id: None })
}

/// What one entry of a batch says that failed while others did not.
pub(crate) fn batch_entry(code: &str) -> ErrorKind {
    kind_of(Some(code), 0)
}

/// Codes: "Error responses" of the S3 API reference, "Common errors" of STS, KMS, CloudWatch Logs, SNS, SQS, CloudTrail,
/// Organizations and Account Management, and each operation's own. A code outranks the status; an unknown code falls back to it.
fn kind_of(code: Option<&str>, status: u16) -> ErrorKind {
    match code.unwrap_or_default() {
        "NoSuchKey" | "NoSuchVersion" | "AccountNotFoundException" | "ChildNotFoundException" | "TargetNotFoundException"
        // A message that is not lent to us any more.
        | "ReceiptHandleIsInvalid" | "MessageNotInflight" | "AWS.SimpleQueueService.MessageNotInflight" => ErrorKind::NotFound,
        "NoSuchBucket" | "ResourceNotFoundException" | "NotFoundException" | "TrailNotFoundException"
        | "AWSOrganizationsNotInUseException" | "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => ErrorKind::ContainerMissing,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            ErrorKind::ExpiredCredentials
        }
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "AccountProblem" | "AuthFailure"
        | "InvalidAccessKeyId" | "InvalidClientTokenId" | "InvalidIdentityToken" | "InvalidToken" | "IDPCommunicationError"
        | "IDPRejectedClaim" | "MissingAuthenticationToken" | "NotSignedUp" | "OptInRequired" | "RegionDisabledException"
        | "RequestTimeTooSkewed" | "SignatureDoesNotMatch" | "UnrecognizedClientException"
        // A key that is switched off, or an archived object: somebody can switch it on or restore it.
        | "DisabledException" | "KMSInvalidStateException" | "KMS.DisabledException" | "KMS.KMSInvalidStateException"
        // The same of the key of an SNS topic, and its other refusals.
        // The same of the key of an SQS queue.
        | "KmsDisabled" | "KmsAccessDenied" | "KmsInvalidState" | "KmsOptInRequired" | "KMS.AccessDeniedException" | "KMS.InvalidStateException" | "KMS.OptInRequired"
        | "KMSDisabled" | "KMSInvalidState" | "KMSNotFound" | "KMSAccessDenied" | "KMSOptInRequired" | "AuthorizationError"
        | "InvalidSecurity" | "EndpointDisabled" | "InvalidObjectState" => ErrorKind::Denied,
        "SlowDown" | "Throttling" | "Throttled" | "KMSThrottling" | "KMS.ThrottlingException" | "KmsThrottled" | "OverLimit" | "ThrottlingException" | "ThrottledException" | "RequestThrottled"
        | "RequestThrottledException" | "RequestLimitExceeded" | "TooManyRequestsException" | "LimitExceededException"
        | "BandwidthLimitExceeded" | "PriorRequestNotComplete" => ErrorKind::Throttled,
        // Two conditional puts at once: S3 asks to repeat. The others: the request was damaged on its way.
        "ConditionalRequestConflict" | "OperationAborted" | "OperationAbortedException" | "RequestTimeout" | "BadDigest"
        | "IncompleteBody" | "XAmzContentChecksumMismatch" | "InternalError" | "InternalFailure" | "ServiceUnavailable"
        // A token of a listing that is too old: the listing begins again.
        | "ConcurrentModificationException" | "ServiceException" | "InternalServerException" | "InvalidNextTokenException"
        | "ServiceUnavailableException" | "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException" => {
            ErrorKind::Unavailable
        }
        "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            ErrorKind::WrongRegion { region: None }
        }
        "PreconditionFailed" | "ResourceAlreadyExistsException" => ErrorKind::AlreadyExists,
        "KeyTooLongError" | "InvalidCiphertextException" | "IncorrectKeyException" | "EntityTooLarge" | "InvalidURI" => {
            ErrorKind::Malformed
        }
        "InvalidArgument" | "InvalidRequest" | "InvalidBucketName" | "InvalidParameterException" | "ValidationError"
        | "ValidationException" | "InvalidKeyUsageException" | "InvalidGrantTokenException" | "KMS.NotFoundException"
        | "InvalidParameter" | "ParameterValueInvalid" | "InvalidParameterValue" | "UnsupportedOperationException"
        | "OperationNotPermittedException" | "InvalidInputException" | "InvalidLookupAttributesException"
        | "InvalidMaxResultsException" | "InvalidEventCategoryException" | "InvalidTimeRangeException" | "InvalidTrailNameException"
        | "CloudTrailARNInvalidException" | "MalformedXML" | "MalformedPolicyDocument" | "MetadataTooLarge" | "InvalidArnException" | "NotImplemented" | "InvalidAddress" => ErrorKind::Invalid,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        301 | 307 | 308 => ErrorKind::WrongRegion { region: None },
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        412 => ErrorKind::AlreadyExists,
        429 => ErrorKind::Throttled,
        408 | 409 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// An error and what caused it, outermost first.
fn chain<'a>(first: Option<&'a (dyn StdError + 'static)>) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = first;
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
    .take(CAUSES_MAX)
}

/// The chain of causes in one line. The SDK's own messages say little without it. Repetitions are left out.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for error in chain(Some(error)) {
        let one = error.to_string();
        if text.contains(&one) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&one);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Disposition;

    #[test]
    fn codes_outrank_the_status() {
        assert_eq!(kind_of(Some("ExpiredToken"), 400), ErrorKind::ExpiredCredentials);
        assert_eq!(kind_of(Some("SlowDown"), 503), ErrorKind::Throttled);
        assert_eq!(kind_of(Some("NoSuchBucket"), 404), ErrorKind::ContainerMissing);
        assert_eq!(kind_of(Some("ConditionalRequestConflict"), 409), ErrorKind::Unavailable);
    }

    #[test]
    fn without_a_code_the_status_tells() {
        assert_eq!(kind_of(None, 403), ErrorKind::Denied);
        assert_eq!(kind_of(Some("Strange"), 503), ErrorKind::Unavailable);
        assert_eq!(kind_of(None, 404), ErrorKind::NotFound);
        assert_eq!(kind_of(None, 301), ErrorKind::WrongRegion { region: None });
    }

    #[test]
    fn a_key_that_cannot_be_used_now_is_waited_for_and_one_of_another_kind_is_not() {
        for code in ["DisabledException", "KMSInvalidStateException", "AccessDeniedException", "KMSDisabled"] {
            assert_eq!(kind_of(Some(code), 400), ErrorKind::Denied, "{code}");
        }
        assert_eq!(kind_of(Some("NotFoundException"), 400), ErrorKind::ContainerMissing);
        assert_eq!(kind_of(Some("KeyUnavailableException"), 500), ErrorKind::Unavailable);
        for code in ["InvalidKeyUsageException", "UnsupportedOperationException"] {
            assert_eq!(kind_of(Some(code), 400), ErrorKind::Invalid, "{code}");
        }
    }

    #[test]
    fn every_service_has_its_own_word_for_slower() {
        // KMS and CloudWatch Logs, SNS, its key, CloudTrail, S3.
        for code in ["ThrottlingException", "Throttled", "KMSThrottling", "ThrottledException", "SlowDown"] {
            assert_eq!(kind_of(Some(code), 400), ErrorKind::Throttled, "{code}");
        }
    }

    #[test]
    fn absent_groups_and_trails_are_places_that_somebody_can_make() {
        for code in ["ResourceNotFoundException", "TrailNotFoundException"] {
            assert_eq!(kind_of(Some(code), 400), ErrorKind::ContainerMissing, "{code}");
        }
        // S3 says it of an object; what else says it, knows better itself.
        assert_eq!(kind_of(Some("NotFound"), 404), ErrorKind::NotFound);
    }

    #[test]
    fn what_nobody_knows_is_tried_again() {
        assert_eq!(kind_of(Some("Strange"), 400).disposition(), Disposition::Retry);
    }

    #[test]
    fn missing_credentials_are_found_as_the_cause_and_retried() {
        let cause = CredentialsError::not_loaded("nothing in the environment");
        let connector = aws_smithy_runtime_api::client::result::ConnectorError::other(Box::new(cause), None);
        let error: SdkError<AssumeRoleError, HttpResponse> = SdkError::dispatch_failure(connector);
        let error = sdk("get", "s3://b/k", error);
        assert_eq!(error.kind(), &ErrorKind::Denied);
        assert!(error.to_string().contains("nothing in the environment"), "{error}");
    }
}
