//! Tasks: the rows of each task of an episode, recorded while it is played.
//!
//! Rows are in the order of arrival, and of devices in a slot. A task is written once it and all that
//! arrived before it have ended, so only the tasks of the last slots wait; rows go to memory up to a limit
//! and then to a file.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};

use offramp_model::{EndedTask, Episode, Outcome, Place, System, reward};
use offramp_results::EpisodeResult;
use offramp_results::tasks::TaskRow;
use tempfile::SpooledTempFile;

use crate::metrics::classes;

/// How much is kept of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Detail {
    /// The metrics of each episode.
    Episodes,
    /// A row per task, too.
    Tasks,
}

/// An episode that was played.
#[derive(Debug)]
pub struct Played {
    /// Its metrics.
    pub result: EpisodeResult,
    /// Its tasks, if they are kept.
    pub tasks: Option<EpisodeTasks>,
}

/// Bytes of an episode's rows that are kept in memory.
const MEMORY: usize = 1 << 20;

/// The rows of an episode's tasks, as CSV without the cells that state the run.
#[derive(Debug)]
pub struct EpisodeTasks {
    rows: SpooledTempFile,
    bytes: u64,
}

impl EpisodeTasks {
    /// No rows yet.
    pub(crate) fn new() -> Self {
        Self { rows: SpooledTempFile::new(MEMORY), bytes: 0 }
    }

    /// Adds whole rows.
    pub(crate) fn add(&mut self, rows: &[u8]) -> std::io::Result<()> {
        self.bytes += rows.len() as u64;
        self.rows.write_all(rows)
    }

    /// Their size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rows from the first on.
    pub(crate) fn read(mut self) -> std::io::Result<BufReader<impl Read>> {
        self.rows.seek(SeekFrom::Start(0))?;
        Ok(BufReader::with_capacity(1 << 16, self.rows))
    }
}

/// Records the tasks of an episode: call [`before_slot`](Self::before_slot) and
/// [`after_slot`](Self::after_slot) around each step.
#[derive(Debug)]
pub(crate) struct TaskRecorder {
    episode: u64,
    /// The tasks that are not written, by their arrival slots; those of the first of which is `first`.
    slots: VecDeque<SlotTasks>,
    first: u32,
    /// When tasks that were sent reached each stage, by arrival slot and device.
    ways: HashMap<(u32, u32), Way>,
    rows: EpisodeTasks,
    /// The first error of writing them.
    error: Option<std::io::Error>,
}

/// The tasks that arrived in a slot.
#[derive(Debug)]
struct SlotTasks {
    count: usize,
    ended: Vec<Ended>,
}

#[derive(Debug)]
struct Ended {
    task: EndedTask,
    end_slot: u32,
    way: Way,
}

/// When a task that was sent was where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Way {
    /// The first slot of its upload.
    upload: Option<u32>,
    /// The first slot in which it was at its server.
    at_server: Option<u32>,
}

impl TaskRecorder {
    /// A recorder for the episode of that number.
    pub(crate) fn new(episode: u64) -> Self {
        Self {
            episode,
            slots: VecDeque::new(),
            first: 0,
            ways: HashMap::new(),
            rows: EpisodeTasks::new(),
            error: None,
        }
    }

    /// Counts the tasks that arrived in this slot.
    pub(crate) fn before_slot(&mut self, episode: &Episode) {
        let count = episode.arrivals().len();
        self.slots.push_back(SlotTasks { count, ended: Vec::with_capacity(count) });
    }

    /// Records the tasks that ended in the slot, and writes those that nothing waits for.
    pub(crate) fn after_slot(&mut self, episode: &Episode) {
        let slot = episode.slot() - 1;
        for task in episode.tasks_under_way().filter(|task| task.place != Place::Cpu) {
            if task.place == Place::Uplink && !task.in_service {
                continue;
            }
            let way = self.ways.entry((task.arrival_slot, task.device)).or_default();
            // A task that was sent within one slot has never been seen at the uplink.
            way.upload.get_or_insert(slot);
            if task.place == Place::Server {
                way.at_server.get_or_insert(slot + 1);
            }
        }
        for task in episode.ended() {
            let way = self.ways.remove(&(task.arrival_slot, task.device)).unwrap_or_default();
            let at = (task.arrival_slot - self.first) as usize;
            // On a wire it is dropped once it reaches its server, which may be after its deadline.
            let end_slot = slot.min(task.arrival_slot + (task.delay_slots - 1));
            self.slots[at].ended.push(Ended { task: *task, end_slot, way });
        }
        if self.error.is_none() {
            self.error = self.write(episode.system()).err();
        }
    }

    fn write(&mut self, system: &System) -> std::io::Result<()> {
        let is_whole = |slot: &SlotTasks| slot.ended.len() == slot.count;
        let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        while let Some(mut slot) = self.slots.pop_front_if(|slot| is_whole(slot)) {
            self.first += 1;
            slot.ended.sort_unstable_by_key(|ended| ended.task.device);
            for ended in &slot.ended {
                rows.serialize(row(system, self.episode, ended))?;
            }
        }
        let rows = rows.into_inner().map_err(|error| error.into_error())?;
        self.rows.add(&rows)
    }

    /// The rows of the episode, which is over.
    ///
    /// # Errors
    /// The first error of writing them.
    pub(crate) fn finish(self) -> std::io::Result<EpisodeTasks> {
        match self.error {
            None => Ok(self.rows),
            Some(error) => Err(error),
        }
    }
}

fn row<'s>(system: &'s System, episode: u64, ended: &Ended) -> TaskRow<'s> {
    let Ended { task, end_slot, way } = ended;
    let parameters = system.parameters();
    let energy = system.energy().of(&task.energy);
    let is_local = task.action == 0;
    let is_sent = task.sent_slot.is_some();
    // The service of a task that was not sent is its upload.
    let upload_slot = way.upload.or(task.sent_slot).or(task.service_slot).filter(|_| !is_local);
    let service_slot = task.service_slot.filter(|_| is_local || is_sent);
    let after = end_slot + 1;
    let waiting_slots = if is_local {
        service_slot.unwrap_or(after) - task.arrival_slot
    } else {
        // It may have been served in the slot in which it came, or never have come.
        let at_server = way.at_server.or(service_slot);
        let at_server =
            at_server.map_or(0, |since| service_slot.unwrap_or(after).saturating_sub(since));
        upload_slot.unwrap_or(after) - task.arrival_slot + at_server
    };
    let class = classes(system).get(task.class as usize);
    TaskRow {
        slot: episode * u64::from(parameters.arrival_slots) + u64::from(task.arrival_slot),
        episode,
        arrival_slot: task.arrival_slot,
        device: task.device,
        class: class.map(|class| class.name.as_str()),
        size_mbit: task.size_mbit,
        density: task.density,
        alpha: task.alpha,
        deadline_slots: task.deadline_slots,
        action: task.action,
        upload_slot,
        sent_slot: task.sent_slot,
        service_slot,
        end_slot: *end_slot,
        waiting_slots,
        delay_slots: task.delay_slots,
        dropped: u8::from(task.outcome == Outcome::Dropped),
        energy_local: energy.local,
        energy_transmit: energy.transmit,
        energy_edge: energy.server,
        energy_idle: energy.idle,
        reward: reward::reward(system, task),
    }
}
