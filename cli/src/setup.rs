//! The configuration files of a folder (or single ones), and which process each is for.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use orgtrail_service::config::{Invalid, parse};

/// A process that a configuration file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `orgtrail-agent`
    Agent,
    /// `orgtrail-aggregator`
    Aggregator,
    /// `orgtrail-console`
    Console,
    /// `orgtrail lake`
    Lake,
}

impl Role {
    /// The process's name.
    pub fn process(self) -> &'static str {
        match self {
            Self::Agent => "orgtrail-agent",
            Self::Aggregator => "orgtrail-aggregator",
            Self::Console => "orgtrail-console",
            Self::Lake => "orgtrail-lake",
        }
    }

    /// Tells the role by the tables that only its file has. None: the file is for none, or can't be parsed.
    pub fn of(text: &str) -> Option<Self> {
        let keys: toml::Table = toml::from_str(text).ok()?;
        let has = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
        // Both aggregator and lake name trails.
        let is_lake = has(&["event_data_stores"]);
        let is_aggregator = has(&["agents", "listen"]) || (has(&["trails"]) && !is_lake);
        match (has(&["sources", "aggregator"]), is_aggregator, has(&["console"]), is_lake) {
            (true, false, false, false) => Some(Self::Agent),
            (false, true, false, false) => Some(Self::Aggregator),
            (false, false, true, false) => Some(Self::Console),
            (false, false, false, true) => Some(Self::Lake),
            _ => None,
        }
    }
}

/// One configuration file.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub content: Content,
}

/// A parsed and checked configuration.
#[derive(Debug)]
pub enum Content {
    /// For the agent.
    Agent(Box<orgtrail_agent::Config>),
    /// For the aggregator.
    Aggregator(Box<orgtrail_aggregator::Config>),
    /// For the console.
    Console(Box<orgtrail_console::Config>),
    /// For the lake.
    Lake(Box<orgtrail_lake::Config>),
}

impl Content {
    /// The process's state folder; console and lake keep no state of their own.
    pub fn state_dir(&self) -> Option<&Path> {
        match self {
            Self::Agent(config) => Some(&config.state_dir),
            Self::Aggregator(config) => Some(&config.state_dir),
            Self::Console(_) | Self::Lake(_) => None,
        }
    }

    /// The process that the file is for.
    pub fn role(&self) -> Role {
        match self {
            Self::Agent(_) => Role::Agent,
            Self::Aggregator(_) => Role::Aggregator,
            Self::Console(_) => Role::Console,
            Self::Lake(_) => Role::Lake,
        }
    }
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Its content.
    #[error("{0}")]
    Invalid(Invalid),
    /// It is for no process that there is.
    #[error(
        "{}: for no process: an agent's file has [[sources]] and [aggregator], an aggregator's has [[trails]] and \
         [[agents]], a console's has [console], a lake's has [[event_data_stores]]",
        .0.display()
    )]
    NoRole(PathBuf),
}

/// Loads one file.
pub fn load_file(path: &Path) -> anyhow::Result<Result<File, Problem>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let content = match Role::of(&text) {
        Some(Role::Agent) => parse(path, &text).map(|config| Content::Agent(Box::new(config))),
        Some(Role::Aggregator) => parse(path, &text).map(|config| Content::Aggregator(Box::new(config))),
        Some(Role::Console) => parse(path, &text).map(|config| Content::Console(Box::new(config))),
        Some(Role::Lake) => parse(path, &text).map(|config| Content::Lake(Box::new(config))),
        // A syntax error tells more than that no role was found.
        None => match parse::<orgtrail_agent::Config>(path, &text) {
            Err(invalid) if toml::from_str::<toml::Table>(&text).is_err() => Err(invalid),
            _ => return Ok(Err(Problem::NoRole(path.to_owned()))),
        },
    };
    Ok(content.map(|content| File { path: path.to_owned(), content }).map_err(Problem::Invalid))
}

/// Loads what `--config` names: a file, or all `*.toml` files of a folder. Problems of all files are told at once.
pub fn load(config: &Path) -> anyhow::Result<Vec<File>> {
    let paths = paths(config)?;
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in &paths {
        match load_file(path)? {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    if !problems.is_empty() {
        bail!("the configuration is wrong:\n{}", problems.join("\n"));
    }
    Ok(files)
}

fn paths(config: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if config.is_file() {
        return Ok(vec![config.to_owned()]);
    }
    let entries =
        std::fs::read_dir(config).with_context(|| format!("read the configuration folder {}", config.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read {}", config.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        bail!("no *.toml file in {}: run `orgtrail demo --dir {0}` or copy deploy/samples there", config.display());
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_tables_tell_its_role() {
        assert_eq!(Role::of("[[sources]]\nlocation = \"x\""), Some(Role::Agent));
        assert_eq!(Role::of("listen = \"127.0.0.1:1\"\n[[trails]]"), Some(Role::Aggregator));
        assert_eq!(Role::of("[[console.trails]]\nname = \"x\""), Some(Role::Console));
        assert_eq!(Role::of("[[trails]]\n[[event_data_stores]]\nname = \"x\""), Some(Role::Lake));
        assert_eq!(Role::of("[[agents]]\n[[event_data_stores]]"), None);
        assert_eq!(Role::of("state_dir = \"x\""), None);
        assert_eq!(Role::of("[console]\n[[trails]]"), None);
        assert_eq!(Role::of("[[sources]]\n[[trails]]"), None);
        assert_eq!(Role::of("not toml ["), None);
    }
}
