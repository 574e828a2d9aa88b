//! `orgtrail quarantine list|show|retry|drop`: what could not be processed, on the state folders' own files, so that it works
//! whether or not the processes run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use orgtrail_aggregator::seal::{open_payload, sealed_under};
use orgtrail_cloud::Connection;
use orgtrail_service::clock;
use orgtrail_service::quarantine::{Entry, Error, Filter, Folder};
use orgtrail_service::run::Exit;
use serde_json::json;

use crate::setup::{Content, File, Role, load};
use crate::terminal::{end, table};

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The entries, oldest first.
    List(List),
    /// One entry, whole.
    Show(Show),
    /// Have the agent fetch an object again: after a source was repaired, or an account registered.
    Retry(Retry),
    /// Give an entry up. It goes to the quarantine's dropped.jsonl with your name.
    Drop(Drop),
}

/// Where to look.
#[derive(Debug, Args)]
struct Where {
    /// Configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
}

/// `quarantine list`
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: Where,
    /// Only entries with this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Only entries whose object holds this text.
    #[arg(long)]
    subject: Option<String>,
    /// JSON lines.
    #[arg(long)]
    json: bool,
}

/// `quarantine show`
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    place: Where,
    /// The entry's id, or the first digits of it.
    id: String,
    /// The bytes that were kept, as they are, instead of the description.
    #[arg(long)]
    payload: bool,
}

/// `quarantine retry`
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    place: Where,
    /// Ids, or first digits of them.
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// Everything, or everything with `--reason`.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only entries with this reason.
    #[arg(long, requires = "all")]
    reason: Option<String>,
}

/// `quarantine drop`
#[derive(Debug, Args)]
pub struct Drop {
    #[command(flatten)]
    place: Where,
    /// Ids, or first digits of them.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Who decides; stands in the record of what was dropped.
    #[arg(long)]
    by: String,
}

/// Runs the verb.
pub fn run(verb: Verb) -> ExitCode {
    end(match verb {
        Verb::List(list) => run_list(&list),
        Verb::Show(show) => run_show(&show),
        Verb::Retry(retry) => run_retry(&retry),
        Verb::Drop(drop) => run_drop(&drop),
    })
}

impl Where {
    /// One folder a process; `--config FILE` leaves only that process's.
    fn folders(&self) -> anyhow::Result<Vec<(Role, Folder)>> {
        let files = load(&self.config)?;
        let folder = |dir: &std::path::Path| Folder::open(&dir.join("quarantine"), clock::system());
        // A process without state has put nothing aside.
        let of = |file: &File| Some((file.content.role(), folder(file.content.state_dir()?)));
        Ok(files.iter().filter_map(of).collect())
    }

    /// The entry whose id begins so, and whose it is.
    fn find(&self, id: &str) -> anyhow::Result<(Role, Folder, Entry)> {
        let mut found = Vec::new();
        for (role, folder) in self.folders()? {
            match folder.get(id) {
                Ok(entry) => found.push((role, folder, entry)),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if found.len() > 1 {
            bail!("{id} begins an id in more than one process's quarantine: give more digits");
        }
        found.pop().with_context(|| format!("no entry's id begins with {id}: see `orgtrail quarantine list`"))
    }
}

impl Where {
    /// Opens a sealed payload, with the key service reached as the aggregator reaches it.
    fn open(&self, entry: &mut Entry, key: &str) -> anyhow::Result<()> {
        let files = load(&self.config)?;
        let configs = files.iter().filter_map(|file| match &file.content {
            Content::Aggregator(config) => Some(config),
            _ => None,
        });
        let (mut connection, mut dir) = (Connection::default(), PathBuf::new());
        for config in configs {
            dir.clone_from(&config.state_dir);
            if let Some(seal) = config.seal.as_ref().filter(|seal| seal.key_id == key) {
                connection = seal.connection.clone();
                break;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let opened = runtime.block_on(open_payload(entry, &connection, &dir));
        opened.with_context(|| format!("the payload is sealed under {key}, which can't be used from here"))
    }
}

fn run_list(list: &List) -> anyhow::Result<Exit> {
    let filter = Filter { reason: list.reason.clone(), subject: list.subject.clone() };
    let mut rows = Vec::new();
    for (role, folder) in list.place.folders()? {
        for entry in folder.list(&filter)? {
            let entry = entry?;
            if list.json {
                println!("{}", json!({"process": role.process(), "entry": entry}));
                continue;
            }
            let id = entry.id.to_string();
            rows.push(vec![
                id[..12].to_owned(),
                entry.quarantined_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                entry.reason,
                entry.subject,
                entry.detail,
            ]);
        }
    }
    if !list.json {
        if rows.is_empty() {
            println!("nothing is quarantined");
        } else {
            println!("{}", table(5, &["ID", "SINCE", "REASON", "OBJECT", "DETAIL"], rows));
        }
    }
    Ok(Exit::Ok)
}

fn run_show(show: &Show) -> anyhow::Result<Exit> {
    let (role, _, mut entry) = show.place.find(&show.id)?;
    if let Some(key) = sealed_under(&entry).map(str::to_owned) {
        match show.place.open(&mut entry, &key) {
            Ok(()) => {}
            Err(error) if show.payload => return Err(error),
            Err(error) => eprintln!("orgtrail: the payload is shown as it is kept: {error:#}"),
        }
    }
    if show.payload {
        let payload = entry.payload.context("no bytes were kept; the object stays at its source")?;
        std::io::Write::write_all(&mut std::io::stdout(), &payload)?;
        return Ok(Exit::Ok);
    }
    println!("{}", serde_json::to_string_pretty(&json!({"process": role.process(), "entry": entry}))?);
    Ok(Exit::Ok)
}

fn run_retry(retry: &Retry) -> anyhow::Result<Exit> {
    let mut asked = 0;
    if retry.all {
        let filter = Filter { reason: retry.reason.clone(), subject: None };
        for (role, folder) in retry.place.folders()? {
            // What the aggregator quarantined are stretches of objects; the objects themselves stand in the agent's.
            if role == Role::Agent {
                asked += folder.request_retries(&filter)?;
            }
        }
    }
    for id in &retry.ids {
        let (role, folder, entry) = retry.place.find(id)?;
        if role != Role::Agent {
            bail!(
                "{id} is a bad stretch of an object; retry the object itself, which its agent has quarantined: {}",
                entry.subject
            );
        }
        folder.request_retry(&entry.id)?;
        asked += 1;
    }
    println!(
        "asked for {asked} more attempts; the agent makes them when it runs, and `orgtrail status` shows what came of them"
    );
    Ok(Exit::Ok)
}

fn run_drop(drop: &Drop) -> anyhow::Result<Exit> {
    for id in &drop.ids {
        let (_, folder, entry) = drop.place.find(id)?;
        folder.drop(&entry.id, &drop.by)?;
        println!("dropped {} ({})", entry.id, entry.subject);
    }
    Ok(Exit::Ok)
}
