//! The inputs of the network: dimensionless, so that a system of other sizes, speeds and units is
//! not another input.
//!
//! Times are shares of the task's own deadline, loads shares of what a server would have if all
//! devices were active and spread by capacity. Energy is E_scaled of eq. (11) over the deadline: with
//! it the reward over R_base = 4·D_max is 1 − (α·delay + (1 − α)·energy)/2.

use offramp_nn::export::{ExportError, ExportedFile, Meanings, Request, export_set};
use offramp_nn::set::{Columns, SetInputs};
use offramp_plugin::{
    Context, Error, LinkColumn, LocalColumns, LocalState, Needs, Observation, ServerColumn,
    SystemSpec, TaskColumn,
};

/// Upper bound of times and energies, in deadlines: what takes longer is late all the same.
const MAX_DEADLINES: f64 = 4.0;
/// Upper bound of loads, speeds and capacities, as multiples of the even share.
const MAX_SHARES: f64 = 20.0;

/// A feature: name, scale, meaning as exported files state it.
type Feature = (&'static str, f64, &'static str);

/// Device features.
const DEVICE: [Feature; 7] = [
    (
        "local_work",
        1.0,
        "slots of computing it on the device alone, over D: size * rho / (f * s) / D",
    ),
    (
        "sending",
        1.0,
        "slots of sending it at the device's best rate, over D: size / (rate * s) / D",
    ),
    // What is rounded up to whole slots weighs more in a short deadline.
    ("deadline_slots", 20.0, "D"),
    ("alpha", 1.0, "alpha, 0 to 1"),
    ("compute_queue", 1.0, "slots for which the device's CPU stays busy, over D"),
    ("uplink_queue", 1.0, "slots for which the device's uplink stays busy, over D"),
    ("server_capacity", 2.0, "(sum of all f_j) / (N * f), 20 at most"),
];
/// Those that the model predicts.
const PREDICTED_DEVICE: [Feature; 3] = [
    ("local_delay", 1.0, "slots to its end if computed locally, over D (column local_delay_slots)"),
    ("local_energy", 1.0, "E_scaled of eq. (11) if computed locally, over D (column local_energy)"),
    (
        "local_reward",
        1.0,
        "(1 if local_delay <= 1, else 0) - (alpha * min(local_delay, 1) + (1 - alpha) * local_energy) / 2",
    ),
];

/// Link features.
const LINK: [Feature; 6] = [
    (
        "sending_there",
        1.0,
        "slots of sending it at the present rate to j, over D: size / (rate_j * s) / D",
    ),
    ("wired", 1.0, "slots on the wired way to j, over D; 0 where there is none"),
    (
        "work_there",
        1.0,
        "slots of computing it at j alone, over D: size * rho / (f_j * up_j * s) / D",
    ),
    (
        "backlog",
        1.0,
        "the device's own Mbit in service and waiting at j likewise: Mbit * rho / (f_j * up_j * s) / D",
    ),
    ("reachable", 1.0, "1 if rate_j and up_j are above 0, else 0"),
    (
        "serving",
        1.0,
        "1 if j is at the station that serves the device, else 0; 1 for all over links of their own",
    ),
];
/// Those that the model predicts.
const PREDICTED_LINK: [Feature; 3] = [
    (
        "predicted_delay",
        1.0,
        "slots to its end if sent to j as things are, over D (column predicted_delay_slots)",
    ),
    (
        "predicted_energy",
        1.0,
        "E_scaled of eq. (11) if sent to j, over D (column predicted_energy)",
    ),
    (
        "predicted_reward",
        1.0,
        "(1 if predicted_delay <= 1, else 0) - (alpha * min(predicted_delay, 1) + (1 - alpha) * \
         predicted_energy) / 2",
    ),
];

/// Server features.
const SERVER: [Feature; 4] = [
    ("load", 1.0, "load_j / share_j, 20 at most"),
    ("newcomer_share", 1.0, "1 / (1 + load_j): of the speed, what one more device would get"),
    ("speed", 1.0, "f_j over the mean of all servers, 20 at most"),
    ("up", 1.0, "up_j"),
];

/// Server features of what servers broadcast if a scenario says so: by their columns, with their units.
const BROADCAST: [(Feature, BroadcastUnit); 3] = [
    (
        (
            "queued_gcycles",
            20.0,
            "slots for which j is busy with all it holds: its Gcycles / (f_j * s), 80 at most",
        ),
        BroadcastUnit::Work,
    ),
    (("uploads", 1.0, "tasks on their way to j / share_j, 20 at most"), BroadcastUnit::Tasks),
    (
        (
            "arrivals_per_slot",
            0.1,
            "tasks that reached j per slot of the history / share_j, 20 at most",
        ),
        BroadcastUnit::Tasks,
    ),
];

/// Upper bound of the work that waits at a server, slots.
const MAX_WORK_SLOTS: f64 = 80.0;

/// The terms in which exported files state what the inputs mean.
const TERMS: [&str; 8] = [
    "D: deadline of the task, slots. size: Mbit. rho: its density, Gcycles per Mbit.",
    "alpha: weight of delay against energy. f: speed of the device, GHz. s: seconds of a slot.",
    "rate_j: rate from the device to server j, Mbit/s; rate: the largest of them.",
    "f_j: speed of server j, GHz. up_j: share of it that it has, 1 unless it is down.",
    "load_j: devices that had work at server j at the end of the last slot. N: all devices.",
    "share_j: N * f_j / (sum of all f_j): the load if all had work and spread by speed.",
    "All that is over D is 4 at most, and 4 where it is impossible (a rate or speed of 0).",
    "Columns are those of observations in offramp: scenarios/README.md.",
];

/// A load of the history, likewise.
const LOAD: &str =
    "Each is load_j / share_j at the end of its slot, 20 at most; 0 before the first slot.";

/// Exports a network with the meanings of its inputs.
///
/// # Errors
/// [`ExportError`].
pub(crate) fn export(
    kind: &str,
    checkpoint: &[u8],
    request: &Request<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    let broadcast = BROADCAST.map(|(feature, _)| feature);
    let all =
        [&DEVICE[..], &PREDICTED_DEVICE, &LINK, &PREDICTED_LINK, &SERVER, &broadcast].concat();
    let features: Vec<_> = all.into_iter().map(|(name, _, meaning)| (name, meaning)).collect();
    export_set(
        kind,
        checkpoint,
        request,
        &Meanings { terms: &TERMS, features: &features, load: LOAD },
    )
}

/// The columns that inputs are computed from.
#[derive(Clone, Debug)]
pub(crate) struct InputColumns {
    local: LocalColumns,
    serving: LinkColumn,
    wired: LinkColumn,
    load: ServerColumn,
    up: ServerColumn,
    predicted: Option<PredictedColumns>,
    broadcast: Vec<BroadcastColumn>,
}

/// The columns that the model predicts.
#[derive(Clone, Copy, Debug)]
struct PredictedColumns {
    local_delay: TaskColumn,
    local_energy: TaskColumn,
    delay: LinkColumn,
    energy: LinkColumn,
}

/// A column that servers broadcast.
#[derive(Clone, Copy, Debug)]
struct BroadcastColumn {
    column: ServerColumn,
    feature: Feature,
    unit: BroadcastUnit,
}

/// How a column that servers broadcast becomes a feature.
#[derive(Clone, Copy, Debug)]
enum BroadcastUnit {
    /// Gcycles, as slots of work of the server.
    Work,
    /// Tasks, over the server's share of devices.
    Tasks,
}

/// Whether inputs include the delay and energy that the model predicts for each action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Predictions {
    Included,
    LeftOut,
}

/// What inputs take of the system of an episode.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EpisodeSystem {
    slot_seconds: f64,
    device_ghz: Vec<f64>,
    server_ghz: Vec<f64>,
    /// N·f_j/Σf, devices.
    shares: Vec<f64>,
}

/// The inputs of a slot, scaled, as a [`SetBatch`](offramp_nn::set::SetBatch) takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// Rows × D.
    pub(crate) device: Vec<f32>,
    /// Rows × M × T.
    pub(crate) link: Vec<f32>,
    /// M × S.
    pub(crate) server: Vec<f32>,
    /// K × M of each window, the oldest slot first.
    pub(crate) loads: Vec<f32>,
    /// R_base of each row's task.
    pub(crate) bases: Vec<f32>,
    /// Of one kind, unscaled.
    unscaled: Vec<f64>,
}

impl InputColumns {
    /// The tables they are in.
    pub(crate) const NEEDS: Needs = LocalColumns::NEEDS.and(Needs::SERVERS).and(Needs::HISTORY);

    /// Finds them.
    ///
    /// # Errors
    /// If the scenario does not have one of them: servers broadcast some only if it says so.
    pub(crate) fn find(
        context: &Context<'_>,
        predictions: Predictions,
        broadcast: &[String],
    ) -> Result<Self, Error> {
        let predicted = match predictions {
            Predictions::LeftOut => None,
            Predictions::Included => Some(PredictedColumns {
                local_delay: context.task_column("local_delay_slots")?,
                local_energy: context.task_column("local_energy")?,
                delay: context.link_column("predicted_delay_slots")?,
                energy: context.link_column("predicted_energy")?,
            }),
        };
        Ok(Self {
            local: LocalColumns::find(context)?,
            serving: context.link_column("serving")?,
            wired: context.link_column("wired_slots")?,
            load: context.server_column("load")?,
            up: context.server_column("up")?,
            predicted,
            broadcast: distinct(broadcast)?
                .iter()
                .map(|name| BroadcastColumn::find(context, name))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The names and scales of the inputs. The scenario's own observation is not among them, so that
    /// any will do.
    pub(crate) fn inputs(&self, history_slots: usize) -> SetInputs {
        let with = |own: &[Feature], predicted: &[Feature]| {
            let predicted = if self.predicted.is_some() { predicted } else { &[] };
            Columns::new(own.iter().chain(predicted).map(|&(name, scale, _)| (name, scale)))
        };
        SetInputs {
            observation: "Dimensionless".to_owned(),
            device: with(&DEVICE, &PREDICTED_DEVICE),
            link: with(&LINK, &PREDICTED_LINK),
            server: Columns::new(
                SERVER
                    .into_iter()
                    .chain(self.broadcast.iter().map(|one| one.feature))
                    .map(|(name, scale, _)| (name, scale)),
            ),
            // Loads are shares already.
            history_scale: 1.0,
            history_slots,
        }
    }
}

impl EpisodeSystem {
    pub(crate) fn new(system: &SystemSpec<'_>) -> Self {
        let server_ghz = system.server_ghz.to_vec();
        let per_ghz = system.devices() as f64 / server_ghz.iter().sum::<f64>();
        Self {
            slot_seconds: system.slot_seconds,
            device_ghz: system.device_ghz.to_vec(),
            shares: server_ghz.iter().map(|ghz| ghz * per_ghz).collect(),
            server_ghz,
        }
    }

    /// N.
    pub(crate) fn devices(&self) -> usize {
        self.device_ghz.len()
    }

    /// M.
    pub(crate) fn servers(&self) -> usize {
        self.server_ghz.len()
    }
}

/// A time or energy in deadlines, bounded; what can't be done takes the bound.
fn deadlines(slots: f64, deadline_slots: f64) -> f64 {
    (slots / deadline_slots).min(MAX_DEADLINES)
}

/// The reward over R_base, eqs. (11) and (12), of a delay and an energy in deadlines.
fn reward(alpha: f64, delay: f64, energy: f64) -> f64 {
    let done = if delay <= 1.0 { 1.0 } else { 0.0 };
    done - 0.5 * (alpha * delay.min(1.0) + (1.0 - alpha) * energy)
}

impl Inputs {
    /// Takes in an observation of `system`, scaled as `scales` has it.
    ///
    /// # Errors
    /// If it has rows but no tables, as states of a data set.
    pub(crate) fn observe(
        &mut self,
        columns: &InputColumns,
        scales: &SetInputs,
        system: &EpisodeSystem,
        seen: &Observation<'_>,
    ) -> Result<(), Error> {
        let rows = seen.rows();
        if rows > 0 && seen.tasks.is_empty() {
            return Err(Error::new(
                "it decides on the tables of a slot, and these states have none",
            ));
        }
        let Self { device, link, server, loads, bases, unscaled } = self;

        server.clear();
        unscaled.clear();
        let mean_ghz = system.server_ghz.iter().sum::<f64>() / system.servers() as f64;
        let (load, up) = (seen.server(columns.load), seen.server(columns.up));
        for (j, (&load, &up)) in load.iter().zip(up).enumerate() {
            let share = (load / system.shares[j]).min(MAX_SHARES);
            let speed = (system.server_ghz[j] / mean_ghz).min(MAX_SHARES);
            unscaled.extend([share, 1.0 / (1.0 + load), speed, up]);
            unscaled.extend(columns.broadcast.iter().map(|one| {
                let value = seen.server(one.column)[j];
                match one.unit {
                    BroadcastUnit::Work => {
                        let per_slot = system.server_ghz[j] * system.slot_seconds;
                        (value / per_slot).min(MAX_WORK_SLOTS)
                    }
                    BroadcastUnit::Tasks => (value / system.shares[j]).min(MAX_SHARES),
                }
            }));
        }
        scales.server.scale(unscaled, server);

        loads.clear();
        let shares = system.shares.iter().cycle();
        let share = |(&load, &share): (&f64, &f64)| (load / share).min(MAX_SHARES) as f32;
        let scaled = seen.histories.iter().zip(shares).map(share);
        loads.extend(scaled.map(|load| load / scales.history_scale));

        device.clear();
        bases.clear();
        unscaled.clear();
        for row in 0..rows {
            let state = columns.local.state(seen, row);
            bases.push((4.0 * state.deadline_slots) as f32);
            let number = seen.devices[row] as usize;
            system.device_features(number, &state, unscaled);
            if let Some(predicted) = columns.predicted {
                let of = |column| deadlines(seen.task(row, column), state.deadline_slots);
                let [delay, energy] = [predicted.local_delay, predicted.local_energy].map(of);
                unscaled.extend([delay, energy, reward(state.alpha, delay, energy)]);
            }
        }
        scales.device.scale(unscaled, device);

        link.clear();
        unscaled.clear();
        for row in 0..rows {
            let state = columns.local.state(seen, row);
            let (serving, wired) = (seen.link(row, columns.serving), seen.link(row, columns.wired));
            let predicted = columns.predicted.map(|predicted| {
                (seen.link(row, predicted.delay), seen.link(row, predicted.energy))
            });
            for j in 0..system.servers() {
                system.link_features(j, &state, wired[j], up[j], serving[j], unscaled);
                if let Some((delays, energies)) = predicted {
                    let [delay, energy] = [delays[j], energies[j]]
                        .map(|slots| deadlines(slots, state.deadline_slots));
                    unscaled.extend([delay, energy, reward(state.alpha, delay, energy)]);
                }
            }
        }
        scales.link.scale(unscaled, link);
        Ok(())
    }
}

/// The names, if none is listed twice.
fn distinct(names: &[String]) -> Result<&[String], Error> {
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(Error::new(format!("`broadcast`: `{name}` is listed twice"))),
        None => Ok(names),
    }
}

impl BroadcastColumn {
    fn find(context: &Context<'_>, name: &str) -> Result<Self, Error> {
        let Some((feature, unit)) = BROADCAST.into_iter().find(|((known, ..), _)| *known == name)
        else {
            let known = BROADCAST.map(|((name, ..), _)| name).join(", ");
            return Err(Error::new(format!(
                "`broadcast`: there is no `{name}`; there are: {known}"
            )));
        };
        let column = context.server_column(name).map_err(|_| {
            Error::new(format!(
                "`broadcast`: servers of this scenario do not broadcast `{name}`; add it to the \
                 scenario's own `broadcast`"
            ))
        })?;
        Ok(Self { column, feature, unit })
    }
}

impl EpisodeSystem {
    /// The features [`DEVICE`] of a row.
    fn device_features(&self, device: usize, state: &LocalState<'_>, features: &mut Vec<f64>) {
        let LocalState { size_mbit, density_gcycles_per_mbit, deadline_slots, .. } = *state;
        let own_ghz = self.device_ghz[device];
        let local_slots = size_mbit * density_gcycles_per_mbit / (own_ghz * self.slot_seconds);
        let best_mbps = state.uplink_mbps.iter().copied().fold(0.0, f64::max);
        let per_device = self.server_ghz.iter().sum::<f64>() / self.devices() as f64;
        features.extend([
            deadlines(local_slots, deadline_slots),
            deadlines(size_mbit / (best_mbps * self.slot_seconds), deadline_slots),
            deadline_slots,
            state.alpha,
            deadlines(state.compute_queue_slots, deadline_slots),
            deadlines(state.uplink_queue_slots, deadline_slots),
            (per_device / own_ghz).min(MAX_SHARES),
        ]);
    }

    /// The features [`LINK`] of a row and server j.
    fn link_features(
        &self,
        j: usize,
        state: &LocalState<'_>,
        wired_slots: f64,
        up: f64,
        serving: f64,
        features: &mut Vec<f64>,
    ) {
        let LocalState { size_mbit, density_gcycles_per_mbit, deadline_slots, .. } = *state;
        let rate = state.uplink_mbps[j];
        let slots_per_mbit =
            density_gcycles_per_mbit / (self.server_ghz[j] * up * self.slot_seconds);
        let backlog = match state.backlog_mbit[j] {
            0.0 => 0.0,
            backlog_mbit => deadlines(backlog_mbit * slots_per_mbit, deadline_slots),
        };
        features.extend([
            deadlines(size_mbit / (rate * self.slot_seconds), deadline_slots),
            deadlines(wired_slots, deadline_slots),
            deadlines(size_mbit * slots_per_mbit, deadline_slots),
            backlog,
            if rate > 0.0 && up > 0.0 { 1.0 } else { 0.0 },
            serving,
        ]);
    }
}

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    /// The inputs of a bench, by kind.
    fn observed(bench: &Bench, predictions: Predictions) -> (SetInputs, Inputs) {
        let columns =
            bench.context(|context| InputColumns::find(context, predictions, &[])).unwrap();
        let system = bench.context(|context| EpisodeSystem::new(context.system));
        let (scales, mut inputs) = (columns.inputs(10), Inputs::default());
        bench.observe(|seen| inputs.observe(&columns, &scales, &system, seen)).unwrap();
        (scales, inputs)
    }

    #[track_caller]
    fn check(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{place}: {found}, not {expected}"
            );
        }
    }

    /// Two devices of 2.6 GHz, and servers of 30 and 10 GHz: 3/2 and 1/2 devices are their shares.
    fn bench() -> Bench {
        let mut bench = Bench::new(2, 2);
        bench.set_server("ghz", &[30.0, 10.0]);
        bench.set_server("load", &[3.0, 0.0]);
        bench.set_server("up", &[1.0, 0.5]);
        for (column, value) in [
            ("size_mbit", 5.2),
            ("density_gcycles_per_mbit", 0.2),
            ("deadline_slots", 8.0),
            ("alpha", 0.25),
            ("compute_queue_slots", 2.0),
            ("uplink_queue_slots", 40.0),
            ("local_delay_slots", 6.0),
            ("local_energy", 4.0),
        ] {
            bench.set_task(1, column, value);
        }
        bench.set_link(1, "uplink_mbps", &[13.0, 0.0]);
        bench.set_link(1, "backlog_mbit", &[15.0, 0.0]);
        bench.set_link(1, "serving", &[1.0, 0.0]);
        bench.set_link(1, "wired_slots", &[1.0, 0.0]);
        bench.set_link(1, "predicted_delay_slots", &[10.0, 40.0]);
        bench.set_link(1, "predicted_energy", &[2.0, 40.0]);
        bench.history = (0..20).map(f64::from).collect();
        bench
    }

    #[test]
    fn inputs_by_hand() {
        let (scales, inputs) = observed(&bench(), Predictions::Included);
        let names: Vec<&str> = scales.device.names.iter().map(String::as_str).collect();
        assert_eq!(names[7..], ["local_delay", "local_energy", "local_reward"]);
        // 5.2·0.2 Gcycles at 0.26 a slot are 4 slots; 5.2 Mbit at 1.3 a slot likewise. Servers have
        // 20 GHz per device.
        let expected = [
            0.5,
            0.5,
            8.0 / 20.0,
            0.25,
            0.25,
            4.0,
            20.0 / 2.6 / 2.0,
            // In time: 1 − (0.25·0.75 + 0.75·0.5)/2.
            0.75,
            0.5,
            1.0 - 0.5 * (0.1875 + 0.375),
        ];
        check(&inputs.device[10..], &expected);
        // 1.04 Gcycles at 3 a slot, 15 Mbit are 3 Gcycles; late, so without the 1. Then out of
        // coverage, with half of its speed.
        let expected = [
            [0.5, 0.125, 1.04 / 3.0 / 8.0, 0.125, 1.0, 1.0],
            [4.0, 0.0, 1.04 / 0.5 / 8.0, 0.0, 0.0, 0.0],
        ];
        check(&inputs.link[18..24], &expected[0]);
        check(&inputs.link[24..27], &[1.25, 0.25, -0.5 * (0.25 + 0.75 * 0.25)]);
        check(&inputs.link[27..33], &expected[1]);
        check(&inputs.link[33..], &[4.0, 4.0, -0.5 * (0.25 + 0.75 * 4.0)]);
        check(&inputs.server, &[2.0, 0.25, 1.5, 1.0, 0.0, 1.0, 0.5, 0.5]);
        let shares = [1.5, 0.5];
        let loads: Vec<f64> =
            (0..20).map(|n| (f64::from(n) / shares[n as usize % 2]).min(20.0)).collect();
        check(&inputs.loads, &loads);
        assert_eq!(inputs.bases, [40.0, 32.0]);
    }

    #[test]
    fn without_predictions_the_others_are_the_same() {
        let (_, with) = observed(&bench(), Predictions::Included);
        let (scales, without) = observed(&bench(), Predictions::LeftOut);
        assert!(!scales.link.names.iter().any(|name| name.starts_with("predicted")));
        let rows = |numbers: &[f32], width: usize, kept: usize| -> Vec<f32> {
            numbers.chunks_exact(width).flat_map(|row| row[..kept].to_vec()).collect()
        };
        assert_eq!(without.device, rows(&with.device, 10, 7));
        assert_eq!(without.link, rows(&with.link, 9, 6));
        assert_eq!((without.server, without.loads), (with.server, with.loads));
    }

    /// What servers broadcast are features in the order of the parameter.
    #[test]
    fn what_servers_broadcast_is_dimensionless() {
        let find = |bench: &Bench, names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            bench.context(|context| InputColumns::find(context, Predictions::Included, &names))
        };
        let mut bench = bench();
        bench.broadcast("queued_gcycles", &[6.0, 1e6]);
        bench.broadcast("uploads", &[3.0, 2.0]);
        bench.broadcast("arrivals_per_slot", &[0.3, 0.1]);
        let columns = find(&bench, &["uploads", "queued_gcycles", "arrivals_per_slot"]).unwrap();
        let system = bench.context(|context| EpisodeSystem::new(context.system));
        let (scales, mut inputs) = (columns.inputs(10), Inputs::default());
        bench.observe(|seen| inputs.observe(&columns, &scales, &system, seen)).unwrap();
        assert_eq!(scales.server.names[4..], ["uploads", "queued_gcycles", "arrivals_per_slot"]);
        // Servers do 3 and 1 Gcycles per slot, and have shares of 1.5 and 0.5 devices.
        check(&inputs.server[4..7], &[2.0, 2.0 / 20.0, 0.2 / 0.1]);
        check(&inputs.server[11..], &[4.0, 80.0 / 20.0, 0.2 / 0.1]);

        let refused =
            |names: &[&str]| find(&self::bench(), names).unwrap_err().message().to_owned();
        let silent = "`broadcast`: servers of this scenario do not broadcast `uploads`; add it to the \
                      scenario's own `broadcast`";
        assert_eq!(refused(&["uploads"]), silent);
        let unknown = "`broadcast`: there is no `load`; there are: queued_gcycles, uploads, \
                       arrivals_per_slot";
        assert_eq!(refused(&["load"]), unknown);
        let twice = find(&bench, &["uploads", "uploads"]).unwrap_err();
        assert_eq!(twice.message(), "`broadcast`: `uploads` is listed twice");
    }

    /// Servers that are down, no rate, nothing to do: all inputs are finite.
    #[test]
    fn nothing_is_not_finite() {
        let mut bench = bench();
        bench.set_server("up", &[0.0, 0.0]);
        for size in [0.0, 1e300] {
            bench.set_task(0, "size_mbit", size);
            bench.set_link(0, "uplink_mbps", &[0.0, 0.0]);
            bench.set_link(0, "backlog_mbit", &[size, size]);
            bench.history = vec![1e300; 20];
            let (_, inputs) = observed(&bench, Predictions::Included);
            for numbers in [&inputs.device, &inputs.link, &inputs.server, &inputs.loads] {
                assert!(numbers.iter().all(|number| number.is_finite()), "{inputs:?}");
            }
        }
    }
}
