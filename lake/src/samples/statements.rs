//! The samples themselves. `$EDS` stands for the event data store.

use super::Sample;
use crate::kind::Kind;

const fn events(name: &'static str, description: &'static str, sql: &'static str) -> Sample {
    Sample { name, description, kind: Kind::Events, sql }
}

pub(super) const ALL: &[Sample] = &[
    events(
        "Principals that created buckets",
        "Who called CreateBucket, which buckets, and when.",
        "SELECT userIdentity.arn, eventTime, element_at(requestParameters, 'bucketName') AS bucket
FROM $EDS WHERE eventName = 'CreateBucket' AND errorCode IS NULL ORDER BY eventTime DESC",
    ),
    events(
        "APIs that a user called",
        "Every operation of one user, how often and when last. Put the user's name in.",
        "SELECT eventSource, eventName, count(*) AS calls, max(eventTime) AS last
FROM $EDS WHERE userIdentity.userName = 'alice' GROUP BY eventSource, eventName ORDER BY calls DESC, eventName",
    ),
    events(
        "Number of calls by API",
        "API call counts by event name and source in the last 30 days.",
        "SELECT eventSource, eventName, count(*) AS calls FROM $EDS
WHERE eventTime > now() - interval '30' day GROUP BY eventSource, eventName ORDER BY calls DESC, eventName LIMIT 100",
    ),
    events(
        "Console sign-ins by region",
        "ConsoleLogin events of the last 30 days by region and outcome.",
        "SELECT awsRegion, element_at(responseElements, 'ConsoleLogin') AS outcome, count(*) AS logins
FROM $EDS WHERE eventName = 'ConsoleLogin' AND eventTime > now() - interval '30' day
GROUP BY awsRegion, element_at(responseElements, 'ConsoleLogin') ORDER BY logins DESC",
    ),
    events(
        "Failed console logins",
        "Sign-ins that failed: who, from which address, how often, and the last one.",
        "SELECT userIdentity.userName, sourceIPAddress, count(*) AS failures, max(eventTime) AS last
FROM $EDS WHERE eventName = 'ConsoleLogin' AND element_at(responseElements, 'ConsoleLogin') = 'Failure'
GROUP BY userIdentity.userName, sourceIPAddress ORDER BY failures DESC LIMIT 50",
    ),
    events(
        "Console logins without MFA",
        "Successful sign-ins without a second factor.",
        "SELECT eventTime, userIdentity.arn, sourceIPAddress FROM $EDS
WHERE eventName = 'ConsoleLogin' AND element_at(responseElements, 'ConsoleLogin') = 'Success'
  AND element_at(additionalEventData, 'MFAUsed') = 'No' ORDER BY eventTime DESC",
    ),
    events(
        "Activity of root users",
        "What was done with root credentials, in every account.",
        "SELECT eventTime, recipientAccountId, eventSource, eventName, sourceIPAddress, errorCode
FROM $EDS WHERE userIdentity.type = 'Root' AND userIdentity.invokedBy IS NULL ORDER BY eventTime DESC",
    ),
    events(
        "Changes made through the console",
        "Writing calls of console sessions.",
        "SELECT eventTime, userIdentity.arn, eventSource, eventName, awsRegion FROM $EDS
WHERE readOnly = false AND (sessionCredentialFromConsole = 'true' OR userAgent LIKE '%console%') ORDER BY eventTime DESC",
    ),
    events(
        "Queries of CloudTrail Lake",
        "Who queried Lake (StartQuery), and what was asked.",
        "SELECT eventTime, userIdentity.arn, element_at(requestParameters, 'queryStatement') AS statement
FROM $EDS WHERE eventSource = 'cloudtrail.amazonaws.com' AND eventName = 'StartQuery' ORDER BY eventTime DESC",
    ),
    events(
        "Calls that stop or weaken CloudTrail",
        "Trails and event data stores that were stopped, changed or deleted.",
        "SELECT eventTime, recipientAccountId, userIdentity.arn, eventName, requestParameters FROM $EDS
WHERE eventSource = 'cloudtrail.amazonaws.com' AND eventName IN ('StopLogging', 'DeleteTrail', 'UpdateTrail',
  'PutEventSelectors', 'DeleteEventDataStore', 'UpdateEventDataStore', 'StopEventDataStoreIngestion') ORDER BY eventTime DESC",
    ),
    events(
        "Errors by code",
        "Which errors there are, of which operations.",
        "SELECT errorCode, eventSource, eventName, count(*) AS errors FROM $EDS
WHERE errorCode IS NOT NULL GROUP BY errorCode, eventSource, eventName ORDER BY errors DESC, eventName LIMIT 100",
    ),
    events(
        "Errors by principal and day",
        "Principals with the most errors on each day.",
        "SELECT date_trunc('day', eventTime) AS day, userIdentity.arn, errorCode, count(*) AS errors
FROM $EDS WHERE errorCode IS NOT NULL GROUP BY 1, 2, 3 ORDER BY errors DESC LIMIT 100",
    ),
    events(
        "Access denied",
        "Calls that were refused, by principal and operation.",
        "SELECT userIdentity.arn, eventSource, eventName, count(*) AS refused, max(eventTime) AS last FROM $EDS
WHERE errorCode IN ('AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation', 'Client.UnauthorizedOperation')
GROUP BY 1, 2, 3 ORDER BY refused DESC LIMIT 100",
    ),
    events(
        "Throttled calls",
        "Operations that were throttled, by user.",
        "SELECT eventSource, eventName, userIdentity.arn, count(*) AS throttled FROM $EDS
WHERE regexp_like(errorCode, '(?i)throttl|TooManyRequests|RequestLimitExceeded|SlowDown')
GROUP BY eventSource, eventName, userIdentity.arn ORDER BY throttled DESC LIMIT 100",
    ),
    events(
        "Cross-account role assumptions",
        "Roles of other accounts that were assumed, and by whom.",
        "SELECT userIdentity.arn, element_at(requestParameters, 'roleArn') AS role, count(*) AS times, max(eventTime) AS last
FROM $EDS WHERE eventName = 'AssumeRole'
  AND split_part(element_at(requestParameters, 'roleArn'), ':', 5) <> split_part(userIdentity.arn, ':', 5)
GROUP BY userIdentity.arn, element_at(requestParameters, 'roleArn') ORDER BY times DESC",
    ),
    events(
        "Changes of security groups and network ACLs",
        "Who changed which rules.",
        "SELECT eventTime, userIdentity.arn, eventName, element_at(requestParameters, 'groupId') AS security_group,
  element_at(requestParameters, 'networkAclId') AS network_acl
FROM $EDS WHERE eventSource = 'ec2.amazonaws.com' AND regexp_like(eventName, 'SecurityGroup|NetworkAcl')
  AND eventName NOT LIKE 'Describe%' ORDER BY eventTime DESC",
    ),
    events(
        "Security groups opened to the public",
        "Rules that let in everybody, with the port.",
        "SELECT eventTime, userIdentity.arn, element_at(requestParameters, 'groupId') AS security_group,
  json_extract_scalar(rule, '$.fromPort') AS port
FROM $EDS CROSS JOIN UNNEST(CAST(json_extract(requestParameters, '$.ipPermissions.items') AS array(varchar))) AS t(rule)
WHERE eventName = 'AuthorizeSecurityGroupIngress' AND (rule LIKE '%\"0.0.0.0/0\"%' OR rule LIKE '%\"::/0\"%')
ORDER BY eventTime DESC",
    ),
    events(
        "Buckets made public",
        "Changes of bucket policies, ACLs and public access blocks.",
        "SELECT eventTime, userIdentity.arn, eventName, element_at(requestParameters, 'bucketName') AS bucket
FROM $EDS WHERE eventSource = 's3.amazonaws.com' AND eventName IN ('PutBucketPolicy', 'PutBucketAcl',
  'DeleteBucketPublicAccessBlock', 'PutBucketPublicAccessBlock', 'DeleteAccountPublicAccessBlock') ORDER BY eventTime DESC",
    ),
    events(
        "Access to S3 objects",
        "Who read and wrote objects, by bucket. Needs data events.",
        "SELECT element_at(requestParameters, 'bucketName') AS bucket, userIdentity.arn,
  count_if(readOnly) AS reads, count_if(NOT readOnly) AS writes, count_if(errorCode IS NOT NULL) AS errors
FROM $EDS WHERE eventSource = 's3.amazonaws.com' AND eventName IN ('GetObject', 'PutObject', 'DeleteObject', 'CopyObject')
GROUP BY element_at(requestParameters, 'bucketName'), userIdentity.arn ORDER BY reads + writes DESC LIMIT 100",
    ),
    events(
        "Resources that were accessed most",
        "Resources by the number of events that name them.",
        "SELECT r.type, r.arn, count(*) AS events FROM $EDS CROSS JOIN UNNEST(resources) AS t(r)
GROUP BY r.type, r.arn ORDER BY events DESC, r.arn LIMIT 100",
    ),
    events(
        "Changes of IAM policies",
        "Policies that were created, attached, changed or removed.",
        "SELECT eventTime, userIdentity.arn, eventName,
  coalesce(element_at(requestParameters, 'policyArn'), element_at(requestParameters, 'policyName')) AS policy,
  coalesce(element_at(requestParameters, 'roleName'), element_at(requestParameters, 'userName')) AS of
FROM $EDS WHERE eventSource = 'iam.amazonaws.com' AND eventName LIKE '%Policy%' AND readOnly = false ORDER BY eventTime DESC",
    ),
    events(
        "Access keys that are not used any more",
        "When each access key of a user was last used: those of 90 days ago and more.",
        "SELECT userIdentity.accessKeyId, arbitrary(userIdentity.arn) AS user_arn, max(eventTime) AS last FROM $EDS
WHERE userIdentity.type = 'IAMUser' AND userIdentity.accessKeyId LIKE 'AKIA%' GROUP BY userIdentity.accessKeyId
HAVING max(eventTime) < now() - interval '90' day ORDER BY last",
    ),
    events(
        "Destructive actions",
        "Deletions and terminations, by principal.",
        "SELECT userIdentity.arn, eventSource, eventName, count(*) AS times, max(eventTime) AS last FROM $EDS
WHERE regexp_like(eventName, '^(Delete|Terminate|Remove|Detach|Disable)') AND errorCode IS NULL
GROUP BY userIdentity.arn, eventSource, eventName ORDER BY times DESC LIMIT 100",
    ),
    events(
        "Changes of keys and secrets",
        "KMS keys that were disabled or are to be deleted, and their policies; secrets that were deleted.",
        "SELECT eventTime, userIdentity.arn, eventSource, eventName,
  coalesce(element_at(requestParameters, 'keyId'), element_at(requestParameters, 'secretId')) AS resource
FROM $EDS WHERE eventName IN ('DisableKey', 'ScheduleKeyDeletion', 'PutKeyPolicy', 'DeleteSecret') ORDER BY eventTime DESC",
    ),
    events(
        "Outdated TLS",
        "Callers with TLS 1.0 and 1.1.",
        "SELECT tlsDetails.tlsVersion, userIdentity.arn, userAgent, count(*) AS calls FROM $EDS
WHERE tlsDetails.tlsVersion IN ('TLSv1', 'TLSv1.1') GROUP BY 1, 2, 3 ORDER BY calls DESC LIMIT 100",
    ),
    events(
        "Activity by account and region",
        "Events by account and region, with the part that changes something.",
        "SELECT recipientAccountId, awsRegion, count(*) AS events, count_if(readOnly = false) AS changes, max(eventTime) AS last
FROM $EDS GROUP BY recipientAccountId, awsRegion ORDER BY events DESC",
    ),
    events(
        "Changes of the organization",
        "Accounts and service control policies.",
        "SELECT eventTime, userIdentity.arn, eventName, requestParameters FROM $EDS
WHERE eventSource = 'organizations.amazonaws.com' AND readOnly = false ORDER BY eventTime DESC",
    ),
    Sample {
        name: "Insights by type and operation",
        description: "Unusual rates of calls and errors: how often, and how far above the baseline.",
        kind: Kind::Insight,
        sql: "SELECT insightType, insightEventSource, insightEventName, count(*) AS insights,
  max(insightContext.insightAverage / nullif(insightContext.baselineAverage, 0)) AS times_baseline
FROM $EDS WHERE insightState = 'End' GROUP BY insightType, insightEventSource, insightEventName ORDER BY insights DESC",
    },
    Sample {
        name: "Resources by type",
        description: "AWS Config: how many resources of each type there are in an account, by their newest configuration item.",
        kind: Kind::ConfigurationItem,
        sql: "SELECT account, type, count(*) AS resources FROM (
  SELECT eventData.accountId AS account, eventData.resourceType AS type, eventData.configurationItemStatus AS status,
    row_number() OVER (PARTITION BY eventData.accountId, eventData.awsRegion, eventData.resourceType, eventData.resourceId
      ORDER BY eventTime DESC) AS age FROM $EDS)
WHERE age = 1 AND status NOT LIKE 'ResourceDeleted%' GROUP BY account, type ORDER BY resources DESC",
    },
];
