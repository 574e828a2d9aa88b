//! How much room a file system has, and how much of it a folder takes.
//!
//! Owns the asking. Does not own how much is needed: each process knows its own bounds. Everything here blocks on the disk.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::shape::Bytes;

/// Bytes of a block in `st_blocks`, whatever the file system's own (stat(2)).
const BLOCK: u64 = 512;

/// The room of a file system, as a user without privileges has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can still be written.
    pub free: Bytes,
    /// Bytes of the whole file system.
    pub total: Bytes,
    /// Files that can still be made; none where the file system has no bound of its own.
    pub files: Option<u64>,
}

/// The room of the file system that holds `path`.
///
/// # Errors
/// The path is absent or can't be reached.
pub fn room(path: &Path) -> io::Result<Room> {
    let told = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| Bytes(blocks.saturating_mul(told.f_frsize));
    // File systems that make inodes as they need them (btrfs, and ZFS by another way) say 0 of 0.
    let files = (told.f_files > 0).then_some(told.f_favail);
    Ok(Room { free: bytes(told.f_bavail), total: bytes(told.f_blocks), files })
}

/// Bytes on disk of all files below a folder; what comes or goes meanwhile may be counted or not. An absent folder takes 0.
///
/// # Errors
/// A folder can't be read.
pub fn used(folder: &Path) -> io::Result<Bytes> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            bytes += metadata.blocks() * BLOCK;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_no_more_room_than_it_is_large() {
        let dir = tempfile::tempdir().unwrap();
        let room = room(dir.path()).unwrap();
        assert!(room.free <= room.total && room.total > Bytes(0), "{room:?}");
        assert!(super::room(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn a_folder_takes_what_its_files_take() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(used(&dir.path().join("absent")).unwrap(), Bytes(0));
        let empty = used(dir.path()).unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/c"), vec![7; 1 << 20]).unwrap();
        let taken = used(dir.path()).unwrap().0 - empty.0;
        assert!((1 << 20..2 << 20).contains(&taken), "{taken}");
    }
}
