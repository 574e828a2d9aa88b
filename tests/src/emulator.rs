//! Third-party AWS emulators for tests: installed on first use from hash-locked requirements, started on a free port of
//! the loopback interface, and gone with the process that started them.
//!
//! Owns: the server processes, and accounts to test in. Does not own: how Python programs are installed and ended
//! ([`crate::python`]), or what is tested on them. Without python3 the tests that need an emulator are skipped.
//!
//! A server is shared by all tests of one process, so each test works in an account and in buckets of its own. However
//! the process ends, even by kill -9, the server ends too: it runs under a shell that waits for its standard input to
//! close and then kills it.

use anyhow::{Context as _, Result, bail, ensure};
use orgtrail_cli::port::free_port;
use orgtrail_cloud::{Connection, CredentialSource};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::python;

/// The region of every connection that doesn't name another.
pub const REGION: &str = "us-east-1";

/// How long a server may take to answer. Idle it takes a second or two.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// Which emulator, and in which mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ministack { auth: bool },
    Moto,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ministack { auth: false } => "ministack",
            Self::Ministack { auth: true } => "ministack-auth",
            Self::Moto => "moto",
        }
    }

    /// The locked requirements. Both also hold the AWS CLI.
    fn lock(self) -> &'static str {
        match self {
            Self::Ministack { .. } => "emulators/ministack.lock",
            Self::Moto => "emulators/moto.lock",
        }
    }

    fn health(self) -> &'static str {
        match self {
            Self::Ministack { .. } => "/_ministack/health",
            Self::Moto => "/moto-api/",
        }
    }
}

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    kind: Kind,
    address: SocketAddr,
    environment: PathBuf,
    /// The shell that holds the server. Waiting for it closes its input first.
    leash: Child,
}

/// An account to test in, as its own administrator.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account's 12 digits.
    pub id: String,
    access_key_id: String,
    secret_access_key: String,
}

impl Emulator {
    /// The process's ministack. With `auth`, signatures, roles, external ids and expiry are enforced; without, everybody
    /// may do everything in their own account. `None`: skip the test.
    pub fn ministack(auth: bool) -> Option<&'static Self> {
        static OPEN: OnceLock<Option<Emulator>> = OnceLock::new();
        static AUTH: OnceLock<Option<Emulator>> = OnceLock::new();
        let shared = if auth { &AUTH } else { &OPEN };
        shared.get_or_init(|| Self::start(Kind::Ministack { auth })).as_ref()
    }

    /// A ministack of one's own, which ends when it is dropped: for what other tests would disturb. `None`: skip the test.
    pub fn ministack_alone(auth: bool) -> Option<Self> {
        Self::start(Kind::Ministack { auth })
    }

    /// The process's moto, the second opinion: another code base with other mistakes. `None`: skip the test.
    pub fn moto() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Emulator>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Kind::Moto)).as_ref()
    }

    /// The endpoint of every service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address behind `url`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An account nobody else uses. moto has one account for all fixed credentials: there, only names keep tests apart.
    pub fn account(&self) -> Account {
        let id = match self.kind {
            Kind::Ministack { .. } => rand::random_range(100_000_000_000_u64..1_000_000_000_000).to_string(),
            Kind::Moto => "123456789012".to_owned(),
        };
        // ministack: an access key of 12 digits is that account's root, with this secret.
        let access_key_id = if self.kind == Kind::Moto { "AKIAIOSFODNN7EXAMPLE".to_owned() } else { id.clone() };
        Account { id, access_key_id, secret_access_key: "test".to_owned() }
    }

    /// A connection as this account's administrator.
    pub fn connection(&self, account: &Account) -> Connection {
        Connection {
            region: Some(REGION.to_owned()),
            endpoint_url: Some(self.url()),
            credentials: CredentialSource::Static {
                access_key_id: account.access_key_id.clone(),
                secret_access_key: account.secret_access_key.clone(),
                session_token: None,
            },
            ..Connection::default()
        }
    }

    /// The same for a child process, as environment variables: nothing of the machine's own AWS configuration is seen.
    pub fn child_env(&self, account: &Account) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", account.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", account.secret_access_key.clone()),
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    /// The AWS CLI's program.
    pub fn aws_program(&self) -> PathBuf {
        self.environment.join("bin/aws")
    }

    /// Runs the AWS CLI as this account's administrator and reads what it prints.
    pub fn aws(&self, account: &Account, arguments: &[&str]) -> Result<serde_json::Value> {
        let output = self.aws_output(account, &[], arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "aws {}: {}", arguments.join(" "), errors.trim());
        if output.stdout.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&output.stdout).context("read what the AWS CLI printed")
    }

    /// Runs the AWS CLI as this account's administrator, with further environment variables, to whatever end.
    pub fn aws_output(&self, account: &Account, env: &[(&str, String)], arguments: &[&str]) -> Result<Output> {
        Command::new(self.environment.join("bin/aws"))
            .args(["--output", "json"])
            .args(arguments)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .envs(self.child_env(account))
            .envs(env.iter().map(|(name, value)| (name, value)))
            .output()
            .context("run the AWS CLI")
    }

    /// Makes a role that `trusted` may assume, with this external id if one is given, and that may do what the policy's
    /// statements say. Returns its ARN.
    pub fn create_role(
        &self,
        account: &Account,
        name: &str,
        trusted: &Account,
        external_id: Option<&str>,
        statements: serde_json::Value,
    ) -> Result<String> {
        let mut trust = serde_json::json!({
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", trusted.id)},
            "Action": "sts:AssumeRole",
        });
        if let Some(id) = external_id {
            trust["Condition"] = serde_json::json!({"StringEquals": {"sts:ExternalId": id}});
        }
        let document = |statement| serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let trust = document(serde_json::json!([trust]));
        let created =
            self.aws(account, &["iam", "create-role", "--role-name", name, "--assume-role-policy-document", &trust])?;
        let policy = document(statements);
        let put = ["iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", &policy];
        self.aws(account, &put)?;
        created["Role"]["Arn"].as_str().map(str::to_owned).context("the new role has no ARN")
    }

    fn start(kind: Kind) -> Option<Self> {
        if !python::is_there_for(&format!("emulator {}", kind.name())) {
            return None;
        }
        Some(Self::try_start(kind).unwrap_or_else(|error| panic!("start the emulator {}: {error:#}", kind.name())))
    }

    fn try_start(kind: Kind) -> Result<Self> {
        let environment = python::install(kind.lock())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let port = address.port().to_string();
        let log_path = environment.with_file_name(format!("{}-{port}.log", kind.name()));
        let log = File::create(&log_path)?;
        let program = if kind == Kind::Moto { "bin/moto_server" } else { "bin/ministack" };
        let mut command = python::leashed(&environment.join(program));
        match kind {
            Kind::Ministack { auth } => command
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", &port)
                .env("AUTH", auth.to_string())
                .env("LOG_LEVEL", "WARNING")
                // It would listen on every interface.
                .env("IOT_MTLS_ENABLED", "false"),
            Kind::Moto => {
                command.args(["-H", "127.0.0.1", "-p", &port]).env("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
            }
        };
        // They would change who the emulator thinks its callers are.
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"]
        {
            command.env_remove(name);
        }
        let leash = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let emulator = Self { kind, address, environment, leash };
        let begun = Instant::now();
        while !answers(address, kind.health()) {
            if begun.elapsed() > START_DEADLINE {
                let log = fs::read_to_string(&log_path).unwrap_or_default();
                bail!("no answer within {START_DEADLINE:?}; {}:\n{log}", log_path.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(emulator)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Err(error) = self.leash.wait() {
            python::tell(&format!("wait for the emulator {}: {error}", self.kind.name()));
        }
    }
}

/// A bucket name nobody else uses.
pub fn bucket_name() -> String {
    format!("orgtrail-{:016x}", rand::random::<u64>())
}

/// Does the server answer this path with 200?
fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
