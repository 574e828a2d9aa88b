//! `orgtrail history RESOURCE`: one timeline of who changed it and what its configuration was before and after.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use orgtrail_lake::Lake;
use orgtrail_lake::history::{Call, Change, Entry, History, Question, State, history};
use orgtrail_service::clock::system;
use orgtrail_service::run::Exit;
use serde_json::Value;

use crate::lake::configuration;
use crate::lookup_events::moment;
use crate::runtime::block_on;
use crate::terminal::end;

/// Characters of a value that are printed.
const VALUE_CHARACTERS: usize = 160;

/// Print the history of a resource: calls that name it, and what AWS Config recorded of it.
///
/// Calls come from event data stores of events: those that change something and hold one of the resource's names as a whole
/// value. States come from event data stores of configuration items. AWS Config captures a change some seconds to minutes
/// after the call that made it.
///
/// Exit codes: 0 done, 1 failed, 2 nothing is known of the resource.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Its id, name or ARN. An ARN is looked for in its own account alone.
    #[arg(value_name = "RESOURCE")]
    resource: String,
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// History from this moment on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// History up to this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    /// Data events too, such as each object put into a bucket.
    #[arg(long)]
    data_events: bool,
    /// Calls and states at most; the newest are kept.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    limit: usize,
    /// One JSON document, with whole values.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(async {
        let lake = Lake::open(&configuration(&arguments.config)?, system()).await?;
        let question = Question {
            resource: arguments.resource.clone(),
            from: arguments.from,
            to: arguments.to,
            data_events: arguments.data_events,
            limit: arguments.limit,
        };
        let history = history(&lake, &question).await?;
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&history)?);
        } else {
            print!("{}", told(&history));
            if history.is_cut {
                eprintln!("There is more before; see --limit, --from and --to.");
            }
        }
        Ok(if history.entries.is_empty() { Exit::Partial } else { Exit::Ok })
    }))
}

/// The timeline, a line a call, a line a state and a line a change.
fn told(history: &History) -> String {
    let mut out = String::new();
    if history.entries.is_empty() {
        return format!("Nothing is known of {}.\n", history.names.join(", "));
    }
    for entry in &history.entries {
        match entry {
            Entry::Call(call) => tell_call(call, &mut out),
            Entry::State(state) => tell_state(state, &mut out),
        }
    }
    out
}

fn tell_call(call: &Call, out: &mut String) {
    let time = call.at.strftime("%Y-%m-%d %H:%M:%S");
    let service = call.source.trim_end_matches(".amazonaws.com");
    let from = call.source_ip_address.as_deref().unwrap_or("-");
    let via = call.invoked_by.as_ref().map(|service| format!(" through {service}")).unwrap_or_default();
    let error = call.error.as_ref().map(|error| format!("  FAILED: {error}")).unwrap_or_default();
    let (name, principal) = (&call.name, &call.principal);
    line(out, &format!("{time}  {service}:{name}  by {principal}{via}  from {from}{error}"));
}

fn tell_state(state: &State, out: &mut String) {
    let time = state.at.strftime("%Y-%m-%d %H:%M:%S");
    let State { status, resource_type, resource_id, account, region, .. } = state;
    let what = match (state.is_first, state.changes.len()) {
        (true, _) => "the first state that is known",
        (false, 0) => "nothing of its configuration is other than before",
        (false, _) => "configuration",
    };
    line(out, &format!("{time}  {resource_type} {resource_id} in {account}/{region}: {status}, {what}"));
    for change in &state.changes {
        line(out, &format!("    {}", tell_change(change)));
    }
}

fn tell_change(change: &Change) -> String {
    let path = &change.path;
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {path}: {}", short(after)),
        (Some(before), None) => format!("- {path}: {}", short(before)),
        (before, after) => {
            let side = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), short);
            format!("~ {path}: {} -> {}", side(before), side(after))
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// What a record says may hold anything but must not move the cursor of a terminal.
fn line(out: &mut String, text: &str) {
    let plain: String = text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    writeln!(out, "{plain}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeline_reads_from_the_oldest_to_the_newest() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let call = Call {
            at: at("2026-03-01T10:01:07Z"),
            source: "ec2.amazonaws.com".to_owned(),
            name: "AuthorizeSecurityGroupIngress".to_owned(),
            principal: "arn:aws:iam::111122223333:user/ana\u{1b}".to_owned(),
            source_ip_address: Some("203.0.113.7".to_owned()),
            error: Some("AccessDenied".to_owned()),
            ..Call::default()
        };
        let state = State {
            at: at("2026-03-01T10:02:10.5Z"),
            status: "OK".to_owned(),
            resource_type: "AWS::EC2::SecurityGroup".to_owned(),
            resource_id: "sg-1".to_owned(),
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            changes: vec![
                Change { path: "a".to_owned(), before: None, after: Some(json!({"b": 1})) },
                Change { path: "c".to_owned(), before: Some(json!(1)), after: Some(json!("x".repeat(200))) },
                Change { path: "d[]".to_owned(), before: Some(json!(2)), after: None },
            ],
            ..State::default()
        };
        let history = History { entries: vec![Entry::Call(call), Entry::State(state)], ..History::default() };
        let expected = format!(
            "2026-03-01 10:01:07  ec2:AuthorizeSecurityGroupIngress  by arn:aws:iam::111122223333:user/ana\u{fffd}  \
             from 203.0.113.7  FAILED: AccessDenied\n\
             2026-03-01 10:02:10  AWS::EC2::SecurityGroup sg-1 in 111122223333/us-east-1: OK, configuration\n    \
             + a: {{\"b\":1}}\n    ~ c: 1 -> \"{}…\n    - d[]: 2\n",
            "x".repeat(159)
        );
        assert_eq!(told(&history), expected);
        let nothing = History { names: vec!["sg-1".to_owned()], ..History::default() };
        assert_eq!(told(&nothing), "Nothing is known of sg-1.\n");
    }
}
