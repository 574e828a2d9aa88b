//! EC2, Auto Scaling, Lambda, ECS, EKS and load balancing.

use super::Event;

pub(super) fn events() -> Vec<Event> {
    let mut events = instances();
    events.extend(network());
    events.extend(functions());
    events.extend(containers());
    events
}

const EC2: &str = "ec2.amazonaws.com";
const EC2_HOST: &str = "ec2.{{region}}.amazonaws.com";

fn instances() -> Vec<Event> {
    vec![
        Event::write(EC2, "RunInstances")
            .weight(6)
            .via("role", "autoscaling.amazonaws.com")
            .request(r#"{"instancesSet":{"items":[{"imageId":"{{m=image}}","minCount":1,"maxCount":1}]},"blockDeviceMapping":{},"availabilityZone":"{{region}}a","monitoring":{"enabled":false},"disableApiTermination":false,"disableApiStop":false,"clientToken":"fleet-{{c=uuid}}-0","launchTemplate":{"launchTemplateId":"lt-{{hex:17}}","version":"{{number:1-40}}"},"tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"aws:autoscaling:groupName","value":"{{g=cluster}}"}]}]}}"#)
            .response(r#"{"requestId":"{{uuid}}","reservationId":"r-{{hex:17}}","ownerId":"{{account}}","groupSet":{},"instancesSet":{"items":[{"instanceId":"{{i=instance}}","imageId":"{{m}}","instanceState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-0-{{number:0-63}}-{{number:4-250}}.{{region}}.compute.internal","amiLaunchIndex":0,"productCodes":{},"instanceType":"m7g.{{pick:large|xlarge}}","launchTime":{{l=millis}},"placement":{"availabilityZone":"{{region}}a","tenancy":"default"},"monitoring":{"state":"disabled"},"subnetId":"{{s=subnet}}","vpcId":"{{vpc}}","stateReason":{"code":"pending","message":"pending"},"architecture":"arm64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda","blockDeviceMapping":{},"virtualizationType":"hvm","hypervisor":"xen","tagSet":{"items":[{"key":"aws:autoscaling:groupName","value":"{{g}}"}]},"clientToken":"fleet-{{c}}-0","networkInterfaceSet":{"items":[{"networkInterfaceId":"{{eni}}","subnetId":"{{s}}","ownerId":"{{account}}","status":"in-use","macAddress":"0a:{{hex:2}}:{{hex:2}}:{{hex:2}}:{{hex:2}}:{{hex:2}}","sourceDestCheck":true,"attachment":{"deviceIndex":0,"networkCardIndex":0,"status":"attaching","attachTime":1772365085000,"deleteOnTermination":true}}]},"ebsOptimized":true,"metadataOptions":{"state":"pending","httpTokens":"required","httpPutResponseHopLimit":2,"httpEndpoint":"enabled"}}]},"requesterId":"{{number:100000000000-999999999999}}"}"#),
        Event::write(EC2, "RunInstances")
            .weight(3)
            .by("person")
            .error("Client.UnauthorizedOperation", "You are not authorized to perform this operation. User: arn:aws:sts::{{account}}:assumed-role/{{role}}/console is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:{{region}}:{{account}}:instance/* because no identity-based policy allows the ec2:RunInstances action. Encoded authorization failure message: {{alnum:420}}")
            .request(r#"{"instancesSet":{"items":[{"imageId":"{{image}}","minCount":1,"maxCount":10}]},"instanceType":"p5.48xlarge","blockDeviceMapping":{},"monitoring":{"enabled":false},"disableApiTermination":{"value":true}}"#)
            .tls(EC2_HOST),
        Event::read(EC2, "DescribeInstances")
            .weight(60)
            .request(r#"{"maxResults":{{pick:100|1000}},"instancesSet":{},"filterSet":{"items":[{"name":"tag:team","valueSet":{"items":[{"value":"{{pick:orders|search|ledger|reports}}"}]}}]}}"#)
            .tls(EC2_HOST),
        Event::write(EC2, "TerminateInstances")
            .weight(5)
            .request(r#"{"instancesSet":{"items":[{"instanceId":"{{i=instance}}"}]}}"#)
            .response(r#"{"requestId":"{{uuid}}","instancesSet":{"items":[{"instanceId":"{{i}}","currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#)
            .tls(EC2_HOST),
        Event::write(EC2, "CreateSnapshot")
            .weight(5)
            .via("role", "dlm.amazonaws.com")
            .request(r#"{"volumeId":"{{v=volume}}","description":"Created for policy: policy-{{hex:17}} schedule: daily"}"#)
            .response(r#"{"requestId":"{{uuid}}","snapshotId":"snap-{{hex:17}}","volumeId":"{{v}}","status":"pending","startTime":{{millis}},"progress":"0%","ownerId":"{{account}}","volumeSize":"{{pick:50|100|500}}","encrypted":true}"#),
        // The narrow no-break space that Java's date formatting puts before AM and PM since its locale data changed.
        Event::read(EC2, "DescribeSpotPriceHistory")
            .weight(8)
            .request(r#"{"instanceTypeSet":{"items":[{"instanceType":"c7g.xlarge"}]},"startTime":"{{java202f:0}}","endTime":"{{java:60}}","productDescriptionSet":{},"filterSet":{}}"#)
            .tls(EC2_HOST),
        // Keys that differ in case only, an artefact of the service's XML.
        Event::write(EC2, "CreateVpcEndpoint")
            .weight(3)
            .by("person")
            .console()
            .request(r#"{"CreateVpcEndpointRequest":{"VpcId":"{{v=vpc}}","VpcEndpointType":"Interface","ServiceName":"com.amazonaws.{{region}}.kms","SubnetId":[{"tag":1,"content":"{{n=subnet}}"},{"tag":2,"content":"{{subnet}}"}],"SecurityGroupId":{"tag":1,"content":"{{group}}"},"TagSpecification":{"tag":1,"Tag":{"tag":1,"Key":"team","Value":"search"},"ResourceType":"vpc-endpoint"},"ClientToken":"{{uuid}}"}}"#)
            .response(r#"{"CreateVpcEndpointResponse":{"xmlns":"http://ec2.amazonaws.com/doc/2016-11-15/","vpcEndpoint":{"vpcEndpointId":"vpce-{{hex:17}}","vpcId":"{{v}}","state":"pending","subnetIdSet":{"item":"{{n}}"},"creationTimestamp":"{{time}}"},"requestId":"{{uuid}}"}}"#)
            .tls(EC2_HOST),
        Event::write("ssm.amazonaws.com", "SendCommand")
            .weight(4)
            .by("person")
            .request(r#"{"documentName":"AWS-RunShellScript","instanceIds":["{{instance}}"],"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","interactive":false}"#)
            .response(r#"{"command":{"commandId":"{{uuid}}","documentName":"AWS-RunShellScript","expiresAfter":"{{java:120}}","requestedDateTime":"{{java:0}}","status":"Pending","parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","timeoutSeconds":3600,"targetCount":1,"completedCount":0,"errorCount":0}}"#)
            .tls("ssm.{{region}}.amazonaws.com"),
    ]
}

fn network() -> Vec<Event> {
    vec![
        Event::write(EC2, "AuthorizeSecurityGroupIngress")
            .weight(4)
            .by("person")
            .console()
            .request(r#"{"groupId":"{{g=group}}","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{},"ipRanges":{"items":[{"cidrIp":"203.0.113.0/24","description":"office \u0026 vpn"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"#)
            .response(r#"{"requestId":"{{uuid}}","_return":true,"securityGroupRuleSet":{"items":[{"groupOwnerId":"{{account}}","groupId":"{{g}}","securityGroupRuleId":"sgr-{{hex:17}}","isEgress":false,"ipProtocol":"tcp","fromPort":443,"toPort":443,"cidrIpv4":"203.0.113.0/24"}]}}"#)
            .tls(EC2_HOST),
        Event::write(EC2, "CreateNetworkInterface")
            .weight(18)
            .via("role", "lambda.amazonaws.com")
            .request(r#"{"subnetId":"{{s=subnet}}","description":"AWS Lambda VPC ENI-{{f=function}}-{{uuid}}","groupSet":{"items":[{"groupId":"{{g=group}}"}]},"privateIpAddressesSet":{},"clientToken":"{{c=uuid}}"}"#)
            .response(r#"{"requestId":"{{uuid}}","networkInterface":{"networkInterfaceId":"{{e=eni}}","subnetId":"{{s}}","vpcId":"{{vpc}}","availabilityZone":"{{region}}b","ownerId":"{{account}}","requesterManaged":false,"status":"pending","macAddress":"0e:{{hex:2}}:{{hex:2}}:{{hex:2}}:{{hex:2}}:{{hex:2}}","privateIpAddress":"10.0.{{number:0-63}}.{{number:4-250}}","sourceDestCheck":true,"groupSet":{"items":[{"groupId":"{{g}}","groupName":"{{f}}"}]},"tagSet":{}}}"#),
        Event::read(EC2, "DescribeSecurityGroups")
            .weight(24)
            .via("role", "config.amazonaws.com")
            .request(r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"{{group}}"},{"groupId":"{{group}}"}]},"filterSet":{}}"#),
        Event::read("elasticloadbalancing.amazonaws.com", "DescribeTargetHealth")
            .weight(26)
            .api_version("2015-12-01")
            .request(r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:{{region}}:{{account}}:targetgroup/{{cluster}}/{{hex:16}}"}"#)
            .tls("elasticloadbalancing.{{region}}.amazonaws.com"),
        Event::write("route53.amazonaws.com", "ChangeResourceRecordSets")
            .weight(3)
            .global()
            .api_version("2013-04-01")
            .request(r#"{"hostedZoneId":"Z{{base32:13}}","changeBatch":{"comment":"","changes":[{"action":"UPSERT","resourceRecordSet":{"name":"{{function}}.example.com","type":"CNAME","tTL":60,"resourceRecords":[{"value":"{{hex:10}}.example.net"}]}}]}}"#)
            .response(r#"{"changeInfo":{"id":"/change/C{{base32:20}}","status":"PENDING","submittedAt":"{{java:0}}"}}"#)
            .tls("route53.amazonaws.com"),
    ]
}

fn functions() -> Vec<Event> {
    const LAMBDA: &str = "lambda.amazonaws.com";
    vec![
        Event::read(LAMBDA, "GetFunction20150331v2")
            .weight(16)
            .request(r#"{"functionName":"arn:aws:lambda:{{region}}:{{account}}:function:{{function}}"}"#)
            .tls("lambda.{{region}}.amazonaws.com"),
        Event::write(LAMBDA, "UpdateFunctionCode20150331v2")
            .weight(5)
            .request(r#"{"functionName":"{{f=function}}","s3Bucket":"{{bucket}}","s3Key":"builds/{{hex:40}}.zip","publish":true,"dryRun":false}"#)
            .response(r#"{"functionName":"{{f}}","functionArn":"arn:aws:lambda:{{region}}:{{account}}:function:{{f}}","runtime":"provided.al2023","role":"arn:aws:iam::{{account}}:role/{{role}}","handler":"bootstrap","codeSize":{{number:100000-9000000}},"description":"","timeout":30,"memorySize":512,"lastModified":"{{time}}","codeSha256":"{{base64:43}}=","version":"{{number:1-300}}","environment":{},"tracingConfig":{"mode":"PassThrough"},"revisionId":"{{uuid}}","packageType":"Zip","architectures":["arm64"],"ephemeralStorage":{"size":512},"loggingConfig":{"logFormat":"JSON","logGroup":"/aws/lambda/{{f}}"}}"#)
            .tls("lambda.{{region}}.amazonaws.com"),
    ]
}

fn containers() -> Vec<Event> {
    vec![
        Event::read("ecr.amazonaws.com", "BatchGetImage")
            .weight(30)
            .via("role", "ecs.amazonaws.com")
            .request(r#"{"registryId":"{{account}}","repositoryName":"{{r=function}}","imageIds":[{"imageDigest":"sha256:{{hex:64}}"}],"acceptedMediaTypes":["application/vnd.oci.image.manifest.v1+json","application/vnd.docker.distribution.manifest.v2+json"]}"#)
            .resources(r#"[{"ARN":"arn:aws:ecr:{{region}}:{{account}}:repository/{{r}}","accountId":"{{account}}"}]"#),
        Event::write("ecs.amazonaws.com", "UpdateService")
            .weight(4)
            .request(r#"{"cluster":"{{c=cluster}}","service":"{{s=function}}","desiredCount":{{number:1-24}},"forceNewDeployment":true}"#)
            .response(r#"{"service":{"serviceArn":"arn:aws:ecs:{{region}}:{{account}}:service/{{c}}/{{s}}","serviceName":"{{s}}","status":"ACTIVE","desiredCount":4,"runningCount":4,"pendingCount":0,"launchType":"FARGATE","createdAt":"{{java:-9000}}","deployments":[{"id":"ecs-svc/{{number:1000000000000000000-9000000000000000000}}","status":"PRIMARY","rolloutState":"IN_PROGRESS"}]}}"#)
            .tls("ecs.{{region}}.amazonaws.com"),
        Event::write("ecs.amazonaws.com", "SubmitTaskStateChange")
            .weight(20)
            .by("role")
            .request(r#"{"cluster":"{{c=cluster}}","task":"arn:aws:ecs:{{region}}:{{account}}:task/{{c}}/{{hex:32}}","status":"RUNNING","containers":[{"containerName":"app","status":"RUNNING","runtimeId":"{{hex:64}}"}]}"#)
            .response(r#"{"acknowledgment":"ACCEPT"}"#)
            .tls("ecs-a-{{number:1-9}}.{{region}}.amazonaws.com"),
        Event::read("eks.amazonaws.com", "DescribeCluster")
            .weight(12)
            .request(r#"{"name":"{{cluster}}"}"#)
            .tls("eks.{{region}}.amazonaws.com"),
    ]
}
