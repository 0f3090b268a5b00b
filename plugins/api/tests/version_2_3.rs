//! A plugin written against interface version 2.3, which uses what an author in Rust needs.
//!
//! Frozen: it must compile and pass unchanged with every later revision of version 2, or plugins of
//! others do not. What a revision adds gets a file of its own. (The binary interface is held by the
//! fixtures in `tests/plugins`.)

use std::path::{Path, PathBuf};

use offramp_plugin::serde::Deserialize;
use offramp_plugin::testing::{Bench, LINK_COLUMNS, SERVER_COLUMNS, TASK_COLUMNS, ended};
use offramp_plugin::{
    AnySystem, Capabilities, Context, EndedTask, EnergyAccounting, EpisodeStart, Error, Explorer,
    ExportRequest, Exportable, ExportedFile, Feature, Learner, LinkColumn, LocalColumns,
    LocalState, Mergeable, Needs, Observation, ObservationSpec, Policy, Progress, RSlice, RStr,
    Saved, ServerColumn, Student, SystemSpec, TaskColumn, TrainingPlace, TransitionBatch,
    UNDECIDED, ValueFunction, best_action, bytes_of, export_plugin, path_of, register_explorer,
    register_policy,
};

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    bias: f32,
}

struct Everything {
    parameters: Parameters,
    local: LocalColumns,
    place: TrainingPlace,
    size: TaskColumn,
    backlog: LinkColumn,
    load: ServerColumn,
    updates: u64,
}

impl Policy for Everything {
    const NEEDS: Needs = Needs::FEATURES
        .and(Needs::HISTORY)
        .and(Needs::TASKS)
        .and(Needs::LINKS)
        .and(Needs::SERVERS)
        .and(Needs::LENGTH)
        .and(LocalColumns::NEEDS);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let texts: [RStr<'_>; 3] =
            [context.parameters, context.scenario_sha256, context.hardware_sha256];
        assert!(texts.iter().all(|text| text.as_str().len() < 1000));
        let (_, _, _): (u64, u32, u64) = (context.seed, context.threads, context.learning_steps);
        let folder: PathBuf = path_of(context.folder.as_slice());
        assert_eq!(bytes_of(&folder), context.folder.as_slice());
        assert_eq!(context.checkpoint_path().is_some(), !context.checkpoint_file.is_empty());
        let updates = match context.checkpoint.into_option() {
            Some(bytes) => bytes.as_slice().len() as u64,
            None => 0,
        };
        system(context.system);
        spec(context.observation);
        assert!(context.path("no such file").is_err());
        let parameters: Parameters = context.parameters()?;
        let (size, backlog, load) = (
            context.task_column("size_mbit")?,
            context.link_column("backlog_mbit")?,
            context.server_column("load")?,
        );
        let (local, place) = (LocalColumns::find(context)?, TrainingPlace::new(context));
        Ok(Self { parameters, local, place, size, backlog, load, updates })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        let (_, _, _): (u64, u64, bool) = (start.episode, start.seed, start.training);
        system(start.system);
        self.place.begin_episode(start);
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let shares =
            [self.place.share(observation.slot), self.place.progress(observation.slot, 0.5)];
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        let servers = observation.server_count as usize;
        let mut values = vec![0.0; observation.rows() * (1 + servers)];
        self.values(observation, &mut values)?;
        for (row, action) in
            actions.iter_mut().enumerate().filter(|(_, action)| **action == UNDECIDED)
        {
            *action = best_action(&values[row * (1 + servers)..][..1 + servers])?;
        }
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn fresh(&self) -> Option<Self> {
        None
    }
}

impl AnySystem for Everything {}

impl ValueFunction for Everything {
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        let tables: [RSlice<'_, f64>; 5] = [
            observation.features,
            observation.histories,
            observation.tasks,
            observation.links,
            observation.servers,
        ];
        assert!(tables.iter().all(|table| table.iter().all(|value| value.is_finite())));
        let indices: [RSlice<'_, u32>; 2] = [observation.devices, observation.history_of];
        assert!(indices.iter().all(|index| index.len() <= observation.rows()));
        let _: u32 = observation.history_slots;
        let _: &[f64] = observation.server(self.load);
        let actions = 1 + observation.server_count as usize;
        for (row, values) in values.chunks_exact_mut(actions).enumerate() {
            let LocalState {
                size_mbit,
                compute_queue_slots,
                uplink_queue_slots,
                alpha,
                density_gcycles_per_mbit,
                deadline_slots,
                backlog_mbit,
                uplink_mbps,
            } = self.local.state(observation, row);
            let numbers = [compute_queue_slots, uplink_queue_slots, alpha];
            assert!(numbers.iter().all(|number| number.is_finite()));
            assert!(density_gcycles_per_mbit.is_finite() && deadline_slots.is_finite());
            assert_eq!(size_mbit, observation.task(row, self.size));
            assert_eq!(backlog_mbit, observation.link(row, self.backlog));
            assert_eq!(backlog_mbit.len(), uplink_mbps.len());
            let _: [&[f64]; 2] = [observation.features_of(row), observation.window_of(row)];
            values.fill(0.0);
            values[0] = self.parameters.bias;
        }
        Ok(())
    }
}

impl Saved for Everything {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(vec![0; self.updates as usize])
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        self.checkpoint()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.updates = bytes.len() as u64;
        Ok(())
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        vec![("updates".to_owned(), self.updates as f64)]
    }

    fn memory(&self) -> u64 {
        0
    }
}

impl Learner for Everything {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error> {
        assert_eq!(slot.actions.len(), slot.observation.rows());
        for &EndedTask { device, arrival_slot, action, delay_slots, dropped, reward, energy } in
            slot.ended.iter()
        {
            let _: ([u32; 4], bool) = ([device, arrival_slot, action, delay_slots], dropped);
            assert!(reward.is_finite() && energy.iter().sum::<f64>().is_finite());
            self.updates += 1;
        }
        Ok(())
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        Ok(Progress { updates: self.updates, recent_updates: 1, loss: 0.0 })
    }
}

impl Student for Everything {
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        assert_eq!(targets.len() % observation.rows().max(1), 0);
        Ok(0.0)
    }
}

impl Exportable for Everything {
    fn formats() -> &'static [&'static str] {
        &["text"]
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let (format, name) = (request.format.as_str(), request.name.as_str());
        let name = format!("{name}_{}.{format}", request.network);
        Ok(vec![ExportedFile { name, bytes: checkpoint.to_vec(), note: String::new() }])
    }
}

impl Mergeable for Everything {
    fn networks(&self) -> usize {
        1
    }

    fn parameters(&self, _network: usize) -> Result<Vec<f32>, Error> {
        Ok(vec![self.parameters.bias])
    }

    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), Error> {
        let bias = parameters.first().ok_or_else(|| Error::new(format!("network {network}")))?;
        self.parameters.bias = *bias;
        Ok(())
    }
}

struct Explores;

impl Explorer for Explores {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self)
    }

    fn begin_episode(&mut self, _start: &EpisodeStart<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn propose(
        &mut self,
        _observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        let Progress { updates, recent_updates, loss } = *progress;
        assert!(recent_updates <= updates && loss.is_finite());
        actions.fill(0);
        Ok(1.0)
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl AnySystem for Explores {}

register_policy!(
    Everything,
    "everything",
    "Has every capability.",
    [saved, learner, value_function, student, exportable, mergeable, any_system]
);
register_explorer!(Explores, "explores", "Explores nothing.", [any_system]);
export_plugin!();

fn system(system: &SystemSpec<'_>) {
    let (_, _, _): (f64, u32, u32) =
        (system.slot_seconds, system.deadline_slots, system.arrival_slots);
    let of_devices: [RSlice<'_, f64>; 4] =
        [system.device_ghz, system.compute_w, system.transmit_w, system.idle_w];
    assert!(of_devices.iter().all(|column| column.len() == system.devices()));
    assert_eq!(system.server_ghz.len(), system.servers());
    assert_eq!(system.actions(), 1 + system.servers());
    let known = [EnergyAccounting::PHYSICAL, EnergyAccounting::PUBLISHED];
    assert!(known.contains(&system.energy) && system.reference_energy.is_finite());
}

fn spec(spec: &ObservationSpec<'_>) {
    let columns: [RSlice<'_, RStr<'_>>; 3] =
        [spec.task_columns, spec.link_columns, spec.server_columns];
    assert!(columns.iter().flat_map(|names| names.iter()).all(|name| !name.is_empty()));
    let features: &[Feature] = spec.features.as_slice();
    assert!(features.iter().all(|feature| !feature.name.is_empty() && feature.scale > 0.0));
    let (_, _, _): (u32, f64, &str) = (spec.history_slots, spec.history_scale, spec.kind.as_str());
    let found: (Result<TaskColumn, Error>, Result<LinkColumn, Error>, Result<ServerColumn, Error>) =
        (spec.task_column("none"), spec.link_column("none"), spec.server_column("none"));
    assert!(found.0.is_err() && found.1.is_err() && found.2.is_err());
}

#[test]
fn a_policy_with_every_capability_runs_on_the_bench() {
    let mut bench = Bench::new(3, 2);
    bench.parameters = "(bias: 1.0)".to_owned();
    bench.set_task(0, TASK_COLUMNS[0].0, 2.0);
    bench.set_link(0, LINK_COLUMNS[0].0, &[1.0, 2.0]);
    bench.set_server(SERVER_COLUMNS[0].0, &[1.0, 0.0]);
    let (_, _, _, _): (u32, u64, u64, &Path) =
        (bench.slot, bench.seed, bench.learning_steps, &bench.folder);
    assert_eq!(bench.hardware_sha256.len(), bench.context(|context| context.hardware_sha256.len()));
    assert!(bench.checkpoint.is_none() && !bench.history.is_empty());
    let mut policy: Everything = bench.create().unwrap();
    bench.episode(0, |start| policy.begin_episode(start)).unwrap();
    assert_eq!(bench.decide(&mut policy).unwrap(), [0, 0, 0]);
    let task: EndedTask = ended(0, 1, 0.5);
    let learned: Progress = bench.learn(&mut policy, &[0, 0, 0], &[task]).unwrap();
    assert_eq!((learned.updates, policy.diagnostics()[0].1), (1, 1.0));
    let saved = policy.save().unwrap();
    policy.load(&saved).unwrap();
    policy.set_parameters(0, &[-1.0]).unwrap();
    assert_eq!(bench.decide(&mut policy).unwrap(), [1, 1, 1]);

    let mut explorer: Explores = Bench::new(3, 2).create_explorer().unwrap();
    let request = ExportRequest { format: "text".into(), network: 0, name: "x".into() };
    let exported = Everything::export(&saved, &request).unwrap();
    assert_eq!(exported[0].name, "x_0.text");
    let none = Progress { updates: 0, recent_updates: 0, loss: 0.0 };
    assert_eq!(bench.propose(&mut explorer, &none).unwrap(), [0, 0, 0]);
}

#[test]
fn needs_and_capabilities_are_sets() {
    let needs = Needs::from_bits(Everything::NEEDS.bits());
    assert!(needs.includes(Needs::LENGTH) && needs.names().len() == 6);
    let all = Capabilities::NONE.and(Capabilities::SAVED).and(Capabilities::ANY_SYSTEM);
    assert!(Capabilities::from_bits(all.bits()).has(Capabilities::SAVED));
    assert_eq!(all.names().len(), 2);
    assert_eq!(Error::from("it").message(), "it");
}
