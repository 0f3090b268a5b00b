//! Checkpoints and the state of a training.

use std::collections::VecDeque;

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::export::{self as nn, FORMAT_NAMES};
use offramp_nn::learning::OptimiserState;
use offramp_nn::replay::Ring;
use offramp_nn::set::SetShape;
use offramp_plugin::{Error, ExportRequest, Exportable, ExportedFile, Mergeable, Saved};

use crate::agent::Lessons;
use crate::inputs;
use crate::log::{EpisodeLog, Log};
use crate::policy::{Generalist, KIND};
use crate::replay::{Experience, Judged, Replay};
use crate::rule::Rule;

impl Saved for Generalist {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.describe(Stage::Deployed);
        self.plan.network.put(&mut checkpoint, "", self.deployed());
        Ok(checkpoint.to_bytes()?)
    }

    /// Called between episodes, when no decision is pending.
    fn save(&self) -> Result<Vec<u8>, Error> {
        let (Some(training), Some(agent)) = (&self.training, &self.agent) else {
            return Err(Error::new("it has not been trained"));
        };
        let mut state = self.describe(Stage::Training);
        for (prefix, numbers) in [
            ("evaluation.", &agent.evaluation),
            ("target.", &agent.target),
            ("optimiser.first.", &agent.optimiser.first),
            ("optimiser.second.", &agent.optimiser.second),
        ] {
            self.plan.network.put(&mut state, prefix, numbers);
        }
        state.put_u64("counts", [agent.updates, agent.optimiser.steps, training.slots]);
        match &agent.lessons {
            Lessons::Rewards(replay) => {
                put_log(&mut state, &replay.log);
                put_experiences(&mut state, replay.ring());
                put_priorities(&mut state, replay);
            }
            Lessons::Judged(replay) => {
                put_log(&mut state, &replay.log);
                put_judged(&mut state, replay.ring());
            }
        }
        Ok(state.to_bytes()?)
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        let Some(training) = &mut self.training else { return Vec::new() };
        let mut diagnostics = training.report.take_diagnostics(1.0);
        if self.plan.recipe.rule() == Rule::Drawn {
            // There is no Q.
            diagnostics.retain(|(name, _)| name == "gradient_norm");
        }
        diagnostics
    }

    fn memory(&self) -> u64 {
        self.plan.memory()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        let (network, shape) = (&self.plan.network, self.plan.shape());
        network.expect(&state, Stage::Training)?;
        let malformed = || Error::new("the saved training contradicts itself");
        let counts = state.u64("counts")?;
        let &[updates, steps, slots] = counts.as_slice() else { return Err(malformed()) };
        let mut agent = self.plan.agent(&network.take(&state, "evaluation.")?);
        agent.target = network.take(&state, "target.")?;
        agent.updates = updates;
        agent.optimiser = OptimiserState {
            steps,
            first: network.take(&state, "optimiser.first.")?,
            second: network.take(&state, "optimiser.second.")?,
        };
        let (log, capacity) =
            (take_log(&state, shape)?.ok_or_else(malformed)?, self.plan.recipe.parameters.replay);
        match &mut agent.lessons {
            Lessons::Rewards(replay) => {
                let ring = take_experiences(&state, capacity, &log)?.ok_or_else(malformed)?;
                take_priorities(&state, &ring, replay)?.ok_or_else(malformed)?;
                replay.fill(log, ring);
            }
            Lessons::Judged(replay) => {
                let ring = take_judged(&state, capacity, &log)?.ok_or_else(malformed)?;
                replay.fill(log, ring);
            }
        }
        let mut training = self.plan.new_training()?;
        training.slots = slots;
        self.agent = Some(agent);
        self.training = Some(Box::new(training));
        Ok(())
    }
}

/// Whole numbers of an episode in a state: M, the first slot and row, slots of loads with those of
/// zeros, rows.
const NUMBERS_OF_AN_EPISODE: usize = 5;

/// Puts all episodes, one after the other.
fn put_log(state: &mut Checkpoint, log: &Log) {
    let of_episode = |one: &EpisodeLog| {
        let (loads, rows) = (one.loads.len() / one.servers, one.slot_of.len());
        [one.servers as u64, one.first_slot, one.first_row, loads as u64, rows as u64]
    };
    let episodes = log.episodes();
    state.put_u64("log.ends", log.ends());
    state.put_u64("log.episodes", episodes.iter().flat_map(of_episode));
    state.put_u64("log.slot_of", episodes.iter().flat_map(|one| &one.slot_of).map(|&n| n.into()));
    let mut put = |name: &str, numbers: fn(&EpisodeLog) -> &Vec<f32>| {
        let all: Vec<f32> = episodes.iter().flat_map(numbers).copied().collect();
        state.put_f32(name, &[all.len()], all.iter().copied());
    };
    put("log.loads", |one| &one.loads);
    put("log.server_features", |one| &one.server_features);
    put("log.rows", |one| &one.rows);
    put("log.bases", |one| &one.bases);
}

/// The log that [`put_log`] put in; `None` if it contradicts itself.
fn take_log(state: &Checkpoint, shape: &SetShape) -> Result<Option<Log>, Error> {
    let (ends, numbers) = (state.u64("log.ends")?, state.u64("log.episodes")?);
    let slot_of = state.u64("log.slot_of")?;
    let reals = ["log.loads", "log.server_features", "log.rows", "log.bases"];
    let [mut loads, mut server_features, mut rows, mut bases] =
        reals.map(|name| state.f32(name).map(|all| Parts { all, taken: 0 }));
    let (loads, server_features) = (loads.as_mut()?, server_features.as_mut()?);
    let (rows, bases) = (rows.as_mut()?, bases.as_mut()?);
    let mut slots = Parts { all: slot_of, taken: 0 };
    let mut read = || {
        let mut episodes = VecDeque::new();
        for of_episode in numbers.chunks(NUMBERS_OF_AN_EPISODE) {
            let &[servers, first_slot, first_row, slots_of_loads, count] = of_episode else {
                return None;
            };
            let sizes = [servers, slots_of_loads, count].map(|size| usize::try_from(size).ok());
            let [Some(servers @ 1..), Some(all_slots), Some(count)] = sizes else { return None };
            let own_slots = all_slots.checked_add(1)?.checked_sub(shape.history_slots)?;
            let of_links = servers.checked_mul(shape.link_features)?;
            let width = shape.device_features.checked_add(of_links)?;
            let of_servers = servers.checked_mul(shape.server_features)?;
            let episode = EpisodeLog {
                servers,
                first_slot,
                first_row,
                loads: loads.next(all_slots.checked_mul(servers)?)?,
                server_features: server_features.next(own_slots.checked_mul(of_servers)?)?,
                rows: rows.next(count.checked_mul(width)?)?,
                slot_of: slots.next(count)?.into_iter().map(|slot| slot as u32).collect(),
                bases: bases.next(count)?,
            };
            episodes.push_back(Some(episode).filter(|episode| episode.is_whole(shape))?);
        }
        Log::of(*shape, episodes, ends.as_slice().try_into().ok()?)
    };
    Ok(read())
}

/// A list that is read part by part.
struct Parts<T> {
    all: Vec<T>,
    taken: usize,
}

impl<T: Copy> Parts<T> {
    /// The next so many, if there are so many.
    fn next(&mut self, count: usize) -> Option<Vec<T>> {
        let part = self.all.get(self.taken..self.taken.checked_add(count)?)?;
        self.taken += count;
        Some(part.to_vec())
    }
}

fn put_experiences(state: &mut Checkpoint, ring: &Ring<Experience>) {
    let whole = ring.items().iter().flat_map(|one| [one.row, one.next, u64::from(one.action)]);
    state.put_u64("replay.whole", std::iter::once(ring.next() as u64).chain(whole));
    let real = ring.items().iter().flat_map(|one| [one.reward, one.discount]);
    state.put_f32("replay.real", &[2 * ring.items().len()], real);
}

/// The ring that [`put_experiences`] put in, of rows that `log` has; `None` if it contradicts itself.
fn take_experiences(
    state: &Checkpoint,
    capacity: usize,
    log: &Log,
) -> Result<Option<Ring<Experience>>, Error> {
    let (whole, real) = (state.u64("replay.whole")?, state.f32("replay.real")?);
    let Some((&next, whole)) = whole.split_first() else { return Ok(None) };
    if whole.len() % 3 != 0 || 2 * (whole.len() / 3) != real.len() {
        return Ok(None);
    }
    let of = |(whole, real): (&[u64], &[f32])| Experience {
        row: whole[0],
        next: whole[1],
        action: whole[2] as u32,
        reward: real[0],
        discount: real[1],
    };
    let experiences: Vec<_> = whole.chunks_exact(3).zip(real.chunks_exact(2)).map(of).collect();
    let known = |one: &Experience| {
        log.has(one.row)
            && (one.discount == 0.0 || log.has(one.next))
            && one.action as usize <= log.servers(one.row)
    };
    let all_known = experiences.iter().all(known);
    let ring = Ring::from_parts(capacity, next as usize, experiences);
    Ok(ring.filter(|_| all_known))
}

fn put_priorities(state: &mut Checkpoint, replay: &Replay<Experience>) {
    let Some(priorities) = &replay.priorities else { return };
    let places = 0..replay.ring().items().len();
    let weights = places.map(|place| priorities.weights.weight(place));
    let all = std::iter::once(priorities.largest).chain(weights);
    state.put_u64("replay.priorities", all.map(f64::to_bits));
}

/// Takes in the priorities of a ring, if there are to be any; `None` if they contradict it.
fn take_priorities(
    state: &Checkpoint,
    ring: &Ring<Experience>,
    replay: &mut Replay<Experience>,
) -> Result<Option<()>, Error> {
    let Some(priorities) = &mut replay.priorities else { return Ok(Some(())) };
    let all = state.u64("replay.priorities")?;
    let Some((&largest, weights)) = all.split_first() else { return Ok(None) };
    let largest = f64::from_bits(largest);
    let weights = weights.iter().copied().map(f64::from_bits);
    let known = |weight: f64| weight.is_finite() && weight > 0.0 && weight <= largest;
    if weights.len() != ring.items().len() || !weights.clone().chain([largest]).all(known) {
        return Ok(None);
    }
    priorities.largest = largest;
    weights.enumerate().for_each(|(place, weight)| priorities.weights.set(place, weight));
    Ok(Some(()))
}

fn put_judged(state: &mut Checkpoint, ring: &Ring<Judged>) {
    let rows = ring.items().iter().map(|one| one.row);
    state.put_u64("judged.rows", std::iter::once(ring.next() as u64).chain(rows));
    let mut put = |name: &str, numbers: fn(&Judged) -> &[f32]| {
        let all: Vec<f32> = ring.items().iter().flat_map(numbers).copied().collect();
        state.put_f32(name, &[all.len()], all.iter().copied());
    };
    put("judged.gains", |one| &one.gains);
    put("judged.taught", |one| &one.taught);
}

/// The ring that [`put_judged`] put in, of rows that `log` has; `None` if it contradicts itself.
fn take_judged(
    state: &Checkpoint,
    capacity: usize,
    log: &Log,
) -> Result<Option<Ring<Judged>>, Error> {
    let rows = state.u64("judged.rows")?;
    let mut gains = Parts { all: state.f32("judged.gains")?, taken: 0 };
    let mut taught = Parts { all: state.f32("judged.taught")?, taken: 0 };
    let Some((&next, rows)) = rows.split_first() else { return Ok(None) };
    // Either is known of all of them or of none.
    let of_row = |parts: &mut Parts<f32>, count| match parts.all.is_empty() {
        true => Some(Box::default()),
        false => Some(parts.next(count)?.into()),
    };
    let mut judged = |&row: &u64| {
        let count = log.has(row).then(|| 1 + log.servers(row))?;
        let (gains, taught) = (of_row(&mut gains, count)?, of_row(&mut taught, count)?);
        Some(Judged { row, gains, taught })
    };
    let judged: Option<Vec<_>> = rows.iter().map(&mut judged).collect();
    let whole = [&gains, &taught].iter().all(|parts| parts.taken == parts.all.len());
    let ring = judged.and_then(|judged| Ring::from_parts(capacity, next as usize, judged));
    Ok(ring.filter(|_| whole))
}

impl Generalist {
    /// A checkpoint with the description of the network and the updates so far.
    fn describe(&self, stage: Stage) -> Checkpoint {
        let mut checkpoint = self.plan.network.describe(stage);
        let updates = self.agent.as_ref().map_or(0, |agent| agent.updates);
        checkpoint.metadata.insert("updates".to_owned(), updates.to_string());
        self.rule().state(&mut checkpoint);
        checkpoint
    }
}

impl Exportable for Generalist {
    fn formats() -> &'static [&'static str] {
        &FORMAT_NAMES
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let request =
            nn::Request { format: &request.format, network: request.network, name: &request.name };
        let files = inputs::export(KIND, checkpoint, &request)?;
        let file = |nn::ExportedFile { name, bytes, note }| ExportedFile { name, bytes, note };
        Ok(files.into_iter().map(file).collect())
    }
}

/// One vector: the evaluation network, then the target network.
impl Mergeable for Generalist {
    fn networks(&self) -> usize {
        1
    }

    fn parameters(&self, _network: usize) -> Result<Vec<f32>, Error> {
        Ok(match &self.agent {
            Some(agent) => agent.parameters(),
            None => self.plan.agent(self.weights()).parameters(),
        })
    }

    fn set_parameters(&mut self, _network: usize, parameters: &[f32]) -> Result<(), Error> {
        Ok(self.make_agent().set_parameters(parameters)?)
    }
}
