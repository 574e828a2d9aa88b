//! A process under a supervisor: run after run, each on what the one before left behind.
//!
//! A run ends because it was killed or stopped, or by itself, which it may only do for a reason that the simulation gave it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orgtrail_agent::Outcome;
use orgtrail_service::disk::{Observer, observe};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::disk::{Life, copy};
use crate::operations::Who;
use crate::run::World;

/// What a supervisor is told.
#[derive(Debug)]
enum Command {
    Kill {
        down: Duration,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
    Start {
        once: bool,
        reply: Option<oneshot::Sender<Ended>>,
    },
    Wipe,
    /// Goes on with what one of the earlier runs began with.
    Restore {
        nth: usize,
    },
}

/// How a run ended that was asked to.
pub(crate) type Ended = Result<Option<Outcome>, String>;

/// The face of a supervised process.
#[derive(Debug)]
pub(crate) struct Process {
    who: Who,
    commands: mpsc::Sender<Command>,
    now: Arc<Mutex<Option<Arc<Life>>>>,
    left: Arc<Mutex<PathBuf>>,
}

impl Process {
    /// A supervisor that starts its process at once.
    #[expect(clippy::disallowed_methods, reason = "the supervisor is no part of a process")]
    pub(crate) fn supervise(world: &Arc<World>, who: Who) -> Self {
        let (commands, receiver) = mpsc::channel(64);
        let (now, left) = (Arc::default(), Arc::default());
        let supervisor = Supervisor {
            world: Arc::clone(world),
            who,
            runs: 0,
            kept: Vec::new(),
            now: Arc::clone(&now),
            left: Arc::clone(&left),
            commands: receiver,
        };
        tokio::spawn(supervisor.run());
        Self { who, commands, now, left }
    }

    /// The present run; none while the process is down.
    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the last run left behind.
    pub(crate) fn left(&self) -> PathBuf {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn tell(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            panic!("the supervisor of {:?} is gone", self.who);
        }
    }

    pub(crate) async fn kill(&self, down: Duration) {
        self.tell(Command::Kill { down }).await;
    }

    pub(crate) async fn wipe(&self) {
        self.tell(Command::Wipe).await;
    }

    pub(crate) async fn restore(&self, nth: usize) {
        self.tell(Command::Restore { nth }).await;
    }

    /// Stops it in good order; it stays down.
    pub(crate) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        self.tell(Command::Stop { reply }).await;
        drop(stopped.await);
    }

    pub(crate) async fn start(&self) {
        self.tell(Command::Start { once: false, reply: None }).await;
    }

    /// Starts an agent that takes what is there and ends.
    pub(crate) async fn once(&self) -> Ended {
        let (reply, ended) = oneshot::channel();
        self.tell(Command::Start { once: true, reply: Some(reply) }).await;
        ended.await.map_err(|_| "the supervisor is gone".to_owned())?
    }
}

struct Supervisor {
    world: Arc<World>,
    who: Who,
    runs: u32,
    kept: Vec<PathBuf>,
    now: Arc<Mutex<Option<Arc<Life>>>>,
    left: Arc<Mutex<PathBuf>>,
    commands: mpsc::Receiver<Command>,
}

/// What comes after a run.
enum Next {
    Again { after: Duration, from: From },
    Down,
    Over,
}

enum From {
    Left,
    Nothing,
    Kept(usize),
}

impl Supervisor {
    async fn run(mut self) {
        let mut dir = self.dir();
        let (mut once, mut reply) = (false, None);
        loop {
            let (left, next) = self.one_run(&dir, once, reply.take()).await;
            dir = left;
            let next = match next {
                Next::Down => loop {
                    match self.commands.recv().await {
                        Some(Command::Start { once: wanted, reply: whom }) => {
                            (once, reply) = (wanted, whom);
                            break Next::Again { after: Duration::ZERO, from: From::Left };
                        }
                        Some(Command::Stop { reply }) => drop(reply.send(())),
                        Some(Command::Wipe) => dir = self.dir(),
                        Some(Command::Kill { .. } | Command::Restore { .. }) => {}
                        None => return,
                    }
                },
                next => next,
            };
            match next {
                Next::Again { after, from } => {
                    sleep(after).await;
                    match from {
                        From::Left => {}
                        From::Nothing => dir = self.dir(),
                        From::Kept(nth) => {
                            dir = self.dir();
                            copy(&self.kept[nth % self.kept.len()], &dir);
                        }
                    }
                }
                Next::Down | Next::Over => return,
            }
        }
    }

    /// A folder that nothing is in.
    fn dir(&mut self) -> PathBuf {
        self.runs += 1;
        self.world.root.join(format!("{:?}-{}", self.who, self.runs).to_lowercase())
    }

    #[expect(clippy::disallowed_methods, reason = "a process of its own")]
    async fn one_run(&mut self, dir: &PathBuf, once: bool, reply: Option<oneshot::Sender<Ended>>) -> (PathBuf, Next) {
        std::fs::create_dir_all(dir).unwrap();
        let kept = dir.with_extension("kept");
        copy(dir, &kept);
        self.kept.push(kept);
        let life = Life::new(dir.clone(), self.dir());
        let _observed = observe(dir, Arc::clone(&life) as Arc<dyn Observer>);
        self.set(Some(&life));
        let stop = CancellationToken::new();
        let mut running = tokio::spawn(self.world.start(self.who, once, Arc::clone(&life), stop.clone()));
        self.world.note(format!("{:?} starts in {}", self.who, dir.file_name().unwrap().to_string_lossy()));
        let mut stopped: Option<oneshot::Sender<()>> = None;
        let next = loop {
            tokio::select! {
                biased;
                why = life.died() => {
                    self.world.note(format!("{:?} dies: {why}", self.who));
                    break Next::Again { after: self.world.down(self.who), from: From::Left };
                }
                ended = &mut running => {
                    let ended = ended.map_err(|panic| format!("panicked: {panic}")).and_then(|ended| {
                        ended.map_err(|error| format!("{error:#}"))
                    });
                    self.world.note(format!("{:?} ends: {ended:?}", self.who));
                    let asked = stopped.is_some() || reply.is_some();
                    if let Err(error) = &ended
                        && !self.world.excuses(self.who, &life)
                        && !life.is_dead()
                    {
                        self.world.fail(format!("{:?} ended by itself: {error}", self.who));
                    }
                    life.leave();
                    self.left.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&life.left().to_owned());
                    if let Some(reply) = reply {
                        drop(reply.send(ended));
                    }
                    if let Some(stopped) = stopped {
                        let _told = stopped.send(());
                    }
                    break if asked { Next::Down } else { Next::Again { after: Duration::from_secs(2), from: From::Left } };
                }
                command = self.commands.recv() => match command {
                    Some(Command::Kill { down }) => {
                        self.world.set_down(self.who, down);
                        life.kill("killed");
                    }
                    Some(Command::Wipe) => {
                        life.kill("its disk is lost");
                        break Next::Again { after: Duration::from_secs(1), from: From::Nothing };
                    }
                    Some(Command::Restore { nth }) => {
                        life.kill("an old state is put back");
                        break Next::Again { after: Duration::from_secs(1), from: From::Kept(nth) };
                    }
                    Some(Command::Stop { reply }) => {
                        stop.cancel();
                        stopped = Some(reply);
                    }
                    Some(Command::Start { .. }) => {}
                    None => break Next::Over,
                },
            }
        };
        running.abort();
        if self.who == Who::Aggregator {
            self.world.network.unlisten();
        } else {
            self.world.network.cut();
        }
        self.set(None);
        (life.left().to_owned(), next)
    }

    fn set(&self, life: Option<&Arc<Life>>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = life.cloned();
    }
}
