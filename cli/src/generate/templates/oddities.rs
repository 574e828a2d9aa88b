//! Records that are unusual and real: each shape here has broken a collector somewhere. A reader that is strict about
//! any of them loses events.

use super::Event;
use crate::generate::random::{Alphabet, Random};
use crate::generate::template::{Scene, Template};

pub(super) fn events() -> Vec<Event> {
    let mut events = callers();
    events.extend(values());
    events.extend(service_events());
    events
}

fn callers() -> Vec<Event> {
    vec![
        // A user agent outside ASCII.
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{{who:user}}},"eventTime":"{{time}}","eventSource":"ec2.amazonaws.com","eventName":"DescribeVolumes","awsRegion":"{{region}}","sourceIPAddress":"{{ip}}","userAgent":"Überwachung/2.1 (Köln; 監視; ☂) Boto3/1.37.4","requestParameters":{"volumeSet":{},"filterSet":{"items":[{"name":"tag:Größe","valueSet":{"items":[{"value":"groß"}]}}]}},"responseElements":null,"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management"}"#)
            .weight(4),
        // A service call through an assumed role whose access key is empty, from inside AWS.
        Event::whole(r#"{"eventVersion":"1.05","userIdentity":{"type":"AssumedRole","principalId":"AROA{{r=base32:17}}:AWSConfig-Describe","arn":"arn:aws:sts::{{account}}:assumed-role/AWSServiceRoleForConfig/AWSConfig-Describe","accountId":"{{account}}","accessKeyId":"","sessionContext":{"sessionIssuer":{},"webIdFederationData":{},"attributes":{"mfaAuthenticated":"false","creationDate":"{{time}}"}},"invokedBy":"AWS Internal"},"eventTime":"{{time}}","eventSource":"s3.amazonaws.com","eventName":"GetBucketLocation","awsRegion":"{{region}}","sourceIPAddress":"AWS Internal","userAgent":"[AWSConfig]","requestParameters":{"bucketName":"{{b=bucket}}","location":[""],"host":["s3.amazonaws.com"]},"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":137.0},"requestID":"{{HEX:16}}","eventID":"{{uuid}}","readOnly":true,"eventType":"AwsApiCall","recipientAccountId":"{{account}}","vpcEndpointId":"vpce-{{hex:8}}"}"#)
            .weight(4),
        // A wrong user name at the sign-in page is hidden.
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","accountId":"{{account}}","accessKeyId":"","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"},"eventTime":"{{time}}","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"{{region}}","sourceIPAddress":"203.0.113.{{number:1-254}}","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0","errorMessage":"No username found in supplied account","requestParameters":null,"responseElements":{"ConsoleLogin":"Failure"},"additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?state=hashArgs%23\u0026isauthcode=true","MobileVersion":"No","MFAUsed":"No"},"eventID":"{{uuid}}","readOnly":false,"eventType":"AwsConsoleSignin","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management"}"#)
            .weight(2),
    ]
}

fn values() -> Vec<Event> {
    vec![
        // The same key twice in one object.
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{{who:person}}},"eventTime":"{{time}}","eventSource":"organizations.amazonaws.com","eventName":"DescribeOrganization","awsRegion":"us-east-1","sourceIPAddress":"{{ip}}","userAgent":"{{agent}}","readOnly":true,"requestParameters":null,"responseElements":null,"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management","eventType":"AwsApiCall"}"#)
            .global()
            .weight(3),
        // requestParameters is a string, additionalEventData a sentence.
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{{who:person}}},"eventTime":"{{time}}","eventSource":"route53domains.amazonaws.com","eventName":"RegisterDomain","awsRegion":"us-east-1","sourceIPAddress":"{{ip}}","userAgent":"{{agent}}","requestParameters":"null","responseElements":{"operationId":"{{uuid}}"},"additionalEventData":"Personally-identifying contact information is not logged in the request","requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management"}"#)
            .global()
            .weight(3),
        // A record that came late, with the reason, and keys made of dots, colons and slashes.
        Event::whole(r#"{"eventVersion":"1.10","userIdentity":{{who:role}}},"eventTime":"{{time}}","eventSource":"cognito-identity.amazonaws.com","eventName":"GetCredentialsForIdentity","awsRegion":"{{region}}","sourceIPAddress":"{{ip}}","userAgent":"{{agent}}","requestParameters":{"identityId":"{{region}}:{{uuid}}","logins":{"cognito-idp.{{region}}.amazonaws.com/{{region}}_{{alnum:9}}":"HIDDEN_DUE_TO_SECURITY_REASONS"}},"responseElements":{"credentials":{"expiration":"{{java:60}}","sessionToken":"IQoJb3JpZ2luX2Vj{{base64:180}}","accessKeyId":"ASIA{{base32:16}}"},"identityId":"{{region}}:{{uuid}}"},"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","addendum":{"reason":"DELIVERY_DELAY"},"eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.2"}}"#)
            .weight(5),
        // JSON within a string, escapes of every kind, and redaction in place of values.
        Event::whole(r#"{"eventVersion":"1.09","userIdentity":{{who:role}}},"eventTime":"{{time}}","eventSource":"ssm.amazonaws.com","eventName":"PutParameter","awsRegion":"{{region}}","sourceIPAddress":"{{ip}}","userAgent":"{{agent}}","requestParameters":{"name":"/prod/{{function}}/policy","value":"\u003csensitiveDataRemoved\u003e","description":"tab\there, quote \" and backslash \\, \u00e9t\u00e9 \u2602 \ud83d\ude80, a=1\u0026b=2","type":"SecureString","policies":"[{\"Type\":\"Expiration\",\"Version\":\"1.0\",\"Attributes\":{\"Timestamp\":\"2027-01-01T00:00:00.000Z\"}}]","overwrite":true},"responseElements":{"version":{{number:1-90}},"tier":"Advanced"},"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"ssm.{{region}}.amazonaws.com","keyExchange":"X25519MLKEM768"}}"#)
            .weight(5),
        // An early version: no recipient's category, no readOnly, blank fields.
        Event::whole(r#"{"eventVersion":"1.02","userIdentity":{{who:user}}},"eventTime":"{{time}}","eventSource":"elasticbeanstalk.amazonaws.com","eventName":"DescribeEnvironments","awsRegion":"{{region}}","sourceIPAddress":"{{ip}}","userAgent":"aws-sdk-java/1.11.14 Linux/4.4.10 Java_HotSpot(TM)_64-Bit_Server_VM/25.91-b14","requestParameters":"","responseElements":null,"requestID":"{{uuid}}","eventID":"{{uuid}}","eventType":"AwsApiCall","recipientAccountId":"{{account}}"}"#)
            .weight(4),
    ]
}

fn service_events() -> Vec<Event> {
    vec![
        // Service events name no type of caller.
        Event::whole(r#"{"eventVersion":"1.05","userIdentity":{"accountId":"{{account}}","invokedBy":"AWS Internal"},"eventTime":"{{time}}","eventSource":"kms.amazonaws.com","eventName":"RotateKey","awsRegion":"{{region}}","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","requestParameters":null,"responseElements":null,"eventID":"{{uuid}}","readOnly":false,"resources":[{"accountId":"{{account}}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{{region}}:{{account}}:key/{{k=key}}"}],"eventType":"AwsServiceEvent","recipientAccountId":"{{account}}","serviceEventDetails":{"keyId":"{{k}}","rotationType":"AUTOMATIC"},"eventCategory":"Management"}"#)
            .weight(4),
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{"accountId":"{{account}}"},"eventTime":"{{time}}","eventSource":"secretsmanager.amazonaws.com","eventName":"RotationSucceeded","awsRegion":"{{region}}","sourceIPAddress":"secretsmanager.amazonaws.com","userAgent":"secretsmanager.amazonaws.com","requestParameters":null,"responseElements":null,"additionalEventData":{"SecretId":"arn:aws:secretsmanager:{{region}}:{{account}}:secret:{{secret}}"},"eventID":"{{uuid}}","readOnly":false,"eventType":"AwsServiceEvent","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management"}"#)
            .weight(4),
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{"accountId":"{{account}}","invokedBy":"ec2.amazonaws.com"},"eventTime":"{{time}}","eventSource":"ec2.amazonaws.com","eventName":"BidEvictedEvent","awsRegion":"{{region}}","sourceIPAddress":"ec2.amazonaws.com","userAgent":"ec2.amazonaws.com","requestParameters":null,"responseElements":null,"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":false,"eventType":"AwsServiceEvent","managementEvent":true,"recipientAccountId":"{{account}}","serviceEventDetails":{"instanceIdSet":["{{instance}}"]},"eventCategory":"Management"}"#)
            .weight(3),
    ]
}

/// Appends the one enormous record of an organization: a zone transfer of 740 changes, over 100 KB.
pub(in crate::generate) fn giant(scene: &Scene<'_>, random: &mut Random, out: &mut Vec<u8>) {
    let mut changes = String::new();
    for number in 0..740 {
        let comma = if number == 0 { "" } else { "," };
        let host = random.string(Alphabet::Hex, 12);
        changes.push_str(&format!(
            r#"{comma}{{"action":"UPSERT","resourceRecordSet":{{"name":"host-{number:03}.{host}.internal.example.com","type":"A","tTL":300,"resourceRecords":[{{"value":"192.0.2.{}"}}]}}}}"#,
            number % 254 + 1
        ));
    }
    let request = format!(
        r#"{{"hostedZoneId":"Z{{{{base32:13}}}}","changeBatch":{{"comment":"zone transfer","changes":[{changes}]}}}}"#
    );
    let text = GIANT.replace("CHANGES", &request);
    Template::compile(&text).render(scene, random, out);
}

const GIANT: &str = r#"{"eventVersion":"1.08","userIdentity":{{who:role}}},"eventTime":"{{time}}","eventSource":"route53.amazonaws.com","eventName":"ChangeResourceRecordSets","awsRegion":"us-east-1","sourceIPAddress":"{{ip}}","userAgent":"{{agent}}","requestParameters":CHANGES,"responseElements":{"changeInfo":{"id":"/change/C{{base32:20}}","status":"PENDING","submittedAt":"{{java:0}}"}},"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":false,"eventType":"AwsApiCall","apiVersion":"2013-04-01","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"route53.amazonaws.com"}}"#;
