//! The interactive shell: reads lines, runs what they say, and goes on after an error.

use std::path::PathBuf;

use anyhow::Context as _;
use orgtrail_lake::output::{Format, Output};
use orgtrail_service::run::Exit;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;

use super::complete::Editing;
use super::input::{Command, HELP, command, split};
use super::target::Target;
use super::{is_broken_pipe, print, read};

/// The file in the home folder that remembers statements.
const HISTORY: &str = ".orgtrail_query_history";
/// Statements that it remembers.
const HISTORY_MAX: usize = 5000;

/// A shell, and what was set in it.
struct Shell<'a> {
    runtime: &'a Runtime,
    target: &'a mut Target,
    /// Where rows go.
    output: Output,
    /// Where those of the next statement go instead.
    once: Option<Output>,
    tells_figures: bool,
}

/// Whether the shell goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    On,
    Quit,
}

/// Runs the shell until the person leaves it.
pub(super) fn run(runtime: &Runtime, target: &mut Target, output: &Output) -> anyhow::Result<Exit> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .history_ignore_space(true)
        .max_history_size(HISTORY_MAX)
        .context("begin the shell")?
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Editing, FileHistory> = Editor::with_config(config).context("begin the shell")?;
    let words = runtime.block_on(target.words());
    editor.set_helper(Some(Editing { words }));
    let history = std::env::home_dir().map(|home| home.join(HISTORY));
    if let Some(history) = &history {
        // The first time there is none.
        drop(editor.load_history(history));
    }
    println!("orgtrail {}: {}\n\\? for help, \\q to quit", env!("CARGO_PKG_VERSION"), print::who(target));
    let (stays, once) = if output.is_stdout() { (output.clone(), None) } else { (table(), Some(output.clone())) };
    let mut shell = Shell { runtime, target, output: stays, once, tells_figures: true };
    let ended = shell.run(&mut editor);
    remember(&mut editor, history);
    ended.map(|()| Exit::Ok)
}

fn remember(editor: &mut Editor<Editing, FileHistory>, history: Option<PathBuf>) {
    if let Some(history) = history
        && let Err(error) = editor.append_history(&history)
    {
        eprintln!("statements are not remembered: write {}: {error}", history.display());
    }
}

/// A person ended a statement, and goes on in the shell.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

fn table() -> Output {
    Output::stdout(Format::Table)
}

impl Shell<'_> {
    fn run(&mut self, editor: &mut Editor<Editing, FileHistory>) -> anyhow::Result<()> {
        loop {
            let line = match editor.readline("orgtrail> ") {
                Ok(line) => line,
                // Ctrl-C drops the line that was begun.
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("read a line"),
            };
            match self.take(&line) {
                Ok(Next::On) => {}
                Ok(Next::Quit) => return Ok(()),
                Err(error) if is_broken_pipe(&error) => return Err(error),
                Err(error) if error.downcast_ref::<Interrupted>().is_some() => eprintln!("interrupted"),
                Err(error) => eprintln!("{error:#}"),
            }
        }
    }

    /// Does what a line says.
    fn take(&mut self, line: &str) -> anyhow::Result<Next> {
        match command(line) {
            Some(Command::Quit) => return Ok(Next::Quit),
            Some(command) => self.command(command)?,
            None => {
                for statement in split(line).statements {
                    self.answer(&statement)?;
                }
            }
        }
        Ok(Next::On)
    }

    fn answer(&mut self, statement: &str) -> anyhow::Result<()> {
        // A file takes one result.
        let output = self.once.take().unwrap_or_else(|| self.output.clone());
        let asked = self.target.answer(statement, &output);
        let answered = self.runtime.block_on(async {
            tokio::select! {
                answered = asked => answered,
                signal = tokio::signal::ctrl_c() => Err(signal.map_or_else(anyhow::Error::new, |()| Interrupted.into())),
            }
        })?;
        if self.tells_figures {
            eprintln!("{}", print::summary(&answered));
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Quit => {}
            Command::Help => print!("{HELP}"),
            Command::List => print!("{}", print::tables(self.target.config())),
            Command::Describe(name) => {
                print!("{}", print::columns(&self.runtime.block_on(self.target.describe(&name))?))
            }
            Command::Samples(phrase) => print!("{}", print::samples(&phrase)),
            Command::Timing(on) => {
                self.tells_figures = on.unwrap_or(!self.tells_figures);
                println!("timing is {}", if self.tells_figures { "on" } else { "off" });
            }
            Command::Output(None) => (self.output, self.once) = (table(), None),
            Command::Output(Some(output)) => self.set_output(&output)?,
            Command::File(file) => {
                let text = read(file.as_ref())?;
                for statement in super::statements(&text)? {
                    self.answer(&statement)?;
                }
            }
            Command::Unknown(text) => println!("{text} is no command; \\? lists them"),
        }
        Ok(())
    }

    fn set_output(&mut self, text: &str) -> anyhow::Result<()> {
        let output: Output = text.parse()?;
        anyhow::ensure!(
            output.format().is_text() || !output.is_stdout(),
            "{} is nothing for a terminal: write \\o results.{0}",
            output.format().name()
        );
        match output.is_stdout() {
            true => self.output = output,
            false => self.once = Some(output),
        }
        Ok(())
    }
}
