//! Random records and random valid selectors, from so few words that they often meet. Tests only.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::selector::{
    AdvancedEventSelector, AdvancedFieldSelector, DataResource, EventSelector, InsightCategory, InsightSelector,
    InsightType, ReadWriteType, Scope, Selectors,
};

const SOURCES: [&str; 8] = [
    "s3.amazonaws.com",
    "lambda.amazonaws.com",
    "kms.amazonaws.com",
    "rdsdata.amazonaws.com",
    "iam.amazonaws.com",
    "sts.amazonaws.com",
    "cloudfront.amazonaws.com",
    "ebs.amazonaws.com",
];
const NAMES: [&str; 6] = ["GetObject", "GetObjectAcl", "PutObject", "Invoke", "Object", "é😀"];
const TYPES: [&str; 4] = ["AWS::S3::Object", "AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::EC2::Snapshot"];
const ARNS: [&str; 8] = [
    "arn:aws:s3:::a/",
    "arn:aws:s3:::a/b",
    "arn:aws:s3:::a/b/c",
    "arn:aws:s3:::ab/",
    "arn:aws:lambda:us-east-1:111122223333:function:f",
    "arn:aws:lambda:us-east-1:111122223333:function:ff",
    "arn:aws:dynamodb:us-east-1:111122223333:table/t",
    "arn:aws:ec2:us-west-2::snapshot/snap-1",
];
const USERS: [&str; 3] = [
    "arn:aws:iam::111122223333:user/a",
    "arn:aws:sts::111122223333:assumed-role/R/a",
    "arn:aws:sts::111122223333:assumed-role/R/b",
];
const ENDPOINTS: [&str; 2] = ["vpce-1", "vpce-12"];
pub(super) const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "012345678901"];
pub(super) const REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "eu-central-1"];

/// A field that may be absent, of a wrong type, or one of these.
fn field(words: &'static [&'static str]) -> BoxedStrategy<Option<Value>> {
    prop_oneof![
        8 => select(words).prop_map(|word| Some(json!(word))),
        2 => Just(None),
        1 => select(vec![json!(null), json!(7), json!({}), json!([]), json!("")]).prop_map(Some),
    ]
    .boxed()
}

fn boolean() -> impl Strategy<Value = Option<Value>> {
    select(vec![
        None,
        Some(json!(true)),
        Some(json!(false)),
        Some(json!("true")),
        Some(json!("false")),
        Some(json!(null)),
    ])
}

fn object(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    values
        .prop_map(move |values| {
            let given = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(given.collect::<Map<_, _>>())
        })
        .boxed()
}

fn nested(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Option<Value>> {
    prop_oneof![6 => object(members).prop_map(Some), 1 => Just(None), 1 => Just(Some(json!(null)))].boxed()
}

pub(super) fn record() -> impl Strategy<Value = Value> {
    let resource = object(vec![
        ("ARN", field(&ARNS)),
        ("arn", weighted(0.1, select(&ARNS[..]).prop_map(|arn| json!(arn))).boxed()),
        ("ARNPrefix", weighted(0.2, select(&ARNS[..]).prop_map(|arn| json!(arn))).boxed()),
        ("type", field(&TYPES)),
        ("accountId", field(&ACCOUNTS)),
    ]);
    let resources = prop_oneof![
        8 => vec(resource, 0..3).prop_map(|list| Some(Value::Array(list))),
        1 => Just(None),
        1 => select(vec![json!(""), json!(null), json!([7, null, "x"])]).prop_map(Some),
    ];
    let dimension = prop_oneof![
        select(&NAMES[..]).prop_map(|name| ("eventName", name)),
        select(&ARNS[..]).prop_map(|arn| ("resourceARN", arn)),
        select(&USERS[..]).prop_map(|arn| ("userIdentity", arn)),
        Just(("userIdentity", "a")),
    ];
    let summary = weighted(
        0.5,
        dimension.prop_map(|(dimension, name)| {
            json!({"primaryDimension": {"dimension": dimension, "statistics": [{"name": name, "value": 3}]}})
        }),
    );
    let insight = nested(vec![
        ("insightType", field(&["ApiCallRateInsight", "ApiErrorRateInsight"])),
        ("sourceEventCategory", field(&["Management", "Data"])),
    ]);
    let category = field(&["Management", "Data", "Data", "NetworkActivity", "Insight", "Aggregated", "Evidence"]);
    object(vec![
        ("eventCategory", category),
        ("managementEvent", boolean().boxed()),
        ("readOnly", boolean().boxed()),
        ("eventSource", field(&SOURCES)),
        ("eventName", field(&NAMES)),
        ("eventType", field(&["AwsApiCall", "AwsServiceEvent", "AwsVpceEvent"])),
        ("errorCode", field(&["VpceAccessDenied", "AccessDenied"])),
        ("awsRegion", field(&REGIONS)),
        ("vpcEndpointId", field(&ENDPOINTS)),
        ("sessionCredentialFromConsole", boolean().boxed()),
        ("userIdentity", nested(vec![("arn", field(&USERS)), ("type", field(&["AssumedRole"]))])),
        (
            "tlsDetails",
            nested(vec![("clientProvidedHostHeader", field(&["sts.amazonaws.com", "sts.us-east-1.amazonaws.com"]))]),
        ),
        ("insightDetails", prop_oneof![2 => Just(None), 1 => insight].boxed()),
        ("resources", resources.boxed()),
        ("summary", summary.boxed()),
    ])
}

/// A list of these or, where an operator allows it, of their parts.
fn values(words: &'static [&'static str], parts: bool) -> BoxedStrategy<Option<Vec<String>>> {
    let one = (select(words), any::<prop::sample::Index>(), 0..3_u8).prop_map(move |(word, at, cut)| {
        let characters: Vec<char> = word.chars().collect();
        let at = at.index(characters.len());
        match cut {
            1 if parts => characters[at..].iter().collect(),
            2 if parts => characters[..=at].iter().collect(),
            _ => word.to_owned(),
        }
    });
    weighted(0.4, vec(one, 1..4)).boxed()
}

fn any_operator(name: &'static str, words: &'static [&'static str]) -> BoxedStrategy<Option<AdvancedFieldSelector>> {
    let lists = (
        values(words, false),
        values(words, true),
        values(words, true),
        values(words, false),
        values(words, true),
        values(words, true),
    );
    let selector =
        lists.prop_map(move |(equals, starts_with, ends_with, not_equals, not_starts_with, not_ends_with)| {
            let field = name.to_owned();
            AdvancedFieldSelector { field, equals, starts_with, ends_with, not_equals, not_starts_with, not_ends_with }
        });
    weighted(0.4, selector).prop_map(|selector| selector.filter(|it| it.operators().next().is_some())).boxed()
}

fn equals(name: &str, value: &str) -> AdvancedFieldSelector {
    AdvancedFieldSelector { field: name.to_owned(), equals: Some(vec![value.to_owned()]), ..Default::default() }
}

fn maybe_equals(name: &'static str, words: &'static [&'static str]) -> BoxedStrategy<Option<AdvancedFieldSelector>> {
    weighted(0.3, select(words).prop_map(move |word| equals(name, word))).boxed()
}

fn not_equals(name: &'static str, words: &'static [&'static str]) -> BoxedStrategy<Option<AdvancedFieldSelector>> {
    let some = subsequence(words, 1..=words.len());
    let selector = some.prop_map(move |words| AdvancedFieldSelector {
        field: name.to_owned(),
        not_equals: Some(words.into_iter().map(str::to_owned).collect()),
        ..Default::default()
    });
    weighted(0.3, selector).boxed()
}

fn advanced() -> impl Strategy<Value = AdvancedEventSelector> {
    let management = vec![
        not_equals("eventSource", &["kms.amazonaws.com", "rdsdata.amazonaws.com"]),
        maybe_equals("readOnly", &["true", "false"]),
    ];
    let data = vec![
        select(&TYPES[..]).prop_map(|word| Some(equals("resources.type", word))).boxed(),
        maybe_equals("readOnly", &["true", "false"]),
        any_operator("eventName", &NAMES),
        any_operator("eventSource", &SOURCES),
        any_operator("eventType", &["AwsApiCall", "AwsServiceEvent"]),
        any_operator("resources.ARN", &ARNS),
        any_operator("userIdentity.arn", &USERS),
        not_equals("sessionCredentialFromConsole", &["true"]),
    ];
    let network = vec![
        select(&SOURCES[..]).prop_map(|word| Some(equals("eventSource", word))).boxed(),
        any_operator("eventName", &NAMES),
        any_operator("vpcEndpointId", &ENDPOINTS),
        maybe_equals("errorCode", &["VpceAccessDenied"]),
    ];
    let of = |category: &'static str, fields: Vec<BoxedStrategy<Option<AdvancedFieldSelector>>>| {
        fields.prop_map(move |fields| {
            let mut field_selectors: Vec<_> = fields.into_iter().flatten().collect();
            field_selectors.push(equals("eventCategory", category));
            AdvancedEventSelector { name: None, field_selectors }
        })
    };
    prop_oneof![1 => of("Management", management), 3 => of("Data", data), 1 => of("NetworkActivity", network)]
}

fn basic() -> impl Strategy<Value = EventSelector> {
    let values = |all: &'static [&'static str], arns: &'static [&'static str]| {
        let one = prop_oneof![1 => select(all), 4 => select(arns)];
        vec(one.prop_map(str::to_owned), 0..4)
    };
    let resource = prop_oneof![
        values(&["arn:aws:s3", "arn:aws:s3:::"], &ARNS[..4]).prop_map(|values| ("AWS::S3::Object", values)),
        values(&["arn:aws:lambda"], &ARNS[4..6]).prop_map(|values| ("AWS::Lambda::Function", values)),
        values(&["arn:aws:dynamodb"], &ARNS[6..7]).prop_map(|values| ("AWS::DynamoDB::Table", values)),
    ];
    let resources = vec(resource.prop_map(|(kind, values)| DataResource { kind: kind.to_owned(), values }), 0..4);
    let kinds = select(vec![ReadWriteType::All, ReadWriteType::ReadOnly, ReadWriteType::WriteOnly]);
    let excluded = subsequence(vec!["kms.amazonaws.com".to_owned(), "rdsdata.amazonaws.com".to_owned()], 0..=2);
    (kinds, any::<bool>(), resources, excluded).prop_map(|(read_write_type, management, data_resources, excluded)| {
        EventSelector {
            read_write_type,
            include_management_events: management || data_resources.is_empty(),
            data_resources,
            exclude_management_event_sources: excluded,
        }
    })
}

pub(super) fn selectors() -> impl Strategy<Value = Selectors> {
    prop_oneof![
        1 => Just(Selectors::All),
        6 => vec(basic(), 1..=5).prop_map(Selectors::Basic),
        12 => vec(advanced(), 1..5).prop_map(Selectors::Advanced),
    ]
}

pub(super) fn insights() -> impl Strategy<Value = Vec<InsightSelector>> {
    let categories = weighted(0.6, subsequence(vec![InsightCategory::Management, InsightCategory::Data], 1..=2));
    let types = select(vec![InsightType::ApiCallRateInsight, InsightType::ApiErrorRateInsight]);
    vec(
        (types, categories)
            .prop_map(|(insight_type, event_categories)| InsightSelector { insight_type, event_categories }),
        0..3,
    )
}

pub(super) fn scope() -> impl Strategy<Value = Scope> {
    let some = |words: &'static [&'static str]| subsequence(words, 0..words.len());
    let own = |list: Vec<&'static str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let home = weighted(0.4, select(&REGIONS[..]));
    let wide = prop_oneof![2 => Just(Vec::new()), 1 => some(&ACCOUNTS)];
    let regions = prop_oneof![2 => Just(Vec::new()), 1 => some(&REGIONS)];
    (wide, regions, home, any::<bool>()).prop_map(move |(accounts, mut regions, home, global)| {
        if let Some(home) = home.filter(|home| !regions.is_empty() && !regions.contains(home)) {
            regions.push(home);
        }
        Scope {
            accounts: own(accounts),
            regions: own(regions),
            home_region: home.map(str::to_owned),
            include_global_service_events: global || home.is_none(),
        }
    })
}
