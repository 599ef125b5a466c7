//! Formed log chunks of one job, in the order of their `seq`, until they were told.
//!
//! They are written to files of a few megabytes, and a file goes when all of it was told. Where that is
//! not possible (no state folder, disk full) they stay in memory; what came after them stays there too
//! until they are gone, so that the order holds.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::Journal;

/// A file is left for the next one above this.
const SEGMENT: u64 = 4 * 1024 * 1024;
const PREFIX: &str = "log-";
const CHUNK: u8 = 1;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Spool {
    folder: Option<PathBuf>,
    segments: VecDeque<Segment>,
    /// Chunks that no file has; the last of them has the `seq` before `next`.
    memory: VecDeque<String>,
    memory_bytes: usize,
    /// `seq` of the next chunk that is added.
    next: u64,
    /// `seq` of the next chunk that is handed out.
    cursor: u64,
    /// Chunks up to here were told.
    told: u64,
    /// Where the chunk at `cursor` begins in its file, if it is known.
    offset: Option<u64>,
    /// The last chunk that was added, because it usually is the next that is handed out.
    hot: Option<(u64, String)>,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    count: u64,
    journal: Journal,
}

impl Segment {
    fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// A chunk on its way out.
#[derive(Debug)]
pub(super) enum Chunk {
    Text(String),
    /// It was on the disk and cannot be read.
    Lost(io::Error),
}

impl Spool {
    /// Empty; without a folder it stays in memory.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            segments: VecDeque::new(),
            memory: VecDeque::new(),
            memory_bytes: 0,
            next: 1,
            cursor: 1,
            told: 0,
            offset: None,
            hot: None,
        }
    }

    /// What an earlier process left in `folder`, of which chunks up to `told` need not go again. The
    /// second part is how many bytes were cut off.
    pub(super) fn recover(folder: &Path, told: u64) -> io::Result<(Self, u64)> {
        let mut firsts: Vec<u64> = std::fs::read_dir(folder)?
            .filter_map(|entry| {
                entry.ok()?.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()
            })
            .collect();
        firsts.sort_unstable();
        let mut spool = Self::new(Some(folder.to_owned()));
        let mut cut = 0;
        for first in firsts {
            let mut count = 0;
            let (mut journal, torn) = Journal::open(path(folder, first), |_| count += 1)?;
            journal.park();
            cut += torn;
            spool.segments.push_back(Segment { first, count, journal });
        }
        spool.next = spool.segments.back().map_or(1, Segment::end).max(told + 1);
        let first = spool.segments.front().map_or(spool.next, |segment| segment.first);
        spool.told(told.max(first - 1));
        spool.rewind();
        Ok((spool, cut))
    }

    /// `seq` of the next chunk that is added.
    pub(super) fn next_seq(&self) -> u64 {
        self.next
    }

    /// Adds the chunk with [`Spool::next_seq`]. An error says why it is kept in memory.
    pub(super) fn add(&mut self, text: String) -> io::Result<()> {
        let seq = self.next;
        self.next += 1;
        let kept = if self.memory.is_empty() { self.write(seq, &text) } else { Ok(false) };
        if matches!(kept, Ok(true)) {
            self.hot = Some((seq, text));
        } else {
            self.memory_bytes += text.len();
            self.memory.push_back(text);
        }
        kept.map(|_| ())
    }

    /// `Ok(false)` without a folder.
    fn write(&mut self, seq: u64, text: &str) -> io::Result<bool> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let fits = self
            .segments
            .back()
            .is_some_and(|last| last.end() == seq && last.journal.len() < SEGMENT);
        if !fits {
            if let Some(last) = self.segments.back_mut() {
                last.journal.park();
            }
            let journal = Journal::create(path(folder, seq))?;
            self.segments.push_back(Segment { first: seq, count: 0, journal });
        }
        let last = self.segments.back_mut().expect("there is one that fits");
        let written = last.journal.append(CHUNK, text.as_bytes());
        match written {
            Ok(_) => last.count += 1,
            // An empty file would stand in the way of the one with the same name later.
            Err(_) if last.count == 0 => {
                if let Some(empty) = self.segments.pop_back() {
                    empty.journal.remove();
                }
            }
            Err(_) => {}
        }
        written.map(|_| true)
    }

    /// Whether a chunk waits to be handed out.
    pub(super) fn has_more(&self) -> bool {
        self.cursor < self.next
    }

    /// The next chunk to hand out, with its `seq`.
    pub(super) fn hand_out(&mut self) -> Option<(u64, Chunk)> {
        if !self.has_more() {
            return None;
        }
        let seq = self.cursor;
        let chunk = self.read(seq);
        self.cursor += 1;
        Some((seq, chunk.map_or_else(Chunk::Lost, Chunk::Text)))
    }

    fn read(&mut self, seq: u64) -> io::Result<String> {
        let memory_first = self.next - self.memory.len() as u64;
        if seq >= memory_first {
            self.offset = None;
            let index = usize::try_from(seq - memory_first).expect("an index of the queue");
            return Ok(self.memory[index].clone());
        }
        if self.hot.as_ref().is_some_and(|(hot, _)| *hot == seq) {
            // It is the last one in its file.
            self.offset = self.segments.back().map(|segment| segment.journal.len());
            return Ok(self.hot.take().map(|(_, text)| text).unwrap_or_default());
        }
        let gone = || io::Error::new(io::ErrorKind::NotFound, "no file has this chunk");
        let segment = self
            .segments
            .iter_mut()
            .find(|segment| (segment.first..segment.end()).contains(&seq))
            .ok_or_else(gone)?;
        let mut at = if seq == segment.first { 0 } else { self.offset.unwrap_or(0) };
        let mut position = if self.offset.is_some() { seq } else { segment.first };
        self.offset = None;
        loop {
            let record = segment.journal.read(at)?.ok_or_else(gone)?;
            at = record.next;
            if position == seq {
                self.offset = Some(at);
                return String::from_utf8(record.body)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
            position += 1;
        }
    }

    /// Chunks up to `seq` need not be kept any longer.
    pub(super) fn told(&mut self, seq: u64) {
        self.told = self.told.max(seq.min(self.next - 1));
        if self.cursor <= self.told {
            self.cursor = self.told + 1;
            self.offset = None;
        }
        while self.segments.front().is_some_and(|segment| segment.end() <= self.told + 1) {
            if let Some(segment) = self.segments.pop_front() {
                segment.journal.remove();
            }
        }
        while !self.memory.is_empty() && self.next - self.memory.len() as u64 <= self.told {
            if let Some(text) = self.memory.pop_front() {
                self.memory_bytes -= text.len();
            }
        }
    }

    /// Up to which `seq` everything was told.
    pub(super) fn told_up_to(&self) -> u64 {
        self.told
    }

    /// What was not told has to be handed out again.
    pub(super) fn rewind(&mut self) {
        self.cursor = self.told + 1;
        self.offset = None;
        self.hot = None;
    }

    /// Chunks that were not told.
    pub(super) fn waiting(&self) -> u64 {
        self.next - 1 - self.told
    }

    /// Bytes in files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.journal.len()).sum()
    }

    /// Bytes that no file has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Lets go of descriptors.
    pub(super) fn park(&mut self) {
        for segment in &mut self.segments {
            segment.journal.park();
        }
    }

    /// Files go with their folder.
    pub(super) fn forget_files(&mut self) {
        for segment in self.segments.drain(..) {
            segment.journal.remove();
        }
    }
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{first:020}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(spool: &mut Spool) -> Vec<String> {
        std::iter::from_fn(|| spool.hand_out())
            .map(|(seq, chunk)| match chunk {
                Chunk::Text(text) => format!("{seq}:{}", &text[..1]),
                Chunk::Lost(error) => format!("{seq} lost: {error}"),
            })
            .collect()
    }

    fn big(letter: &str) -> String {
        letter.repeat(3 * 1024 * 1024)
    }

    #[test]
    fn chunks_come_out_in_order_and_again_after_a_rewind() {
        let folder = tempfile::tempdir().unwrap();
        for place in [None, Some(folder.path().to_owned())] {
            let mut spool = Spool::new(place);
            for letter in ["a", "b", "c", "d", "e"] {
                spool.add(big(letter)).unwrap();
            }
            assert_eq!(out(&mut spool), ["1:a", "2:b", "3:c", "4:d", "5:e"]);
            spool.told(3);
            spool.rewind();
            spool.add("f".to_owned()).unwrap();
            assert_eq!(out(&mut spool), ["4:d", "5:e", "6:f"]);
            spool.add("g".to_owned()).unwrap();
            assert_eq!(out(&mut spool), ["7:g"]);
            spool.told(7);
            assert_eq!((spool.waiting(), spool.disk_bytes(), spool.memory_bytes()), (0, 0, 0));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_on_disk_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Some(folder.path().to_owned()));
        for letter in ["a", "b", "c", "d"] {
            spool.add(big(letter)).unwrap();
        }
        spool.told(1);
        drop(spool);
        let (mut spool, cut) = Spool::recover(folder.path(), 1).unwrap();
        assert_eq!((cut, spool.next_seq()), (0, 5));
        assert_eq!(out(&mut spool), ["2:b", "3:c", "4:d"]);
        spool.told(4);
        let (spool, _) = Spool::recover(folder.path(), 4).unwrap();
        assert_eq!(spool.next_seq(), 5, "the numbers go on");
    }

    #[test]
    fn without_a_place_chunks_stay_in_memory_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Some(folder.path().join("not-there")));
        assert!(spool.add("a".to_owned()).is_err());
        std::fs::create_dir(folder.path().join("not-there")).unwrap();
        spool.add("b".to_owned()).unwrap();
        assert_eq!(spool.memory_bytes(), 2);
        assert_eq!(out(&mut spool), ["1:a", "2:b"]);
        spool.told(2);
        spool.add("c".to_owned()).unwrap();
        assert_eq!((spool.memory_bytes(), spool.waiting()), (0, 1), "back on the disk");
        assert_eq!(out(&mut spool), ["3:c"]);
    }
}
