//! Operations: logs, metrics, deployment, configuration, secrets, auditing and billing.

use super::Event;

pub(super) fn events() -> Vec<Event> {
    let mut events = observation();
    events.extend(deployment());
    events.extend(governance());
    events
}

fn observation() -> Vec<Event> {
    const LOGS: &str = "logs.amazonaws.com";
    const METRICS: &str = "monitoring.amazonaws.com";
    vec![
        Event::write(LOGS, "CreateLogStream")
            .weight(60)
            .by("role")
            .api_version("20140328")
            .request(r#"{"logGroupName":"/aws/lambda/{{function}}","logStreamName":"2026/03/01/[$LATEST]{{hex:32}}"}"#)
            .tls("logs.{{region}}.amazonaws.com"),
        Event::read(LOGS, "FilterLogEvents")
            .weight(16)
            .api_version("20140328")
            .request(r#"{"logGroupName":"/ecs/{{cluster}}","startTime":{{millis}},"filterPattern":"{ $.level = \"error\" }","limit":{{pick:50|10000}}}"#)
            .tls("logs.{{region}}.amazonaws.com"),
        Event::read(LOGS, "DescribeLogStreams")
            .weight(12)
            .version("1.07")
            .api_version("20140328")
            .request(r#"{"logGroupName":"/aws/lambda/{{function}}","descending":true,"orderBy":"LastEventTime"}"#),
        Event::write(METRICS, "PutMetricAlarm")
            .weight(5)
            .via("role", "autoscaling.amazonaws.com")
            .request(r#"{"alarmName":"TargetTracking-table/{{t=table}}-AlarmHigh-{{uuid}}","metricName":"ConsumedReadCapacityUnits","namespace":"AWS/DynamoDB","statistic":"Sum","threshold":{{number:1-900}}.0,"evaluationPeriods":2,"period":60,"comparisonOperator":"GreaterThanThreshold","dimensions":[{"name":"TableName","value":"{{t}}"}],"alarmActions":["arn:aws:autoscaling:{{region}}:{{account}}:scalingPolicy:{{uuid}}:resource/dynamodb/table/{{t}}:policyName/read"]}"#),
        // A number with an exponent, which must arrive spelled the same.
        Event::read(METRICS, "GetMetricData")
            .weight(10)
            .api_version("2010-08-01")
            .request(r#"{"startTime":"{{java:-180}}","endTime":"{{java:0}}","scanBy":"TimestampAscending","metricDataQueries":[{"id":"m1","expression":"ANOMALY_DETECTION_BAND(m2, {{pick:9.82222E-5|9.48587e-05|2.50}})","returnData":true}],"maxDatapoints":100800}"#)
            .tls("monitoring.{{region}}.amazonaws.com"),
        Event::read("health.amazonaws.com", "DescribeEventAggregates")
            .weight(10)
            .by("person")
            .console()
            .request(r#"{"aggregateField":"eventTypeCategory","filter":{"eventStatusCodes":["open","upcoming"],"startTimes":[{"from":"{{java:-10080}}"}]}}"#)
            .tls("health.us-east-1.amazonaws.com"),
    ]
}

fn deployment() -> Vec<Event> {
    const CLOUDFORMATION: &str = "cloudformation.amazonaws.com";
    vec![
        Event::write(CLOUDFORMATION, "CreateChangeSet")
            .weight(5)
            .request(r#"{"stackName":"{{s=stack}}","changeSetName":"awscli-cloudformation-package-deploy-{{number:1772300000-1772399999}}","changeSetType":"UPDATE","capabilities":["CAPABILITY_NAMED_IAM"],"parameters":[{"parameterKey":"Stage","parameterValue":"prod"}],"tags":[]}"#)
            .response(r#"{"id":"arn:aws:cloudformation:{{region}}:{{account}}:changeSet/{{s}}/{{uuid}}","stackId":"arn:aws:cloudformation:{{region}}:{{account}}:stack/{{s}}/{{uuid}}"}"#)
            .tls("cloudformation.{{region}}.amazonaws.com"),
        Event::read(CLOUDFORMATION, "DescribeStacks")
            .weight(18)
            .request(r#"{"stackName":"{{stack}}"}"#)
            .tls("cloudformation.{{region}}.amazonaws.com"),
        Event::read(CLOUDFORMATION, "DescribeStacks")
            .weight(4)
            .error("ValidationException", "Stack with id {{stack}}-{{hex:6}} does not exist")
            .tls("cloudformation.{{region}}.amazonaws.com"),
        Event::write("codebuild.amazonaws.com", "StartBuild")
            .weight(4)
            .via("role", "codepipeline.amazonaws.com")
            .request(r#"{"projectName":"{{p=function}}","sourceVersion":"arn:aws:s3:::{{bucket}}/{{p}}/SourceOutp/{{alnum:7}}","environmentVariablesOverride":[{"name":"COMMIT","value":"{{hex:40}}","type":"PLAINTEXT"}]}"#)
            .response(r#"{"build":{"id":"{{p}}:{{u=uuid}}","arn":"arn:aws:codebuild:{{region}}:{{account}}:build/{{p}}:{{u}}","buildNumber":{{number:100-9999}},"startTime":"{{java:0}}","currentPhase":"QUEUED","buildStatus":"IN_PROGRESS","projectName":"{{p}}","timeoutInMinutes":60,"encryptionKey":"arn:aws:kms:{{region}}:{{account}}:alias/aws/s3"}}"#),
    ]
}

fn governance() -> Vec<Event> {
    const SECRETS: &str = "secretsmanager.amazonaws.com";
    const CONFIG: &str = "config.amazonaws.com";
    vec![
        Event::read(SECRETS, "GetSecretValue")
            .weight(40)
            .by("role")
            .request(r#"{"secretId":"arn:aws:secretsmanager:{{region}}:{{account}}:secret:{{secret}}","versionStage":"AWSCURRENT"}"#)
            .tls("secretsmanager.{{region}}.amazonaws.com"),
        Event::read("ssm.amazonaws.com", "GetParametersByPath")
            .weight(24)
            .by("role")
            .request(r#"{"path":"/prod/{{function}}/","recursive":true,"withDecryption":true,"nextToken":"{{number:100000000000000000-999999999999999999}}"}"#)
            .tls("ssm.{{region}}.amazonaws.com"),
        Event::write(CONFIG, "PutEvaluations")
            .weight(20)
            .via("role", "lambda.amazonaws.com")
            .request(r#"{"evaluations":[{"complianceResourceType":"AWS::EC2::Instance","complianceResourceId":"{{instance}}","complianceType":"{{pick:COMPLIANT|NON_COMPLIANT}}","orderingTimestamp":"{{java:-2}}"}],"resultToken":"{{base64:200}}","testMode":false}"#)
            .response(r#"{"failedEvaluations":[]}"#),
        Event::read("organizations.amazonaws.com", "ListAccounts")
            .weight(4)
            .global()
            .by_service("ram.amazonaws.com"),
        Event::write("cloudtrail.amazonaws.com", "StopLogging")
            .weight(1)
            .by("person")
            .error("AccessDenied", "User: arn:aws:sts::{{account}}:assumed-role/{{role}}/console is not authorized to perform: cloudtrail:StopLogging with an explicit deny in a service control policy")
            .request(r#"{"name":"arn:aws:cloudtrail:{{region}}:{{account}}:trail/acme-trail"}"#)
            .tls("cloudtrail.{{region}}.amazonaws.com"),
        Event::read("cloudtrail.amazonaws.com", "LookupEvents")
            .weight(8)
            .by("person")
            .request(r#"{"lookupAttributes":[{"attributeKey":"EventName","attributeValue":"ConsoleLogin"}],"maxResults":50,"startTime":"{{java:-1440}}","endTime":"{{java:0}}"}"#)
            .tls("cloudtrail.{{region}}.amazonaws.com"),
        Event::read("ce.amazonaws.com", "GetCostAndUsage")
            .weight(3)
            .global()
            .by("person")
            .request(r#"{"timePeriod":{"start":"2026-02-01","end":"2026-03-01"},"granularity":"MONTHLY","metrics":["UnblendedCost"],"groupBy":[{"type":"DIMENSION","key":"SERVICE"}]}"#)
            .tls("ce.us-east-1.amazonaws.com"),
    ]
}
