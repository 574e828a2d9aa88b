//! S3: data events, with the float numbers that S3 writes, and the management calls on buckets.

use super::Event;

const S3: &str = "s3.amazonaws.com";

pub(super) fn events() -> Vec<Event> {
    let mut events = objects();
    events.extend(buckets());
    events
}

fn objects() -> Vec<Event> {
    let resources = r#"[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{{b}}/{{o}}"},{"accountId":"{{account}}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{{b}}"}]"#;
    let folded = r#"[{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::{{b}}/"},{"accountId":"{{account}}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{{b}}"}]"#;
    let host = "{{b}}.s3.{{region}}.amazonaws.com";
    let call = |event: Event| event.data().request_id("{{HEX:16}}").by("role");
    vec![
        call(Event::read(S3, "GetObject"))
            .weight(190)
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","key":"{{o=object}}"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"SSEApplied":"SSE_KMS","AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":{{number:200-9000000}}.0}"#)
            .resources(resources)
            .tls(host),
        call(Event::write(S3, "PutObject"))
            .weight(130)
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","key":"{{o=object}}","x-amz-server-side-encryption":"aws:kms"}"#)
            .response(r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:{{region}}:{{account}}:key/{{key}}","x-amz-version-id":"{{alnum:32}}"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":{{number:200-4000000}}.0,"SSEApplied":"SSE_KMS","AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":0.0}"#)
            .resources(resources)
            .tls(host),
        call(Event::write(S3, "PutObject"))
            .weight(60)
            .by_service("cloudtrail.amazonaws.com")
            .request(r#"{"x-amz-acl":"bucket-owner-full-control","bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","x-amz-server-side-encryption":"AES256","key":"{{o=object}}"}"#)
            .response(r#"{"x-amz-server-side-encryption":"AES256"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":{{number:500-90000}}.0,"SSEApplied":"SSE_S3","AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":0.0}"#)
            .resources(resources)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        call(Event::read(S3, "HeadObject"))
            .weight(50)
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","key":"{{o=object}}"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":0.0}"#)
            .resources(resources)
            .shared(r#","vpcEndpointId":"{{endpoint}}","vpcEndpointAccountId":"{{account}}""#)
            .tls(host),
        call(Event::read(S3, "GetObject"))
            .weight(12)
            .error("AccessDenied", "Access Denied")
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","key":"{{o=object}}"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":243.0}"#)
            .resources(resources)
            .tls(host),
        call(Event::write(S3, "DeleteObjects"))
            .weight(12)
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","delete":"","x-id":"DeleteObjects"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":{{number:400-90000}}.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":{{number:150-9000}}.0}"#)
            .resources(folded)
            .tls(host),
        call(Event::read(S3, "ListObjectsV2"))
            .weight(40)
            .request(r#"{"list-type":"2","bucketName":"{{b=bucket}}","encoding-type":"url","prefix":"{{folder}}","delimiter":"/","Host":"{{b}}.s3.{{region}}.amazonaws.com"}"#)
            .additional(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":{{number:300-400000}}.0}"#)
            .resources(folded)
            .tls(host),
    ]
}

fn buckets() -> Vec<Event> {
    let resources = r#"[{"accountId":"{{account}}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{{b}}"}]"#;
    let seen = r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{{base64:75}}=","bytesTransferredOut":{{number:100-900}}.0}"#;
    let call = |event: Event| event.request_id("{{HEX:16}}").additional(seen).resources(resources);
    vec![
        call(Event::read(S3, "GetBucketAcl"))
            .weight(40)
            .by_service("cloudtrail.amazonaws.com")
            .request(r#"{"bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","acl":""}"#)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        // Older records hold an array where newer ones hold a string.
        call(Event::read(S3, "GetBucketPolicy"))
            .weight(8)
            .version("1.05")
            .request(r#"{"bucketName":"{{b=bucket}}","host":["s3.amazonaws.com"],"policy":[""]}"#),
        call(Event::write(S3, "PutBucketPolicy"))
            .weight(4)
            .by("person")
            .console()
            .request(r#"{"bucketPolicy":{"Version":"2012-10-17","Statement":[{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{{b=bucket}}","arn:aws:s3:::{{b}}/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"},"StringNotLike":{"aws:PrincipalArn":"arn:aws:iam::{{account}}:role/\u003cnone\u003e"}}}]},"bucketName":"{{b}}","Host":"{{b}}.s3.{{region}}.amazonaws.com","policy":""}"#)
            .tls("s3.{{region}}.amazonaws.com"),
        call(Event::read(S3, "GetBucketPublicAccessBlock"))
            .weight(10)
            .via("role", "config.amazonaws.com")
            .error("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
            .request(r#"{"publicAccessBlock":"","bucketName":"{{b=bucket}}","Host":"{{b}}.s3.{{region}}.amazonaws.com"}"#),
        Event::read(S3, "ListBuckets")
            .weight(12)
            .by("person")
            .request_id("{{HEX:16}}")
            .request(r#"{"Host":"s3.{{region}}.amazonaws.com"}"#)
            .additional(seen)
            .tls("s3.{{region}}.amazonaws.com"),
    ]
}
