//! One append-only file of records, each with its length and checksum.
//!
//! A record is in the file completely or not at all: whatever does not add up at the end is cut off when
//! the file is opened again. Nothing is synced: what has to be survived is the end of this process, and
//! the page cache survives that. After a power failure the end of the file may be missing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Length, checksum, kind.
const HEADER: usize = 9;
/// Nothing of ours comes near it, so a larger length is garbage.
const LONGEST: usize = 32 * 1024 * 1024;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Opened when needed, so that many journals that wait cost no descriptors.
    file: Option<File>,
    end: u64,
}

/// One entry of a journal.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it begins.
    pub(super) at: u64,
    /// Where the next one begins.
    pub(super) next: u64,
    /// What it is, by the words of whoever wrote it.
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

impl Journal {
    /// A new, empty file.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { path, file: Some(file), end: 0 })
    }

    /// Reads a file that an earlier process left. The second part is how many bytes were cut off.
    pub(super) fn open(path: PathBuf, mut visit: impl FnMut(Record)) -> io::Result<(Self, u64)> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut journal = Self { path, file: Some(file), end: length };
        let mut at = 0;
        while let Ok(Some(record)) = journal.read(at) {
            at = record.next;
            visit(record);
        }
        journal.end = at;
        if at < length {
            journal.file()?.set_len(at)?;
        }
        Ok((journal, length - at))
    }

    /// Adds a record; the answer is where it begins. After an error the file is as before.
    pub(super) fn append(&mut self, kind: u8, body: &[u8]) -> io::Result<u64> {
        let length = u32::try_from(body.len()).expect("messages have bounded sizes");
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum(kind, body).to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(body);
        let at = self.end;
        let file = self.file()?;
        if let Err(error) = file.write_all_at(&bytes, at) {
            // If this fails too, the half record is overwritten by the next or cut off on opening.
            let _ = file.set_len(at);
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(at)
    }

    /// The record that begins there; `None` at the end.
    pub(super) fn read(&mut self, at: u64) -> io::Result<Option<Record>> {
        let end = self.end;
        if at == end {
            return Ok(None);
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a damaged record");
        let room = end.checked_sub(at + HEADER as u64).ok_or_else(damaged)?;
        let file = self.file()?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, at)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > LONGEST || length as u64 > room {
            return Err(damaged());
        }
        let mut body = vec![0; length];
        file.read_exact_at(&mut body, at + HEADER as u64)?;
        if checksum(kind, &body) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(damaged());
        }
        Ok(Some(Record { at, next: at + (HEADER + length) as u64, kind, body }))
    }

    /// Size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Lets go of the descriptor; the next access opens the file again.
    pub(super) fn park(&mut self) {
        self.file = None;
    }

    /// Removes the file.
    pub(super) fn remove(mut self) {
        self.park();
        remove(&self.path);
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().read(true).write(true).open(&self.path)?);
        }
        Ok(self.file.as_ref().expect("opened just above"))
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove {}", path.display());
    }
}

fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(path: &Path) -> (Vec<(u8, String)>, u64) {
        let mut found = Vec::new();
        let (_, cut) = Journal::open(path.to_owned(), |record| {
            found.push((record.kind, String::from_utf8(record.body).unwrap()));
        })
        .unwrap();
        (found, cut)
    }

    #[test]
    fn every_torn_end_is_cut_off_and_the_rest_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(path.clone()).unwrap();
        journal.append(1, b"one").unwrap();
        let second = journal.append(2, b"two").unwrap();
        assert_eq!(journal.read(second).unwrap().unwrap().body, b"two");
        journal.park();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (found, cut) = records(&path);
            let complete = usize::from(length as u64 >= second);
            assert_eq!(found.len(), complete, "{length} bytes");
            assert_eq!(cut, length as u64 - complete as u64 * second);
            assert_eq!(records(&path), (found, 0), "opening again finds nothing to cut");
        }
    }

    #[test]
    fn a_changed_byte_ends_the_journal_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(path.clone()).unwrap();
        journal.append(1, b"one").unwrap();
        journal.append(1, b"two").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x40;
            std::fs::write(&path, damaged).unwrap();
            let (found, cut) = records(&path);
            assert_eq!(found.len(), position / 12, "byte {position}");
            assert!(cut > 0);
        }
    }
}
