//! For the unit tests of a policy: a small system in which the test says what is seen.
//!
//! ```
//! use offramp_plugin::testing::Bench;
//! # use offramp_plugin::{Context, Error, Needs, Observation, Policy};
//! # struct LeastLoaded;
//! # impl Policy for LeastLoaded {
//! #     const NEEDS: Needs = Needs::LOAD;
//! #     fn create(_: &Context<'_>) -> Result<Self, Error> {
//! #         Ok(Self)
//! #     }
//! #     fn decide(&mut self, seen: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
//! #         let load = seen.load.as_slice();
//! #         let least = (1..).zip(load).min_by(|a, b| a.1.total_cmp(b.1));
//! #         actions.fill(least.map_or(0, |(server, _)| server));
//! #         Ok(())
//! #     }
//! # }
//! let mut bench = Bench::new(2, 3); // two devices, each with a task; three servers
//! let mut policy: LeastLoaded = bench.create().unwrap();
//! bench.load = vec![4.0, 1.0, 2.0];
//! assert_eq!(bench.decide(&mut policy).unwrap(), [2, 2]);
//! ```

use abi_stable::std_types::RSlice;

use crate::author::{Error, Explorer, Learner, Policy};
use crate::data::{
    Context, EndedTask, EnergyAccounting, Feature, Observation, ObservationSpec, Progress,
    SystemSpec, TransitionBatch, UNDECIDED,
};

/// A system with the paper's values in which every device has a task of 4 Mbit and nothing is
/// busy, until the test says otherwise.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The scenario's `parameters`, RON.
    pub parameters: String,
    /// The scenario's `checkpoint`.
    pub checkpoint: Option<Vec<u8>>,
    /// The seed at creation.
    pub seed: u64,
    /// t.
    pub slot: u32,
    /// What each device knows; its features are those of the paper, made of this.
    pub tasks: Vec<Task>,
    /// m(t−1): devices active at each server, M.
    pub load: Vec<f64>,
    /// h: K × M, oldest slot first.
    pub history: Vec<f64>,
    /// R to each server, of every device, Mbit/s: M.
    pub uplink_mbps: Vec<f64>,
    features: Vec<Feature>,
    device: Vec<f64>,
    watts: [Vec<f64>; 3],
    servers: Vec<f64>,
}

/// A task that waits for its decision, and what its device knows. Units as in
/// [`Known`](crate::Known).
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// λ, Mbit.
    pub size_mbit: f64,
    /// τ^C, slots.
    pub compute_queue_slots: f64,
    /// τ^T, slots.
    pub uplink_queue_slots: f64,
    /// B^E_j, Mbit.
    pub backlog_mbit: Vec<f64>,
    /// α.
    pub alpha: f64,
    /// ρ, Gcycles per Mbit.
    pub density: f64,
    /// D_max, slots.
    pub deadline_slots: f64,
}

/// K.
const HISTORY_SLOTS: usize = 10;

impl Bench {
    /// With so many devices and servers.
    pub fn new(devices: usize, servers: usize) -> Self {
        let feature = |name: String, scale| Feature { name: name.into(), scale };
        let mut features = vec![
            feature("size_mbit".to_owned(), 7.0),
            feature("compute_queue_slots".to_owned(), 10.0),
            feature("uplink_queue_slots".to_owned(), 10.0),
        ];
        let backlog = (1..=servers).map(|j| feature(format!("server_{j}_backlog_mbit"), 7.0));
        features.extend(backlog);
        features.push(feature("alpha".to_owned(), 1.0));
        let task = Task {
            size_mbit: 4.0,
            compute_queue_slots: 0.0,
            uplink_queue_slots: 0.0,
            backlog_mbit: vec![0.0; servers],
            alpha: 0.5,
            density: 0.297,
            deadline_slots: 10.0,
        };
        Self {
            parameters: String::new(),
            checkpoint: None,
            seed: 1,
            slot: 0,
            tasks: vec![task; devices],
            load: vec![0.0; servers],
            history: vec![0.0; HISTORY_SLOTS * servers],
            uplink_mbps: vec![14.0; servers],
            features,
            device: vec![2.6; devices],
            watts: [2.0, 2.3, 0.1].map(|watts| vec![watts; devices]),
            servers: vec![42.0; servers],
        }
    }

    /// Creates the policy.
    ///
    /// # Errors
    /// Its own.
    pub fn create<P: Policy>(&self) -> Result<P, Error> {
        P::create(&self.context())
    }

    /// Creates the explorer.
    ///
    /// # Errors
    /// Its own.
    pub fn create_explorer<E: Explorer>(&self) -> Result<E, Error> {
        E::create(&self.context())
    }

    /// What the policy decides, an action a device.
    ///
    /// # Errors
    /// Its own.
    pub fn decide<P: Policy>(&self, policy: &mut P) -> Result<Vec<u32>, Error> {
        let mut actions = vec![UNDECIDED; self.tasks.len()];
        self.seen(|observation| policy.decide(observation, &mut actions))?;
        Ok(actions)
    }

    /// What the explorer proposes, an action or [`UNDECIDED`] a device.
    ///
    /// # Errors
    /// Its own.
    pub fn propose<E: Explorer>(
        &self,
        explorer: &mut E,
        progress: &Progress,
    ) -> Result<Vec<u32>, Error> {
        let mut actions = vec![UNDECIDED; self.tasks.len()];
        self.seen(|observation| explorer.propose(observation, progress, &mut actions))?;
        Ok(actions)
    }

    /// Tells the learner of a slot in which `actions` were taken and `ended` ended, and lets it
    /// learn.
    ///
    /// # Errors
    /// Its own.
    pub fn learn<L: Learner>(
        &self,
        learner: &mut L,
        actions: &[u32],
        ended: &[EndedTask],
    ) -> Result<Progress, Error> {
        self.seen(|&observation| {
            learner.record(&TransitionBatch {
                observation,
                actions: actions.into(),
                ended: ended.into(),
            })
        })?;
        learner.learn()
    }

    fn context(&self) -> Context<'_> {
        let Self { features, device, watts: [compute_w, transmit_w, idle_w], servers, .. } = self;
        Context {
            parameters: self.parameters.as_str().into(),
            checkpoint: self.checkpoint.as_deref().map(RSlice::from).into(),
            scenario_sha256: "".into(),
            seed: self.seed,
            threads: 1,
            observation: ObservationSpec {
                features: features.as_slice().into(),
                history_slots: HISTORY_SLOTS as u32,
                history_scale: device.len() as f64,
            },
            system: SystemSpec {
                slot_seconds: 0.1,
                deadline_slots: 10,
                arrival_slots: 100,
                device_ghz: device.as_slice().into(),
                compute_w: compute_w.as_slice().into(),
                transmit_w: transmit_w.as_slice().into(),
                idle_w: idle_w.as_slice().into(),
                server_ghz: servers.as_slice().into(),
                energy: EnergyAccounting::Published,
                reference_energy: 1.0,
            },
        }
    }

    fn seen<T>(&self, see: impl FnOnce(&Observation<'_>) -> T) -> T {
        let devices: Vec<u32> = (0..self.tasks.len() as u32).collect();
        let (mut features, mut knowledge, mut uplink) = (Vec::new(), Vec::new(), Vec::new());
        for task in &self.tasks {
            let start = features.len();
            let queues = [task.size_mbit, task.compute_queue_slots, task.uplink_queue_slots];
            features.extend(queues);
            features.extend(&task.backlog_mbit);
            features.push(task.alpha);
            knowledge.extend_from_slice(&features[start..]);
            knowledge.extend([task.density, task.deadline_slots]);
            uplink.extend(&self.uplink_mbps);
        }
        see(&Observation {
            slot: self.slot,
            devices: devices.as_slice().into(),
            features: features.as_slice().into(),
            histories: self.history.as_slice().into(),
            history_of: RSlice::EMPTY,
            knowledge: knowledge.as_slice().into(),
            load: self.load.as_slice().into(),
            uplink_mbps: uplink.as_slice().into(),
        })
    }
}

/// A task that was decided in slot 0 and has ended, as a learner is told.
pub fn ended(device: u32, action: u32, reward: f64) -> EndedTask {
    EndedTask {
        device,
        born_slot: 0,
        action,
        delay_slots: 3,
        dropped: false,
        reward,
        energy: [0.0; 4],
    }
}
