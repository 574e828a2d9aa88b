//! Who and what appears in the records of one account: its callers with their sessions, addresses and user agents, and
//! the names of its resources. Everything is invented: account numbers and addresses come from the ranges kept for
//! documentation (RFC 5737, RFC 3849).

use super::random::{Alphabet, Random};
use super::time;

/// One member account.
pub(super) struct Account {
    /// Twelve digits; may begin with zero.
    pub id: String,
    /// Unix seconds; days are counted from it.
    start: i64,
    users: Vec<Identity>,
    people: Vec<Identity>,
    roles: Vec<Identity>,
    roots: Vec<Identity>,
    strangers: Vec<Identity>,
    pools: Vec<Vec<String>>,
}

/// One caller during one session.
pub(super) struct Identity {
    /// The `userIdentity` object without its closing brace, so that a template can add `invokedBy`.
    pub json: String,
    pub ip: String,
    pub agent: String,
    /// Where in `json` the session's access key and creation date begin, for those that have a session.
    session: Option<(usize, usize)>,
}

const KEY: &str = r#""accessKeyId":"ASIA"#;
const CREATED: &str = r#""creationDate":""#;
const DAY: i64 = 86_400;

impl Identity {
    fn new(json: String, ip: String, agent: &str) -> Self {
        let behind = |mark: &str| json.find(mark).map(|at| at + mark.len());
        let session = behind(KEY).zip(behind(CREATED));
        Self { json, ip, agent: agent.to_owned(), session }
    }

    /// Writes `json` as it is on this day after the account's start: a session lasts a day, then the same caller has
    /// another access key.
    pub(super) fn write(&self, account: &Account, time: i64, out: &mut Vec<u8>) {
        let day = (time - account.start).div_euclid(DAY);
        let (Some((key, created)), 1..) = (self.session, day) else {
            return out.extend_from_slice(self.json.as_bytes());
        };
        let json = self.json.as_bytes();
        let (key_end, began) = (key + 16, account.start + day * DAY);
        let mut random = Random::new(day.unsigned_abs(), &self.json[key..key_end]);
        out.extend_from_slice(&json[..key]);
        random.text(Alphabet::Base32, 16, out);
        out.extend_from_slice(&json[key_end..created]);
        let date = session(began, &mut random);
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(&json[created + date.len()..]);
    }
}

/// The kinds of callers a template can ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class {
    /// An IAM user with long-term keys.
    User,
    /// Somebody of flesh and blood, through single sign-on.
    Person,
    /// A workload's role.
    Role,
    Root,
    /// Another account's principal, as the owner of the resource sees it.
    Stranger,
    /// People and workloads mixed, mostly workloads.
    Any,
}

/// The kinds of resource names a template can ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pool {
    Bucket,
    Folder,
    Function,
    Table,
    Queue,
    Topic,
    Role,
    User,
    Key,
    Instance,
    Volume,
    Vpc,
    Subnet,
    Group,
    Image,
    Secret,
    Cluster,
    Database,
    Stack,
    Eni,
    Endpoint,
}

/// Every kind with its slot's name, in the order of the kinds.
const POOLS: [(&str, Pool); 21] = [
    ("bucket", Pool::Bucket),
    ("folder", Pool::Folder),
    ("function", Pool::Function),
    ("table", Pool::Table),
    ("queue", Pool::Queue),
    ("topic", Pool::Topic),
    ("role", Pool::Role),
    ("user", Pool::User),
    ("key", Pool::Key),
    ("instance", Pool::Instance),
    ("volume", Pool::Volume),
    ("vpc", Pool::Vpc),
    ("subnet", Pool::Subnet),
    ("group", Pool::Group),
    ("image", Pool::Image),
    ("secret", Pool::Secret),
    ("cluster", Pool::Cluster),
    ("database", Pool::Database),
    ("stack", Pool::Stack),
    ("eni", Pool::Eni),
    ("endpoint", Pool::Endpoint),
];

const TEAMS: [&str; 8] = ["orders", "payments", "search", "billing", "ledger", "catalog", "identity", "reports"];
const PARTS: [&str; 8] = ["ingest", "api", "worker", "export", "archive", "events", "snapshots", "sync"];
const NAMES: [&str; 10] = [
    "ana.lima",
    "bo.chen",
    "carla.ruiz",
    "dev.patel",
    "eva.novak",
    "femi.ojo",
    "gita.rao",
    "hugo.blanc",
    "ines.k",
    "jo",
];
const TOOLS: [&str; 8] = [
    "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.1 md/GOOS#linux md/GOARCH#arm64 api/s3#1.78.2 m/E",
    "Boto3/1.37.4 md/Botocore#1.37.4 ua/2.1 os/linux#6.1.129 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.37.4",
    "aws-sdk-java/2.30.31 md/io#sync md/http#Apache ua/2.1 os/Linux#5.10.234 lang/java#21.0.6 md/OpenJDK_64-Bit_Server_VM m/D,N",
    "aws-cli/2.30.0 md/awscrt#0.23.8 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.12.6 exec-env/AWS_ECS_EC2 md/pyimpl#CPython m/C",
    "aws-sdk-js/3.758.0 ua/2.1 os/linux#5.10.233 lang/js md/nodejs#20.18.1 exec-env/AWS_Lambda_nodejs20.x api/dynamodb#3.758.0",
    "APN/1.0 HashiCorp/1.0 Terraform/1.11.0 (+https://www.terraform.io) terraform-provider-aws/5.89.0 aws-sdk-go-v2/1.36.3",
    "aws-sdk-rust/1.3.8 ua/2.1 api/s3/1.78.0 os/linux lang/rust/1.85.0",
    "[aws-sdk-java/1.12.780 Linux/5.10.234-225.895.amzn2 OpenJDK_64-Bit_Server_VM/17.0.14+7-LTS java/17.0.14]",
];
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "aws-cli/2.30.0 md/awscrt#0.23.8 ua/2.1 os/macos#24.3.0 md/arch#arm64 lang/python#3.12.6 md/prompt#off md/command#ec2.describe-instances",
    "AWS Internal",
];

impl Class {
    pub(super) fn parse(name: &str) -> Self {
        match name {
            "user" => Self::User,
            "person" => Self::Person,
            "role" => Self::Role,
            "root" => Self::Root,
            "stranger" => Self::Stranger,
            "any" => Self::Any,
            _ => panic!("`{name}` is no class of callers"),
        }
    }
}

impl Pool {
    pub(super) fn parse(name: &str) -> Self {
        POOLS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("`{name}` is no slot")).1
    }
}

impl Account {
    /// The cast of one account, whose sessions began within the two hours before `start` (Unix seconds).
    pub(super) fn new(id: &str, seed: u64, start: i64) -> Self {
        let mut random = Random::new(seed, &format!("cast/{id}"));
        let random = &mut random;
        Self {
            id: id.to_owned(),
            start,
            users: (0..6).map(|_| user(id, random)).collect(),
            people: (0..16).map(|_| person(id, start, random)).collect(),
            roles: (0..48).map(|_| role(id, start, random)).collect(),
            roots: vec![root(id, start, random)],
            strangers: (0..4).map(|_| stranger(random)).collect(),
            pools: POOLS.iter().map(|(_, pool)| names(*pool, id, random)).collect(),
        }
    }

    /// A caller of this class.
    pub(super) fn identity(&self, class: Class, random: &mut Random) -> &Identity {
        let crowd = match class {
            Class::User => &self.users,
            Class::Person => &self.people,
            Class::Role => &self.roles,
            Class::Root => &self.roots,
            Class::Stranger => &self.strangers,
            Class::Any => match random.below(20) {
                0 => &self.users,
                1..4 => &self.people,
                _ => &self.roles,
            },
        };
        random.pick(crowd)
    }

    /// The name of a resource of this kind.
    pub(super) fn pool(&self, pool: Pool, random: &mut Random) -> &str {
        random.pick::<String>(&self.pools[pool as usize])
    }
}

fn names(pool: Pool, account: &str, random: &mut Random) -> Vec<String> {
    let count = match pool {
        Pool::Vpc => 2,
        Pool::Instance | Pool::Volume | Pool::Folder | Pool::Eni => 40,
        _ => 9,
    };
    let tail = &account[account.len() - 4..];
    let name = |random: &mut Random| format!("{}-{}", random.pick(&TEAMS), random.pick(&PARTS));
    let hex = |prefix: &str, random: &mut Random| format!("{prefix}{}", random.string(Alphabet::Hex, 17));
    let one = |random: &mut Random| match pool {
        Pool::Bucket => format!("acme-{}-{tail}", name(random)),
        Pool::Folder => format!("{}/year=2026/region={}", name(random), random.pick(&["emea", "amer", "apac"])),
        Pool::Function | Pool::Table | Pool::Queue | Pool::Topic | Pool::Cluster | Pool::Stack => name(random),
        Pool::Role => format!("{}-role", name(random)),
        Pool::User => (*random.pick(&NAMES)).to_owned(),
        Pool::Database => format!("{}-db", random.pick(&TEAMS)),
        Pool::Secret => format!("prod/{}/db-{}", random.pick(&TEAMS), random.string(Alphabet::Alphanumeric, 6)),
        Pool::Key => {
            let mut key = Vec::new();
            random.uuid(&mut key);
            String::from_utf8(key).expect("a UUID is ASCII")
        }
        Pool::Instance => hex("i-0", random).chars().take(19).collect(),
        Pool::Volume => hex("vol-", random),
        Pool::Vpc => hex("vpc-", random),
        Pool::Subnet => hex("subnet-", random),
        Pool::Group => hex("sg-", random),
        Pool::Image => hex("ami-", random),
        Pool::Eni => hex("eni-", random),
        Pool::Endpoint => hex("vpce-", random),
    };
    (0..count).map(|_| one(random)).collect()
}

fn address(random: &mut Random) -> String {
    match random.below(12) {
        0 => format!("2001:db8:{:x}:{:x}::{:x}", random.below(65_536), random.below(65_536), random.between(1, 65_535)),
        _ => format!("{}.{}", random.pick(&["192.0.2", "198.51.100", "203.0.113"]), random.between(1, 254)),
    }
}

fn session(start: i64, random: &mut Random) -> String {
    time::iso(start - random.between(60, 7_200) as i64)
}

fn user(account: &str, random: &mut Random) -> Identity {
    let name = *random.pick(&NAMES);
    let id = random.string(Alphabet::Base32, 17);
    let access = random.string(Alphabet::Base32, 16);
    let json = format!(
        r#"{{"type":"IAMUser","principalId":"AIDA{id}","arn":"arn:aws:iam::{account}:user/ops/{name}","accountId":"{account}","accessKeyId":"AKIA{access}","userName":"{name}""#
    );
    Identity::new(json, address(random), random.pick::<&str>(&TOOLS))
}

fn assumed(
    account: &str,
    role: &str,
    path: &str,
    session_name: &str,
    start: i64,
    mfa: bool,
    random: &mut Random,
) -> String {
    let id = random.string(Alphabet::Base32, 17);
    let access = random.string(Alphabet::Base32, 16);
    let created = session(start, random);
    format!(
        r#"{{"type":"AssumedRole","principalId":"AROA{id}:{session_name}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session_name}","accountId":"{account}","accessKeyId":"ASIA{access}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{id}","arn":"arn:aws:iam::{account}:role/{path}{role}","accountId":"{account}","userName":"{role}"}},"attributes":{{"creationDate":"{created}","mfaAuthenticated":"{mfa}"}}}}"#
    )
}

fn person(account: &str, start: i64, random: &mut Random) -> Identity {
    let set = *random.pick(&["AdministratorAccess", "PowerUserAccess", "ReadOnly", "Billing"]);
    let role = format!("AWSReservedSSO_{set}_{}", random.string(Alphabet::Hex, 16));
    let name = format!("{}@example.com", random.pick(&NAMES));
    let path = "aws-reserved/sso.amazonaws.com/";
    let mfa = random.chance(0.3);
    let json = assumed(account, &role, path, &name, start, mfa, random);
    Identity::new(json, address(random), random.pick::<&str>(&BROWSERS))
}

fn role(account: &str, start: i64, random: &mut Random) -> Identity {
    let role = format!("{}-{}-role", random.pick(&TEAMS), random.pick(&PARTS));
    let name = match random.below(3) {
        0 => format!("i-0{}", random.string(Alphabet::Hex, 16)),
        1 => format!("aws-go-sdk-{}", random.between(1_700_000_000_000_000_000, 1_799_999_999_999_999_999)),
        _ => format!("{}-{}", random.pick(&TEAMS), random.pick(&PARTS)),
    };
    let mut json = assumed(account, &role, "", &name, start, false, random);
    if name.starts_with("i-0") {
        // Credentials of an instance profile say how they were handed out: inside sessionContext, before its brace.
        json.truncate(json.len() - 1);
        json.push_str(r#","ec2RoleDelivery":"2.0"}"#);
    }
    Identity::new(json, address(random), random.pick::<&str>(&TOOLS))
}

fn root(account: &str, start: i64, random: &mut Random) -> Identity {
    let access = random.string(Alphabet::Base32, 16);
    let created = session(start, random);
    // Empty objects in place of absent ones, as older services write them.
    let json = format!(
        r#"{{"type":"Root","principalId":"{account}","arn":"arn:aws:iam::{account}:root","accountId":"{account}","accessKeyId":"ASIA{access}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{created}","mfaAuthenticated":"true"}}}}"#
    );
    Identity::new(json, address(random), BROWSERS[0])
}

fn stranger(random: &mut Random) -> Identity {
    let id = random.string(Alphabet::Base32, 17);
    let account = *random.pick(&["222233334444", "333344445555", "888899990000"]);
    let team = *random.pick(&TEAMS);
    let json = format!(r#"{{"type":"AWSAccount","principalId":"AROA{id}:{team}-partner","accountId":"{account}""#);
    Identity::new(json, address(random), random.pick::<&str>(&TOOLS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name_stands_in_its_own_place() {
        let account = Account::new("001122334455", 1, 1_772_365_500);
        for (place, (name, pool)) in POOLS.iter().enumerate() {
            assert_eq!(*pool as usize, place, "{name}");
            assert!(!account.pools[place].is_empty());
        }
        assert!(account.pool(Pool::Instance, &mut Random::new(1, "")).starts_with("i-0"));
    }

    #[test]
    fn a_session_has_another_key_the_day_after() {
        let start = 1_772_365_500;
        let account = Account::new("001122334455", 1, start);
        let written = |identity: &Identity, time| {
            let mut out = Vec::new();
            identity.write(&account, time, &mut out);
            String::from_utf8(out).expect("an identity is text")
        };
        let (role, user) = (&account.roles[0], &account.users[0]);
        for time in [start - 600, start, start + DAY - 1] {
            assert_eq!(written(role, time), role.json);
        }
        let (second, third) = (written(role, start + DAY), written(role, start + 2 * DAY));
        assert_eq!(second, written(role, start + 2 * DAY - 1));
        assert!(second != third && second != role.json, "{second}");
        assert_eq!(second.len(), role.json.len());
        let (key, created) = role.session.expect("a role has sessions");
        assert_eq!((&second[..key], &second[key + 16..created]), (&role.json[..key], &role.json[key + 16..created]));
        assert_eq!(&second[created..created + 8], "2026-03-");
        assert_eq!(written(user, start + DAY), user.json);
    }
}
