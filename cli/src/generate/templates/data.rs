//! Data events of other services than S3, and the management calls of databases, queues and streams.

use super::Event;

pub(super) fn events() -> Vec<Event> {
    let mut events = data_events();
    events.extend(databases());
    events.extend(messaging());
    events
}

fn data_events() -> Vec<Event> {
    const DYNAMODB: &str = "dynamodb.amazonaws.com";
    let table = r#"[{"accountId":"{{account}}","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:{{region}}:{{account}}:table/{{t}}"}]"#;
    let item = |event: Event| {
        event
            .data()
            .by("role")
            .api_version("2012-08-10")
            .request_id("{{base32:52}}")
            .resources(table)
            .tls("dynamodb.{{region}}.amazonaws.com")
    };
    vec![
        item(Event::read(DYNAMODB, "GetItem"))
            .weight(60)
            .request(r#"{"tableName":"{{t=table}}","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS","sk":"HIDDEN_DUE_TO_SECURITY_REASONS"},"returnConsumedCapacity":"TOTAL","consistentRead":{{pick:true|false}}}"#),
        item(Event::write(DYNAMODB, "UpdateItem"))
            .weight(30)
            .request(r##"{"tableName":"{{t=table}}","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS"},"updateExpression":"SET #s = :s, #u = :u","conditionExpression":"attribute_exists(pk)","expressionAttributeNames":{"#s":"state","#u":"updated_at"}}"##),
        item(Event::write(DYNAMODB, "PutItem"))
            .weight(8)
            .error("ConditionalCheckFailedException", "The conditional request failed")
            .request(r#"{"tableName":"{{t=table}}","conditionExpression":"attribute_not_exists(pk)","items":["pk","sk","payload","expires"]}"#),
        Event::write("lambda.amazonaws.com", "Invoke")
            .weight(80)
            .data()
            .via("role", "apigateway.amazonaws.com")
            .api_version("2015-03-31")
            .request(r#"{"functionName":"arn:aws:lambda:{{region}}:{{account}}:function:{{f=function}}","invocationType":"{{pick:RequestResponse|Event}}","sourceArn":"arn:aws:execute-api:{{region}}:{{account}}:{{hex:10}}/prod/POST/{{pick:orders|carts|quotes}}"}"#)
            .additional(r#"{"functionVersion":"arn:aws:lambda:{{region}}:{{account}}:function:{{f}}:$LATEST"}"#)
            .resources(r#"[{"accountId":"{{account}}","type":"AWS::Lambda::Function","ARN":"arn:aws:lambda:{{region}}:{{account}}:function:{{f}}"}]"#)
            .shared(r#","sharedEventID":"{{uuid}}""#),
        Event::write("sqs.amazonaws.com", "SendMessage")
            .weight(30)
            .data()
            .by("role")
            .request(r#"{"queueUrl":"https://sqs.{{region}}.amazonaws.com/{{account}}/{{q=queue}}","messageBody":"HIDDEN_DUE_TO_SECURITY_REASONS","delaySeconds":{{pick:0|5|30}}}"#)
            .response(r#"{"messageId":"{{uuid}}","mD5OfMessageBody":"{{hex:32}}"}"#)
            .resources(r#"[{"accountId":"{{account}}","type":"AWS::SQS::Queue","ARN":"arn:aws:sqs:{{region}}:{{account}}:{{q}}"}]"#)
            .tls("sqs.{{region}}.amazonaws.com"),
    ]
}

fn databases() -> Vec<Event> {
    const RDS: &str = "rds.amazonaws.com";
    vec![
        Event::read("dynamodb.amazonaws.com", "DescribeTable")
            .weight(20)
            .api_version("2012-08-10")
            .request_id("{{base32:52}}")
            .request(r#"{"tableName":"{{t=table}}"}"#)
            .resources(r#"[{"accountId":"{{account}}","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:{{region}}:{{account}}:table/{{t}}"}]"#)
            .tls("dynamodb.{{region}}.amazonaws.com"),
        Event::read(RDS, "DescribeDBInstances")
            .weight(12)
            .request(r#"{"dBInstanceIdentifier":"{{database}}","maxRecords":{{pick:20|100}}}"#)
            .tls("rds.{{region}}.amazonaws.com"),
        Event::write(RDS, "ModifyDBInstance")
            .weight(3)
            .by("person")
            .request(r#"{"dBInstanceIdentifier":"{{d=database}}","masterUserPassword":"****","applyImmediately":true,"allowMajorVersionUpgrade":false,"backupRetentionPeriod":14}"#)
            .response(r#"{"dBInstanceIdentifier":"{{d}}","dBInstanceClass":"db.r6g.large","engine":"postgres","engineVersion":"16.6","dBInstanceStatus":"available","instanceCreateTime":"{{java:-40000}}","pendingModifiedValues":{"masterUserPassword":"****"},"dBInstanceArn":"arn:aws:rds:{{region}}:{{account}}:db:{{d}}","endpoint":{"address":"{{d}}.c{{hex:11}}.{{region}}.rds.amazonaws.com","port":5432,"hostedZoneId":"Z{{base32:13}}"},"allocatedStorage":200,"multiAZ":true,"storageEncrypted":true,"kmsKeyId":"arn:aws:kms:{{region}}:{{account}}:key/{{key}}","dbiResourceId":"db-{{base32:26}}"}"#)
            .tls("rds.{{region}}.amazonaws.com"),
        Event::write("rdsdata.amazonaws.com", "ExecuteStatement")
            .weight(4)
            .event_type("Rds Data Service")
            .by("role")
            .request(r#"{"continueAfterTimeout":false,"database":"**********","includeResultMetadata":true,"parameters":[],"resourceArn":"arn:aws:rds:{{region}}:{{account}}:cluster:{{database}}","schema":"**********","secretArn":"arn:aws:secretsmanager:{{region}}:{{account}}:secret:{{secret}}","sql":"**********"}"#)
            .response(r#"{"generatedFields":[],"numberOfRecordsUpdated":{{number:0-40}}}"#),
        Event::write("redshift-data.amazonaws.com", "ExecuteStatement")
            .weight(5)
            .by("role")
            .request(r#"{"database":"reports","sql":"***OMITTED***","clusterIdentifier":"{{cluster}}","withEvent":false}"#)
            .response(r#"{"clusterIdentifier":"{{cluster}}","createdAt":"{{java:0}}","id":"{{uuid}}"}"#),
    ]
}

fn messaging() -> Vec<Event> {
    const SQS: &str = "sqs.amazonaws.com";
    vec![
        Event::read(SQS, "GetQueueAttributes")
            .weight(16)
            .request(r#"{"queueUrl":"https://sqs.{{region}}.amazonaws.com/{{account}}/{{queue}}","attributeNames":["ApproximateNumberOfMessages","QueueArn"]}"#)
            .tls("sqs.{{region}}.amazonaws.com"),
        Event::write("sns.amazonaws.com", "Subscribe")
            .weight(3)
            .request(r#"{"protocol":"sqs","endpoint":"arn:aws:sqs:{{region}}:{{account}}:{{queue}}","topicArn":"arn:aws:sns:{{region}}:{{account}}:{{t=topic}}","returnSubscriptionArn":true}"#)
            .response(r#"{"subscriptionArn":"arn:aws:sns:{{region}}:{{account}}:{{t}}:{{uuid}}"}"#)
            .tls("sns.{{region}}.amazonaws.com"),
        Event::read("kinesis.amazonaws.com", "DescribeStreamSummary")
            .weight(8)
            .request(r#"{"streamName":"{{queue}}"}"#)
            .tls("kinesis.{{region}}.amazonaws.com"),
        Event::write("events.amazonaws.com", "PutRule")
            .weight(3)
            .by("person")
            .console()
            .request(r#"{"name":"{{r=function}}-tick","scheduleExpression":"rate(5 minutes)","state":"ENABLED","eventBusName":"default"}"#)
            .response(r#"{"ruleArn":"arn:aws:events:{{region}}:{{account}}:rule/{{r}}-tick"}"#),
        Event::write("states.amazonaws.com", "StartExecution")
            .weight(12)
            .via("role", "events.amazonaws.com")
            .request(r#"{"stateMachineArn":"arn:aws:states:{{region}}:{{account}}:stateMachine:{{f=function}}","name":"{{u=uuid}}","input":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#)
            .response(r#"{"executionArn":"arn:aws:states:{{region}}:{{account}}:execution:{{f}}:{{u}}","startDate":"{{java:0}}"}"#),
    ]
}
