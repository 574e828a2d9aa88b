//! The life of one run of a process: every durable write of its state folder passes here, so that the run can end between any
//! two of them, or in the middle of one.
//!
//! What a run leaves behind is a copy of its folder as it was at its end; the next run begins on the copy, so that threads of
//! the old one which still write change nothing any more. Owns the copies and the torn writes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use orgtrail_service::disk::Observer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

/// When a run is to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash {
    /// At so many points from now: one lies before each durable write, one behind it.
    pub(crate) points: u32,
    /// In the middle of that write: a part of what it changed is on disk.
    pub(crate) torn: Option<u64>,
}

/// One run of a process.
#[derive(Debug)]
pub(crate) struct Life {
    dir: PathBuf,
    left: PathBuf,
    state: Mutex<State>,
    idle: Condvar,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    dead: Option<String>,
    writing: bool,
    crash: Option<Crash>,
    tearing: Option<(u64, Image)>,
    full: bool,
    refused: bool,
}

/// The files of a folder, without the zeros at their ends.
type Image = BTreeMap<PathBuf, (Vec<u8>, u64)>;

impl Life {
    /// A run on `dir`; its end leaves a copy in `left`.
    pub(crate) fn new(dir: PathBuf, left: PathBuf) -> Arc<Self> {
        Arc::new(Self { dir, left, state: Mutex::default(), idle: Condvar::new(), died: Notify::new() })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn left(&self) -> &Path {
        &self.left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().dead.is_some()
    }

    /// Whether the disk refused something in this run: it may then end by itself.
    pub(crate) fn was_refused(&self) -> bool {
        self.lock().refused
    }

    pub(crate) fn arm(&self, crash: Crash) {
        self.lock().crash = Some(crash);
    }

    pub(crate) fn disarm(&self) {
        self.lock().crash = None;
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Ends the run now, between two writes.
    pub(crate) fn kill(&self, why: &str) {
        let mut state = self.lock();
        while state.writing {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.die(&mut state, why, None);
    }

    /// Why it died; waits for that.
    pub(crate) async fn died(&self) -> String {
        loop {
            let died = self.died.notified();
            if let Some(why) = self.lock().dead.clone() {
                return why;
            }
            died.await;
        }
    }

    /// A step of the run that is no write of its folder. False: the run is over.
    pub(crate) fn step(&self, step: &'static str) -> bool {
        let mut state = self.lock();
        if state.dead.is_some() {
            return false;
        }
        if due(&mut state).is_some() {
            self.die(&mut state, &format!("at {step}"), None);
            return false;
        }
        true
    }

    fn die(&self, state: &mut State, why: &str, torn: Option<(u64, Image)>) {
        if state.dead.is_some() {
            return;
        }
        let mut image = read(&self.dir);
        if let Some((seed, before)) = torn {
            tear(&mut image, &before, &mut StdRng::seed_from_u64(seed));
        }
        write(&self.left, &image);
        state.dead = Some(why.to_owned());
        self.died.notify_waiters();
        self.died.notify_one();
    }

    /// Leaves the folder as it is to the next run, after a run has ended by itself.
    pub(crate) fn leave(&self) {
        self.kill("ended");
    }
}

/// Counts a point; the crash that is due at it.
fn due(state: &mut State) -> Option<Crash> {
    let crash = state.crash.as_mut()?;
    crash.points = crash.points.saturating_sub(1);
    let crash = *crash;
    (crash.points == 0).then(|| {
        state.crash = None;
        crash
    })
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

impl Observer for Life {
    fn before(&self, path: &Path, step: &'static str) -> io::Result<()> {
        let mut state = self.lock();
        while state.writing {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.dead.is_some() {
            return Err(gone());
        }
        if state.full {
            state.refused = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if !counts(path) {
            state.writing = true;
            return Ok(());
        }
        if let Some(crash) = due(&mut state) {
            let Some(seed) = crash.torn.filter(|_| !is_atomic(step)) else {
                self.die(&mut state, &format!("before: {step}"), None);
                return Err(gone());
            };
            state.tearing = Some((seed, read(&self.dir)));
        }
        state.writing = true;
        Ok(())
    }

    fn after(&self, path: &Path, step: &'static str) -> io::Result<()> {
        let mut state = self.lock();
        state.writing = false;
        self.idle.notify_all();
        if state.dead.is_some() {
            return Err(gone());
        }
        if let Some(torn) = state.tearing.take() {
            self.die(&mut state, &format!("within: {step}"), Some(torn));
            return Err(gone());
        }
        if counts(path) && due(&mut state).is_some() {
            self.die(&mut state, &format!("after: {step}"), None);
            return Err(gone());
        }
        Ok(())
    }
}

/// The status file is written every other second and nothing is read from it: it would take most of the points.
fn counts(path: &Path) -> bool {
    !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("status.json"))
}

/// A name is moved or removed whole or not at all, whatever happens meanwhile.
fn is_atomic(step: &str) -> bool {
    matches!(step, "rename into place" | "remove an entry")
}

/// Files of a megabyte and more were made longer than what is in them: what counts ends at the first long run of zeros.
const ZEROS: usize = 256 << 10;

fn read(dir: &Path) -> Image {
    let mut image = Image::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                image.insert(path.strip_prefix(dir).unwrap().join(""), (Vec::new(), u64::MAX));
                folders.push(path);
            } else if let Some(content) = content(&path) {
                image.insert(path.strip_prefix(dir).unwrap().to_owned(), content);
            }
        }
    }
    image
}

/// A file that vanishes while it is read was a temporary one.
fn content(path: &Path) -> Option<(Vec<u8>, u64)> {
    let mut file = fs::File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; ZEROS];
    while let Ok(count @ 1..) = file.read(&mut chunk) {
        let chunk = &chunk[..count];
        if len > 1 << 20 && chunk.iter().all(|byte| *byte == 0) {
            break;
        }
        bytes.extend_from_slice(chunk);
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    Some((bytes, len))
}

fn write(dir: &Path, image: &Image) {
    fs::create_dir_all(dir).unwrap();
    for (path, (bytes, len)) in image {
        let path = dir.join(path);
        if *len == u64::MAX {
            fs::create_dir_all(&path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(*len).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
    }
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    write(to, &read(from));
}

/// Of what one write changed, only a first part is there: of each changed file, up to some byte.
fn tear(image: &mut Image, before: &Image, random: &mut StdRng) {
    for (path, (bytes, len)) in image.iter_mut().filter(|(_, (_, len))| *len != u64::MAX) {
        let (old, old_len) = before.get(path).cloned().unwrap_or_default();
        if (&old, old_len) == (bytes, *len) {
            continue;
        }
        let same = old.iter().zip(bytes.iter()).take_while(|(a, b)| a == b).count();
        let cut = random.random_range(same..=bytes.len().max(same));
        let mut torn = bytes[..cut.min(bytes.len())].to_vec();
        if old.len() > cut {
            torn.extend_from_slice(&old[cut..]);
        }
        // A file that was made longer beforehand stays so long.
        if *len != old_len {
            *len = torn.len() as u64;
        }
        *bytes = torn;
    }
}
