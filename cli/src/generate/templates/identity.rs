//! IAM, STS, sign-in and KMS.

use super::Event;

pub(super) fn events() -> Vec<Event> {
    let mut events = iam();
    events.extend(sts());
    events.extend(sign_in());
    events.extend(kms());
    events
}

fn iam() -> Vec<Event> {
    const IAM: &str = "iam.amazonaws.com";
    let call = |event: Event| event.global().api_version("2010-05-08").tls(IAM);
    vec![
        call(Event::write(IAM, "CreateRole"))
            .weight(6)
            .by("person")
            .request(r#"{"path":"/","roleName":"{{r=role}}","assumeRolePolicyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": {\"Service\": \"lambda.amazonaws.com\"}, \"Action\": \"sts:AssumeRole\"}]\n}","maxSessionDuration":3600,"tags":[{"key":"team","value":"{{pick:orders|search|ledger}}"}]}"#)
            .response(r#"{"role":{"path":"/","roleName":"{{r}}","roleId":"AROA{{base32:17}}","arn":"arn:aws:iam::{{account}}:role/{{r}}","createDate":"{{java:0}}","assumeRolePolicyDocument":"%7B%0A%20%20%22Version%22%3A%20%222012-10-17%22%2C%0A%20%20%22Statement%22%3A%20%5B%7B%22Effect%22%3A%20%22Allow%22%2C%20%22Principal%22%3A%20%7B%22Service%22%3A%20%22lambda.amazonaws.com%22%7D%2C%20%22Action%22%3A%20%22sts%3AAssumeRole%22%7D%5D%0A%7D"}}"#),
        call(Event::write(IAM, "AttachRolePolicy"))
            .weight(6)
            .by("person")
            .request(r#"{"roleName":"{{role}}","policyArn":"arn:aws:iam::aws:policy/{{pick:AmazonS3ReadOnlyAccess|AWSLambdaBasicExecutionRole|AmazonSSMManagedInstanceCore}}"}"#)
            .console(),
        call(Event::write(IAM, "CreateAccessKey"))
            .weight(3)
            .by("user")
            .request(r#"{"userName":"{{u=user}}"}"#)
            .response(r#"{"accessKey":{"userName":"{{u}}","accessKeyId":"AKIA{{base32:16}}","status":"Active","createDate":"{{java:0}}"}}"#),
        call(Event::write(IAM, "PutUserPolicy"))
            .weight(2)
            .by("person")
            .error("AccessDenied", "User: arn:aws:iam::{{account}}:user/ops/{{user}} is not authorized to perform: iam:PutUserPolicy on resource: user {{user}} because no identity-based policy allows the iam:PutUserPolicy action"),
        call(Event::read(IAM, "GetRole")).weight(14).request(r#"{"roleName":"{{role}}"}"#),
        call(Event::read(IAM, "ListAttachedRolePolicies")).weight(12).request(r#"{"roleName":"{{role}}","maxItems":{{pick:100|1000}}}"#),
        call(Event::read(IAM, "GenerateCredentialReport"))
            .weight(3)
            .response(r#"{"state":"STARTED","description":"No report exists. Starting a new report generation task"}"#),
        call(Event::read(IAM, "ListUsers")).weight(4).by("root"),
    ]
}

fn sts() -> Vec<Event> {
    const STS: &str = "sts.amazonaws.com";
    let assumed = r#"{"credentials":{"accessKeyId":"ASIA{{base32:16}}","sessionToken":"IQoJb3JpZ2luX2Vj{{base64:120}}==","expiration":"{{java:60}}"},"assumedRoleUser":{"assumedRoleId":"AROA{{base32:17}}:{{s}}","arn":"arn:aws:sts::{{account}}:assumed-role/{{r}}/{{s}}"}}"#;
    let resources =
        r#"[{"accountId":"{{account}}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{{account}}:role/{{r}}"}]"#;
    vec![
        Event::read(STS, "AssumeRole")
            .weight(70)
            .by_service("lambda.amazonaws.com")
            .request(r#"{"roleArn":"arn:aws:iam::{{account}}:role/{{r=role}}","roleSessionName":"{{s=function}}"}"#)
            .response(assumed)
            .resources(resources)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        Event::read(STS, "AssumeRole")
            .weight(30)
            .by_service("ec2.amazonaws.com")
            .request(r#"{"roleArn":"arn:aws:iam::{{account}}:role/{{r=role}}","roleSessionName":"{{s=instance}}"}"#)
            .response(assumed)
            .resources(resources)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        Event::read(STS, "AssumeRole")
            .weight(20)
            .by("stranger")
            .request(r#"{"roleArn":"arn:aws:iam::{{account}}:role/{{r=role}}","roleSessionName":"{{s=pick:partner-scan|inventory|cost-export}}","externalId":"{{hex:32}}","durationSeconds":{{pick:900|3600}}}"#)
            .response(assumed)
            .resources(resources)
            .shared(r#","sharedEventID":"{{uuid}}""#)
            .tls("sts.{{region}}.amazonaws.com"),
        Event::read(STS, "AssumeRole")
            .weight(6)
            .error("AccessDenied", "User: arn:aws:sts::{{account}}:assumed-role/{{role}}/{{function}} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222233334444:role/{{role}}")
            .tls("sts.{{region}}.amazonaws.com"),
        Event::read(STS, "GetCallerIdentity").weight(16).tls("sts.{{region}}.amazonaws.com"),
        // The caller stands outside AWS: no account, and a principal made of the provider and its user.
        Event::whole(r#"{"eventVersion":"1.08","userIdentity":{"type":"WebIdentityUser","principalId":"arn:aws:iam::{{account}}:oidc-provider/token.actions.example.com:sts.amazonaws.com:repo:acme/{{f=function}}:ref:refs/heads/main","userName":"repo:acme/{{f}}:ref:refs/heads/main","identityProvider":"arn:aws:iam::{{account}}:oidc-provider/token.actions.example.com"},"eventTime":"{{time}}","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","awsRegion":"{{region}}","sourceIPAddress":"198.51.100.{{number:1-254}}","userAgent":"aws-sdk-js/3.758.0 os/linux/6.8.0-1021-azure lang/js md/nodejs/20.18.2 configure-credentials-for-builds","requestParameters":{"roleArn":"arn:aws:iam::{{account}}:role/{{r=role}}","roleSessionName":"Builds","durationSeconds":3600},"responseElements":{"credentials":{"accessKeyId":"ASIA{{base32:16}}","sessionToken":"IQoJb3JpZ2luX2Vj{{base64:120}}=","expiration":"{{java:60}}"},"subjectFromWebIdentityToken":"repo:acme/{{f}}:ref:refs/heads/main","assumedRoleUser":{"assumedRoleId":"AROA{{base32:17}}:Builds","arn":"arn:aws:sts::{{account}}:assumed-role/{{r}}/Builds"},"provider":"arn:aws:iam::{{account}}:oidc-provider/token.actions.example.com","audience":"sts.amazonaws.com"},"additionalEventData":{"identityProviderConnectionVerificationMethod":"IAMTrustStore"},"requestID":"{{uuid}}","eventID":"{{uuid}}","readOnly":true,"resources":[{"accountId":"{{account}}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{{account}}:role/{{r}}"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{{account}}","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"sts.{{region}}.amazonaws.com"}}"#)
            .weight(10),
    ]
}

fn sign_in() -> Vec<Event> {
    const SIGN_IN: &str = "signin.amazonaws.com";
    let to = r#"{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23\u0026isauthcode=true\u0026state=hashArgsFromTB_{{region}}_{{hex:16}}","MobileVersion":"No","MFAUsed":"Yes","MFAIdentifier":"arn:aws:iam::{{account}}:mfa/{{user}}"}"#;
    let login = || Event::write(SIGN_IN, "ConsoleLogin").event_type("AwsConsoleSignIn").request_id("");
    vec![
        login()
            .weight(5)
            .by("person")
            .response(r#"{"ConsoleLogin":"Success"}"#)
            .additional(to)
            .tls("{{region}}.signin.aws.amazon.com"),
        login()
            .weight(2)
            .by("user")
            .error("", "Failed authentication")
            .response(r#"{"ConsoleLogin":"Failure"}"#)
            .additional(to)
            .tls("{{region}}.signin.aws.amazon.com"),
        login()
            .weight(1)
            .global()
            .by("root")
            .response(r#"{"ConsoleLogin":"Success"}"#)
            .additional(to)
            .tls("signin.aws.amazon.com"),
        Event::write(SIGN_IN, "SwitchRole")
            .weight(2)
            .by("person")
            .event_type("AwsConsoleSignIn")
            .request_id("")
            .response(r#"{"SwitchRole":"Success"}"#)
            .additional(r#"{"SwitchFrom":"arn:aws:iam::{{account}}:user/ops/{{user}}","RedirectTo":"https://console.aws.amazon.com/console/home?region={{region}}#"}"#),
    ]
}

fn kms() -> Vec<Event> {
    const KMS: &str = "kms.amazonaws.com";
    let resources =
        r#"[{"accountId":"{{account}}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{{region}}:{{account}}:key/{{k}}"}]"#;
    vec![
        Event::read(KMS, "Decrypt")
            .weight(60)
            .via("role", "secretsmanager.amazonaws.com")
            .request(r#"{"encryptionContext":{"SecretVersionId":"{{uuid}}","SecretARN":"arn:aws:secretsmanager:{{region}}:{{account}}:secret:{{secret}}"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"arn:aws:kms:{{region}}:{{account}}:key/{{k=key}}"}"#)

            .resources(resources),
        Event::read(KMS, "GenerateDataKey")
            .weight(50)
            .by_service("cloudtrail.amazonaws.com")
            .request(r#"{"encryptionContext":{"aws:cloudtrail:arn":"arn:aws:cloudtrail:{{region}}:{{account}}:trail/acme-trail","aws:s3:arn":"arn:aws:s3:::{{bucket}}/AWSLogs/{{account}}/CloudTrail/{{region}}/2026/03/01/{{account}}_CloudTrail_{{region}}_20260301T{{number:10-23}}{{pick:00|05|10|15|20}}Z_{{alnum:16}}.json.gz"},"keyId":"arn:aws:kms:{{region}}:{{account}}:key/{{k=key}}","keySpec":"AES_256"}"#)
            .resources(resources)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        Event::read(KMS, "Decrypt")
            .weight(40)
            .by("stranger")
            .request(r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::{{bucket}}/{{folder}}/part-{{number:10000-99999}}-{{uuid}}.parquet"}}"#)
            .resources(r#"[{"ARN":"arn:aws:kms:{{region}}:{{account}}:key/{{key}}"}]"#)
            .shared(r#","sharedEventID":"{{uuid}}""#)
            .tls("kms.{{region}}.amazonaws.com"),
        Event::read(KMS, "GenerateDataKey")
            .weight(20)
            .by("role")
            .request(r#"{"keySpec":"AES_256","encryptionContext":{"aws:ebs:id":"{{volume}}","tableName":"{{table}}"},"keyId":"alias/{{table}}"}"#)
            .resources(r#"[{"accountId":"{{account}}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{{region}}:{{account}}:key/{{key}}"}]"#)
            .tls("kms.{{region}}.amazonaws.com"),
        Event::write(KMS, "CreateGrant")
            .weight(6)
            .via("role", "ec2-frontend-api.amazonaws.com")
            .request(r#"{"keyId":"arn:aws:kms:{{region}}:{{account}}:key/{{k=key}}","granteePrincipal":"arn:aws:sts::{{account}}:assumed-role/aws:ec2-infrastructure/{{instance}}","constraints":{"encryptionContextSubset":{"aws:ebs:id":"{{volume}}"}},"operations":["Decrypt","CreateGrant","ReEncryptFrom"]}"#)
            .response(r#"{"grantId":"{{hex:64}}","keyId":"arn:aws:kms:{{region}}:{{account}}:key/{{k}}"}"#)
            .resources(resources),
        // Version 1.05 records know neither readOnly, managementEvent nor eventCategory here.
        Event::write(KMS, "ReEncrypt")
            .weight(3)
            .version("1.05")
            .by("role")
            .request(r#"{"sourceKeyId":"arn:aws:kms:{{region}}:{{account}}:key/{{k=key}}","destinationKeyId":"arn:aws:kms:{{region}}:{{account}}:key/{{key}}"}"#)
            .resources(resources),
    ]
}
