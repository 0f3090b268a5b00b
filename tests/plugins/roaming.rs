//! A learner that copes with any system, and keeps a record of those that it learned in.

use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, Learner, Needs, Observation, Policy, Progress, Saved,
    ServerColumn, SystemSpec, TransitionBatch, UNDECIDED,
};

struct Roaming {
    /// The first line: what it was told of its length. One more for each episode it learned in.
    record: String,
    load: ServerColumn,
    /// N and M of the episode at hand.
    size: (usize, usize),
    slots: u64,
    updates: u64,
}

/// N, M, the deadline, and the sum of all speeds: enough to tell a system from others.
fn line(system: &SystemSpec<'_>) -> String {
    let speeds = system.device_ghz.iter().chain(system.server_ghz.iter()).sum::<f64>();
    let (devices, servers) = (system.devices(), system.servers());
    format!("{devices},{servers},{},{speeds:?}\n", system.deadline_slots)
}

impl Policy for Roaming {
    const NEEDS: Needs = Needs::SERVERS.and(Needs::HISTORY).and(Needs::LENGTH);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let system = context.system;
        let mut roaming = Self {
            record: format!("{}\n", context.learning_steps),
            load: context.server_column("load")?,
            size: (system.devices(), system.servers()),
            slots: 0,
            updates: 0,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            roaming.load(&bytes)?;
        }
        Ok(roaming)
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.size = (start.system.devices(), start.system.servers());
        if start.training {
            self.record += &line(start.system);
        }
        Ok(())
    }

    fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let (devices, servers) = self.size;
        let load = seen.server(self.load);
        let fits = load.len() == servers
            && seen.server_count as usize == servers
            && seen.window_of(0).len() == seen.history_slots as usize * servers
            && seen.devices.iter().all(|device| (*device as usize) < devices);
        if !fits {
            return Err(Error::new("the observation is not of the system of the episode"));
        }
        // The server with the fewest devices; so a validation depends on the system.
        let least = (1..).zip(load).min_by(|one, two| one.1.total_cmp(two.1));
        let least = least.map_or(0, |(server, _)| server);
        actions
            .iter_mut()
            .filter(|action| **action == UNDECIDED)
            .for_each(|action| *action = least);
        Ok(())
    }
}

impl AnySystem for Roaming {}

impl Saved for Roaming {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        self.save()
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(format!("{} {}\n{}", self.slots, self.updates, self.record).into_bytes())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(bytes)?;
        let (counts, record) = text.split_once('\n').ok_or("a line is missing")?;
        let (slots, updates) = counts.split_once(' ').ok_or("a count is missing")?;
        (self.slots, self.updates) = (slots.parse()?, updates.parse()?);
        self.record = record.to_owned();
        Ok(())
    }
}

impl Learner for Roaming {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        self.slots += 1;
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        self.updates += 1;
        Ok(Progress { updates: self.updates, recent_updates: 1, loss: 0.0 })
    }
}

offramp_plugin::register_policy!(
    Roaming,
    "roaming",
    "Learns nothing in any system.",
    [saved, learner, any_system]
);
offramp_plugin::export_plugin!();
