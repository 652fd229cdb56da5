//! What a database's files went through, and the disks that a power loss at some moment may leave.
//!
//! Kept is what was synced, and of the rest any part: each write and each 512-byte sector of it, each change of
//! a file's length and each entry of the folder may be there or not, whatever came after it. After a sync that
//! failed, a later one that succeeds proves nothing about the writes before (the kernel calls their pages
//! clean); only what was written again is synced by it.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use crate::random::Random;

/// The unit that a disk writes whole, in bytes.
const SECTOR: usize = 512;
/// The size of a record without its data, in bytes.
const HEAD: usize = 32;
/// What is appended to the database's name, by the number of the file in records, less one.
const SUFFIXES: [&str; 5] = ["", "-wal", "-journal", ".head", ".head.new"];
/// The number of the folder.
const FOLDER: usize = SUFFIXES.len();

/// Whether the disk keeps what it said it had synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    Honest,
    /// Every sync succeeds and does nothing: a checker that finds no fault with this one finds none at all.
    Lies,
}

/// Steps in the order in which they happened, each with the moment at which it was done.
pub struct History(Vec<(u64, usize, Step)>);

#[derive(Debug, Clone)]
enum Step {
    Create,
    Write(usize, Vec<u8>),
    Truncate(usize),
    Sync(bool),
    Unlink,
    /// To another of the files, whole or not at all.
    Rename(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not synced yet.
    Pending,
    Synced,
    /// A sync failed: only luck has it on disk.
    Doubtful,
}

/// The state at a moment, played step by step.
pub struct Disk {
    syncs: Syncs,
    files: Vec<Changes<Vec<u8>>>,
    /// Which file has a name now.
    names: [Option<usize>; FOLDER],
    folder: Changes<[Option<usize>; FOLDER]>,
}

/// What is surely on disk, and what may be, in order.
struct Changes<T> {
    kept: T,
    steps: VecDeque<(Apply<T>, Fate)>,
}

/// A step, as luck has it.
type Apply<T> = Box<dyn Fn(&mut T, &mut Luck<'_>)>;

/// What is lost of that which was not synced.
struct Luck<'a> {
    random: &'a mut Random,
    /// Of 16, how many are kept.
    kept: u64,
    /// Sectors are kept or lost one by one.
    torn: bool,
    /// This one was synced.
    sure: bool,
}

impl Luck<'_> {
    fn keeps(&mut self) -> bool {
        self.sure || self.random.below(16) < self.kept
    }
}

impl<T> Changes<T> {
    fn of(kept: T) -> Self {
        Self { kept, steps: VecDeque::new() }
    }

    fn add(&mut self, step: impl Fn(&mut T, &mut Luck<'_>) + 'static) {
        self.steps.push_back((Box::new(step), Fate::Pending));
    }

    fn sync(&mut self, succeeded: bool) {
        let fate = if succeeded { Fate::Synced } else { Fate::Doubtful };
        for (_, now) in &mut self.steps {
            if *now == Fate::Pending {
                *now = fate;
            }
        }
        let mut random = Random::new(0);
        let mut sure = Luck { random: &mut random, kept: 16, torn: false, sure: true };
        while self.steps.front().is_some_and(|(_, fate)| *fate == Fate::Synced) {
            if let Some((step, _)) = self.steps.pop_front() {
                step(&mut self.kept, &mut sure);
            }
        }
    }

    fn after(&self, luck: &mut Luck<'_>) -> T
    where
        T: Clone,
    {
        let mut left = self.kept.clone();
        for (step, fate) in &self.steps {
            luck.sure = *fate == Fate::Synced;
            step(&mut left, luck);
        }
        left
    }
}

impl History {
    /// Reads a journal (see `recorder.c`). A process that was killed may have left a record without its end.
    pub(crate) fn parse(journal: &[u8]) -> Self {
        let mut steps = Vec::new();
        let mut at = 0;
        while at + HEAD <= journal.len() {
            let short =
                |n: usize| u32::from_ne_bytes(journal[at + n..at + n + 4].try_into().unwrap());
            let long =
                |n: usize| u64::from_ne_bytes(journal[at + n..at + n + 8].try_into().unwrap());
            let (kind, file, ok) = (short(0), short(4) as usize - 1, long(8) != 0);
            let (offset, length) = (long(16) as usize, long(24) as usize);
            at += HEAD;
            let step = match kind {
                1 => Step::Create,
                2 => {
                    let data = journal[at..at + length].to_vec();
                    at += length;
                    Step::Write(offset, data)
                }
                3 => Step::Truncate(length),
                4 => Step::Sync(ok),
                5 => Step::Unlink,
                6 => Step::Rename(offset - 1),
                _ => panic!("a record of kind {kind} at {at}"),
            };
            steps.push((at as u64, file, step));
        }
        Self(steps)
    }

    /// When a step was done, for a moment to cut at. The first steps are before the database is there.
    pub fn moments(&self) -> Vec<u64> {
        self.0.iter().map(|(moment, ..)| *moment).collect()
    }

    /// How many syncs failed.
    pub fn failed_syncs(&self) -> usize {
        self.0.iter().filter(|(_, _, step)| matches!(step, Step::Sync(false))).count()
    }

    /// Plays it up to each of `cuts`, which ascend, and shows the disk there.
    pub fn play(&self, syncs: Syncs, cuts: &[u64], mut show: impl FnMut(usize, &Disk)) {
        let mut disk = Disk::new(syncs);
        let mut steps = self.0.iter().peekable();
        for (number, cut) in cuts.iter().enumerate() {
            while let Some((_, file, step)) = steps.next_if(|(moment, ..)| moment <= cut) {
                disk.take(*file, step.clone());
            }
            show(number, &disk);
        }
    }
}

impl Disk {
    fn new(syncs: Syncs) -> Self {
        let (names, folder) = ([None; FOLDER], Changes::of([None; FOLDER]));
        Self { syncs, files: Vec::new(), names, folder }
    }

    fn take(&mut self, file: usize, step: Step) {
        match step {
            Step::Sync(_) if self.syncs == Syncs::Lies => {}
            Step::Sync(succeeded) if file == FOLDER => self.folder.sync(succeeded),
            Step::Sync(succeeded) => self.file(file).sync(succeeded),
            Step::Create => self.create(file),
            Step::Unlink => {
                self.names[file] = None;
                self.folder.add(move |names, luck| {
                    if luck.keeps() {
                        names[file] = None;
                    }
                });
            }
            Step::Rename(to) => {
                let number = self.names[file].take();
                self.names[to] = number;
                self.folder.add(move |names, luck| {
                    if luck.keeps() {
                        (names[file], names[to]) = (None, number);
                    }
                });
            }
            Step::Truncate(length) => self.file(file).add(move |bytes, luck| {
                if luck.keeps() {
                    bytes.resize(length, 0);
                }
            }),
            Step::Write(at, data) => {
                self.file(file).add(move |bytes, luck| write(bytes, at, &data, luck));
            }
        }
    }

    fn create(&mut self, file: usize) {
        let number = self.files.len();
        self.files.push(Changes::of(Vec::new()));
        self.names[file] = Some(number);
        self.folder.add(move |names, luck| {
            if luck.keeps() {
                names[file] = Some(number);
            }
        });
    }

    fn file(&mut self, file: usize) -> &mut Changes<Vec<u8>> {
        if self.names[file].is_none() {
            self.create(file);
        }
        &mut self.files[self.names[file].unwrap()]
    }

    /// Writes one of the disks that a power loss now may leave to `folder`, which is empty: `database` and what is
    /// beside it. The same seed makes the same disk.
    pub fn after_power_loss(&self, seed: u64, database: &Path) {
        let mut random = Random::new(seed);
        let kept = [0, 1, 4, 8, 12, 15, 16][random.below(7) as usize];
        let torn = random.below(2) == 0;
        let mut luck = Luck { random: &mut random, kept, torn, sure: false };
        let names = self.folder.after(&mut luck);
        for (suffix, number) in SUFFIXES.iter().zip(names) {
            if let Some(number) = number {
                let bytes = self.files[number].after(&mut luck);
                fs::write(format!("{}{suffix}", database.display()), bytes).unwrap();
            }
        }
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8], luck: &mut Luck<'_>) {
    let end = at + data.len();
    if luck.sure || !luck.torn {
        if luck.keeps() {
            put(bytes, at, data);
        }
        return;
    }
    let mut from = at;
    while from < end {
        let to = end.min((from / SECTOR + 1) * SECTOR);
        if luck.keeps() {
            put(bytes, from, &data[from - at..to - at]);
        }
        from = to;
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}
