//! Resuming: what a training and a distillation need to continue as if never interrupted. Their
//! folder is claimed by one process, a table is cut back to the last save, and a state file is
//! replaced as a whole or not at all.

use std::fmt;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use offramp_results::files::{self, MAX_DATA_BYTES, sha256};
use offramp_results::lock::{self, FolderLock};
use offramp_results::provenance;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::origin::Origin;

/// The start of a training, a distillation or a batch: new or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the beginning, in a folder that does not exist yet.
    New,
    /// From the last save in the folder; from the beginning if there is none.
    Resume,
}

/// An error of the folder of a training or distillation.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It can't be written.
    #[error("can't write {path}: {cause}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause, as the system reports it.
        cause: std::io::Error,
    },
    /// It already exists, and the training or distillation was to begin anew.
    #[error("{path} already exists")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// It was to end early; what was saved by then is kept.
    #[error("interrupted; what was saved is kept")]
    Interrupted,
    /// It was begun for something else, or by something other than offramp.
    #[error("{}", foreign(path, found.as_deref(), wanted))]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What it was begun for; `None` if it does not say.
        found: Option<String>,
        /// What was to be done in it.
        wanted: String,
    },
    /// Nothing has been begun in it.
    #[error("{path}: {wanted} has not been begun there")]
    NotBegun {
        /// The folder.
        path: PathBuf,
        /// The work that was to be continued in it.
        wanted: String,
    },
    /// Another process works in it, or it can't be locked.
    #[error(transparent)]
    Lock(#[from] offramp_results::Error),
    /// The last save is of something else, or of more than is asked for.
    #[error("can't resume from {path}: {change}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// The part that differs now, with its old and new value.
        change: String,
    },
    /// The last save can't be read.
    #[error("can't resume from {path}: {cause}")]
    NotResumable {
        /// The file.
        path: PathBuf,
        /// The fault in the file.
        cause: String,
    },
}

/// Explains why a folder can't be continued.
fn foreign(path: &Path, found: Option<&str>, wanted: &str) -> String {
    let path = path.display();
    match found {
        Some(found) => format!("{path} is the folder of {found}, not of {wanted}"),
        None => format!("{path} is not empty, and not the folder of {wanted}"),
    }
}

/// An error of writing `path`.
pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Unwritable { path: path.clone(), cause }
}

/// What a folder is for. It states that in a file, so that nothing else is continued in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A training, or one per point of a sweep.
    Training,
    /// A distillation, or one per point of a sweep.
    Distillation,
    /// A search for hyper-parameters.
    Search,
    /// A live run, or one per point of a sweep.
    Live,
    /// Plans of references as traces, of one point or in a folder each.
    Plans,
    /// The study of this name, all of it or its small version.
    Study(String),
}

/// `a training`, `the study paper`.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Training => f.write_str("a training"),
            Self::Distillation => f.write_str("a distillation"),
            Self::Search => f.write_str("a search"),
            Self::Live => f.write_str("a live run"),
            Self::Plans => f.write_str("the plans of references"),
            Self::Study(name) => write!(f, "the study {name}"),
        }
    }
}

/// The name of the file in which a folder states what it is for.
const WORK_FILE: &str = "folder-of.txt";

/// A folder of a [`Work`], to which no other process writes until this is dropped, except those that
/// share it. If nothing has been written to it by then, it is as it was before.
#[derive(Debug)]
pub struct Claim {
    lock: Option<FolderLock>,
    /// The file in which the folder states what it is for, if this wrote it.
    stated: Option<PathBuf>,
    /// The folders that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl Claim {
    /// Claims `folder` for `work` and creates it if it does not exist; it may be empty.
    ///
    /// # Errors
    /// [`FolderError::Taken`] if it has something in it and `start` is new,
    /// [`FolderError::Foreign`] if that is not of the same work, [`FolderError::Lock`] if another
    /// process works in it, [`FolderError::Unwritable`]. Nothing has changed then.
    pub fn new(folder: &Path, start: Start, work: &Work) -> Result<Self, FolderError> {
        let taken = || FolderError::Taken { path: folder.to_owned() };
        if start == Start::New && folder.exists() && !is_empty(folder) {
            return Err(taken());
        }
        let mut claim = Self { lock: None, stated: None, made: Vec::new() };
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<&Path> = folder.ancestors().take_while(missing).collect();
        for path in missing.into_iter().rev() {
            match std::fs::create_dir(path) {
                Ok(()) => claim.made.push(path.to_owned()),
                // Someone else was faster.
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                    if path == folder && start == Start::New {
                        return Err(taken());
                    }
                }
                Err(cause) => return Err(unwritable(path)(cause)),
            }
        }
        // Before the lock, which is a file in it, and again after: it may have changed meanwhile.
        may_continue(folder, work)?;
        claim.lock = Some(FolderLock::take(folder)?);
        if !may_continue(folder, work)? {
            let path = folder.join(WORK_FILE);
            claim.stated = Some(path.clone());
            write(&path, format!("{work}\n").as_bytes())?;
        }
        Ok(claim)
    }

    /// Claims `folder`, which has been begun for `work`, together with other processes, none of which
    /// does the same part of it.
    ///
    /// # Errors
    /// [`FolderError::NotBegun`] if nothing has been begun in it, [`FolderError::Foreign`] if that is
    /// something else, [`FolderError::Lock`] if a process works in it alone.
    pub fn share(folder: &Path, work: &Work) -> Result<Self, FolderError> {
        let begun = || {
            if folder.exists() && may_continue(folder, work)? {
                return Ok(());
            }
            Err(FolderError::NotBegun { path: folder.to_owned(), wanted: work.to_string() })
        };
        begun()?;
        let lock = Some(FolderLock::share(folder)?);
        begun()?;
        Ok(Self { lock, stated: None, made: Vec::new() })
    }
}

/// True if the folder was begun for this work; false if it is empty, apart from its lock.
///
/// # Errors
/// [`FolderError::Foreign`] if it was begun for something else.
fn may_continue(folder: &Path, work: &Work) -> Result<bool, FolderError> {
    let wanted = work.to_string();
    let found = files::read(&folder.join(WORK_FILE), 1 << 16).ok();
    let found = found.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
    match found {
        Some(found) if found == wanted => Ok(true),
        None if is_empty(folder) => Ok(false),
        found => Err(FolderError::Foreign { path: folder.to_owned(), found, wanted }),
    }
}

/// True if there is nothing in a folder, apart from a lock and what a kill has left of the first file.
fn is_empty(folder: &Path) -> bool {
    let partial = Path::new(WORK_FILE).with_extension("partial");
    let nothing = |name: &Path| name == Path::new(lock::FILE_NAME) || name == partial;
    std::fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.all(|e| e.is_ok_and(|e| nothing(e.file_name().as_ref()))))
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(stated) = &self.stated {
            let among = stated.parent().and_then(|folder| std::fs::read_dir(folder).ok());
            let named = |name: &std::ffi::OsStr| name == WORK_FILE || name == lock::FILE_NAME;
            let alone = among.is_some_and(|mut entries| {
                entries.all(|entry| entry.is_ok_and(|entry| named(&entry.file_name())))
            });
            if alone {
                let _ = std::fs::remove_file(stated);
            }
        }
        // The lock's file is in the folder.
        drop(self.lock.take());
        for path in self.made.iter().rev() {
            // What has something in it stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Prepares the folder of a training or distillation: with the scenario and its provenance in it, and
/// without what a kill has left of files that were being replaced.
///
/// # Errors
/// [`FolderError::Unwritable`].
pub fn begin(folder: &Path, scenario: &str) -> Result<(), FolderError> {
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    for entry in std::fs::read_dir(folder).map_err(unwritable(folder))?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "partial") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    provenance::add(folder, &engine::provenance()).map_err(unwritable(folder))?;
    write(&folder.join("scenario.ron"), scenario.as_bytes())
}

/// Replaces a file as a whole, or leaves it as it was.
///
/// # Errors
/// [`FolderError::Unwritable`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    files::write_atomically(path, bytes).map_err(unwritable(path))
}

/// A CSV table that grows by one row at a time.
pub(crate) struct Table {
    path: PathBuf,
    writer: csv::Writer<std::fs::File>,
}

impl Table {
    /// Opens the table, cut back to its first `bytes`.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self, FolderError> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(unwritable(path))?;
        let length = file.metadata().map_err(unwritable(path))?.len();
        if length < bytes {
            let cause = format!("it has {length} bytes, of {bytes} when it was last saved");
            return Err(not_resumable(path, cause));
        }
        file.set_len(bytes)
            .and_then(|()| file.seek(std::io::SeekFrom::End(0)))
            .map_err(unwritable(path))?;
        let writer = csv::WriterBuilder::new().has_headers(bytes == 0).from_writer(file);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Opens the table of rows whose first column counts something, cut back to those below
    /// `count`; it may lack some of them.
    pub(crate) fn open_below(path: &Path, count: u64) -> Result<Self, FolderError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
            Err(cause) => return Err(unwritable(path)(cause)),
        };
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let header = lines.next().filter(|line| line.ends_with(b"\n")).map_or(0, <[u8]>::len);
        let kept = lines.take_while(|line| {
            let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('\n'));
            let first = text.and_then(|text| text.split(',').next()?.parse::<u64>().ok());
            first.is_some_and(|first| first < count)
        });
        let rows: usize = kept.map(<[u8]>::len).sum();
        // A header alone is written again with the first row.
        Self::open(path, if rows == 0 { 0 } else { (header + rows) as u64 })
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: impl Serialize) -> Result<(), FolderError> {
        let other = |error: csv::Error| std::io::Error::other(error.to_string());
        self.writer
            .serialize(row)
            .map_err(other)
            .and_then(|()| self.writer.flush())
            .map_err(unwritable(&self.path))
    }

    /// Size of the header and the rows so far, bytes.
    pub(crate) fn bytes(&self) -> Result<u64, FolderError> {
        let metadata = self.writer.get_ref().metadata();
        Ok(metadata.map_err(unwritable(&self.path))?.len())
    }
}

/// The version of the format of state files.
const FORMAT: u32 = 5;

/// Bytes of a SHA-256 in hexadecimal digits.
const DIGITS: usize = 64;

/// The header of a state file.
#[derive(Serialize, Deserialize)]
struct Header<S> {
    format: u32,
    origin: Origin,
    state: S,
}

/// Saves `state` and the bytes of a plugin in one file: the length of a JSON header (u64, little
/// endian), the SHA-256 of header and plugin's bytes in hexadecimal digits, the header, then the
/// plugin's bytes.
///
/// # Errors
/// [`FolderError::Unwritable`].
pub fn save(
    path: &Path,
    origin: &Origin,
    state: impl Serialize,
    plugin: &[u8],
) -> Result<(), FolderError> {
    let header = Header { format: FORMAT, origin: origin.clone(), state };
    let header = serde_json::to_vec(&header).map_err(|error| unwritable(path)(error.into()))?;
    let length = (header.len() as u64).to_le_bytes();
    let hashes = [sha256(&header), sha256(plugin)].concat();
    let parts = [&length, hashes.as_bytes(), &header, plugin];
    files::write_parts_atomically(path, &parts).map_err(unwritable(path))
}

/// Reads the state that was saved by something of the same origin, without the plugin's bytes;
/// `None` if there is no file.
///
/// # Errors
/// [`FolderError::Changed`] if the origin is another one, [`FolderError::NotResumable`].
pub(crate) fn saved<S: DeserializeOwned>(
    path: &Path,
    origin: &Origin,
) -> Result<Option<S>, FolderError> {
    open(path, origin).map(|opened| opened.map(|(state, ..)| state))
}

/// Reads the state and the plugin's bytes that were saved by something of the same origin; `None`
/// if there is no file.
///
/// # Errors
/// [`FolderError::Changed`] if the origin is another one, [`FolderError::NotResumable`].
pub fn load<S: DeserializeOwned>(
    path: &Path,
    origin: &Origin,
) -> Result<Option<(S, Vec<u8>)>, FolderError> {
    let Some((state, mut rest, hash)) = open(path, origin)? else { return Ok(None) };
    let mut plugin = Vec::new();
    rest.read_to_end(&mut plugin).map_err(|cause| not_resumable(path, cause.to_string()))?;
    if sha256(&plugin).as_bytes() != hash {
        return Err(damaged(path));
    }
    Ok(Some((state, plugin)))
}

fn not_resumable(path: &Path, cause: String) -> FolderError {
    FolderError::NotResumable { path: path.to_owned(), cause }
}

fn damaged(path: &Path) -> FolderError {
    let cause = "it was damaged or cut off: its contents are not those that were written";
    not_resumable(path, cause.to_owned())
}

/// The state in a file, the file from the plugin's bytes on, and their SHA-256.
fn open<S: DeserializeOwned>(
    path: &Path,
    origin: &Origin,
) -> Result<Option<(S, impl Read, [u8; DIGITS])>, FolderError> {
    let fail = |cause: String| not_resumable(path, cause);
    let system = |cause: std::io::Error| fail(cause.to_string());
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(system(cause)),
    };
    let size = file.metadata().map_err(system)?.len();
    if size > MAX_DATA_BYTES {
        return Err(fail(format!("it has more than {MAX_DATA_BYTES} bytes")));
    }
    let mut length = [0; 8];
    let mut hashes = [[0; DIGITS]; 2];
    for part in [&mut length[..]].into_iter().chain(hashes.iter_mut().map(|hash| &mut hash[..])) {
        file.read_exact(part).map_err(|_| damaged(path))?;
    }
    let [of_header, of_plugin] = hashes;
    // Up to format 4 the header came here.
    if of_header.starts_with(b"{\"format\":") {
        return Err(fail(format!("it has an older format; this version reads format {FORMAT}")));
    }
    let length = u64::from_le_bytes(length);
    // Before so many bytes are read.
    if length > size {
        return Err(damaged(path));
    }
    let mut header = Vec::new();
    file.by_ref().take(length).read_to_end(&mut header).map_err(system)?;
    if sha256(&header).as_bytes() != of_header {
        return Err(damaged(path));
    }
    // The format comes first: the rest may have another form.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let malformed = |error: serde_json::Error| fail(error.to_string());
    let Format { format } = serde_json::from_slice(&header).map_err(malformed)?;
    if format != FORMAT {
        return Err(fail(format!("it has format {format}; this version reads format {FORMAT}")));
    }
    let header: Header<S> = serde_json::from_slice(&header).map_err(malformed)?;
    match origin.difference(&header.origin) {
        Some(change) => Err(FolderError::Changed { path: path.to_owned(), change }),
        None => Ok(Some((header.state, file, of_plugin))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_altered_is_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.bin");
        let origin = Origin::default();
        let load = || load::<Vec<u32>>(&path, &origin);
        assert!(load().unwrap().is_none());
        save(&path, &origin, vec![7], &[1, 2, 3]).unwrap();
        assert_eq!(load().unwrap(), Some((vec![7], vec![1, 2, 3])));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            std::fs::write(&path, altered).unwrap();
            let error = load().unwrap_err().to_string();
            assert!(error.contains("it was damaged or cut off"), "byte {at}: {error}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = load().unwrap_err().to_string();
            assert!(error.contains("it was damaged or cut off"), "{length} bytes: {error}");
        }
        let header = br#"{"format":4,"origin":{},"state":[7]}"#;
        let padded = [&header[..], &[0; 2 * DIGITS]].concat();
        let older = [&(header.len() as u64).to_le_bytes(), &padded[..]].concat();
        std::fs::write(&path, older).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.ends_with("it has an older format; this version reads format 5"), "{error}");
    }

    #[test]
    fn a_claim_that_nothing_came_of_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("runs/toy-001");
        let claim = |start| Claim::new(&folder, start, &Work::Search);
        let claimed = claim(Start::New).unwrap();
        let taken = claim(Start::New).unwrap_err();
        assert!(matches!(taken, FolderError::Taken { .. }), "{taken}");
        let locked = claim(Start::Resume).unwrap_err();
        assert!(locked.to_string().contains("in use by process"), "{locked}");
        drop(claimed);
        assert!(!parent.path().join("runs").exists());
        // An empty folder stays empty.
        std::fs::create_dir_all(&folder).unwrap();
        for start in [Start::New, Start::Resume] {
            drop(claim(start).unwrap());
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        }
        // What was written stays, and only the lock is gone.
        let claimed = claim(Start::New).unwrap();
        std::fs::write(folder.join("scenario.ron"), "").unwrap();
        drop(claimed);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        drop(claim(Start::Resume).unwrap());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_is_continued_by_what_began_it_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("x");
        let claim = |work: &Work| Claim::new(&folder, Start::Resume, work);
        let study = Work::Study("toy".to_owned());
        let begun = claim(&study).unwrap();
        std::fs::write(folder.join("index.html"), "").unwrap();
        drop(begun);
        drop(claim(&study).unwrap());
        let refused = |work: &Work| claim(work).unwrap_err().to_string();
        let path = folder.display();
        for other in [Work::Training, Work::Search, Work::Study("other".to_owned())] {
            let expected = format!("{path} is the folder of the study toy, not of {other}");
            assert_eq!(refused(&other), expected);
        }
        // One that says nothing is someone else's.
        std::fs::remove_file(folder.join(WORK_FILE)).unwrap();
        let expected = format!("{path} is not empty, and not the folder of a distillation");
        assert_eq!(refused(&Work::Distillation), expected);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_table_is_cut_back_to_what_counts_less() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        #[derive(Serialize)]
        struct Row {
            at: u64,
            seconds: f64,
        }
        let add = |count: u64, rows: std::ops::Range<u64>| {
            let mut table = Table::open_below(&path, count).unwrap();
            rows.for_each(|at| table.add(Row { at, seconds: 0.5 }).unwrap());
        };
        add(0, 0..3);
        add(2, 2..4);
        let whole = "at,seconds\n0,0.5\n1,0.5\n2,0.5\n3,0.5\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        // A row that was cut off is not one.
        std::fs::write(&path, "at,seconds\n0,0.5\n1,0").unwrap();
        add(2, 2..3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "at,seconds\n0,0.5\n2,0.5\n");
        std::fs::write(&path, "at,sec").unwrap();
        add(2, 2..3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "at,seconds\n2,0.5\n");
    }

    #[test]
    fn what_a_kill_left_of_a_row_or_a_file_is_gone_when_it_resumes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let mut table = Table::open(&path, 0).unwrap();
        table.add(("a", 1)).unwrap();
        let whole = table.bytes().unwrap();
        drop(table);
        let rows = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&rows[..], b"b,"].concat()).unwrap();
        std::fs::write(folder.path().join("best.partial"), "half").unwrap();
        begin(folder.path(), "()").unwrap();
        drop(Table::open(&path, whole).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), rows);
        assert!(!folder.path().join("best.partial").exists());
    }
}
