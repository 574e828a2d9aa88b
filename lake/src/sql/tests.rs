//! What queries answer, over a few records.

mod dialect;
mod errors;
mod run;

use super::testing::record;

/// Five records: two of S3, a console login that failed, a role that was assumed, a security group that was opened.
fn records() -> Vec<String> {
    let user = |name: &str| {
        format!(
            r#","userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/{name}","accountId":"111122223333","userName":"{name}","principalId":"AIDA{name}"}}"#
        )
    };
    let s3 = r#","requestParameters":{"bucketName":"logs","Host":"logs.s3.amazonaws.com","x-amz-acl":"private"},"responseElements":null,"resources":[{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::logs"},{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::logs/a"}],"readOnly":false"#;
    let get = r#","requestParameters":{"bucketName":["other"],"key":"a/b"},"errorCode":"AccessDenied","errorMessage":"Access Denied","readOnly":true,"resources":[]"#;
    let login = r#","responseElements":{"ConsoleLogin":"Failure"},"sourceIPAddress":"203.0.113.9","additionalEventData":{"MFAUsed":"No"},"errorMessage":"Failed authentication""#;
    let role = r#","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Deploy/ci","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Deploy","arn":"arn:aws:iam::111122223333:role/Deploy"},"attributes":{"creationDate":"2026-03-01T08:00:00Z","mfaAuthenticated":"false"}}},"requestParameters":{"roleArn":"arn:aws:iam::444455556666:role/Audit","durationSeconds":900}"#;
    let group = r#","requestParameters":{"groupId":"sg-1","ipPermissions":{"items":[{"fromPort":22,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}},{"fromPort":443}]}},"requestParameters2":1"#;
    vec![
        record("2026-03-01T10:15:00Z", "s3.amazonaws.com", "CreateBucket", &(user("alice") + s3)),
        record("2026-03-01T16:53:53Z", "s3.amazonaws.com", "GetObject", &(user("bob") + get)),
        record("2026-03-02T00:00:00Z", "signin.amazonaws.com", "ConsoleLogin", &(user("bob") + login)),
        record("2026-03-05T12:00:00Z", "sts.amazonaws.com", "AssumeRole", role),
        record("2026-03-08T11:30:00Z", "ec2.amazonaws.com", "AuthorizeSecurityGroupIngress", &(user("alice") + group)),
    ]
}
