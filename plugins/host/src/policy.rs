//! A loaded policy or explorer as an ordinary Rust trait object.
//!
//! The host trusts nothing that comes back: every row must be decided and in range, every value
//! finite. What is wrong is a [`CallFailure`] that names the policy and the call.

use offramp_plugin::boundary::{CallError, CallResult, Capabilities, ExplorerBox, PolicyBox};
use offramp_plugin::{
    Context, EpisodeStart, Needs, Observation, Progress, TransitionBatch, UNDECIDED,
};

use abi_stable::std_types::{RErr, ROk, RStr};

use crate::c;
use crate::library::{Module, OfferKind};
use crate::registry::Found;

/// A call into a plugin failed. The instance is of no further use; others are not affected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind} `{name}`, {call}: {fault}", kind = kind.name())]
pub struct CallFailure {
    /// Policy or explorer.
    pub kind: OfferKind,
    /// Its name.
    pub name: String,
    /// The call.
    pub call: &'static str,
    /// What went wrong.
    pub fault: CallFault,
}

/// What can go wrong in a call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallFault {
    /// It said so itself.
    #[error("{0}")]
    Error(String),
    /// It panicked; the panic was caught at the boundary.
    #[error("panicked: {0}")]
    Panic(String),
    /// It left rows without a decision.
    #[error("slot {slot}: left {undecided} of {rows} tasks undecided")]
    Undecided {
        /// The slot.
        slot: u32,
        /// Rows without a decision.
        undecided: usize,
        /// Rows.
        rows: usize,
    },
    /// It decided for a server that does not exist.
    #[error("slot {slot}, device {device}: action {action} is out of range 0 … {servers}")]
    OutOfRange {
        /// The slot.
        slot: u32,
        /// The device.
        device: u32,
        /// The action.
        action: u32,
        /// M.
        servers: u32,
    },
    /// It gave a value that is no number.
    #[error("slot {slot}: value {value} in row {row}, column {column}")]
    NotFinite {
        /// The slot.
        slot: u32,
        /// The row.
        row: usize,
        /// The column: the action whose value it is.
        column: usize,
        /// The value.
        value: f64,
    },
}

/// Decides; may have further capabilities. See [`offramp_plugin::Policy`].
pub trait Policy: Send {
    /// Which parts of an observation it reads.
    fn needs(&self) -> Needs;

    /// An episode begins.
    ///
    /// # Errors
    /// [`CallFailure`], like every call here.
    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), CallFailure>;

    /// Fills the rows of `actions` that are [`UNDECIDED`]; afterwards every row is 0 … M.
    ///
    /// # Errors
    /// [`CallFailure`]; rows left undecided or out of range are one.
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure>;

    /// The episode is over.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn end_episode(&mut self) -> Result<(), CallFailure>;

    /// Its saving and loading, if it can.
    fn saved(&mut self) -> Option<&mut dyn Saved>;

    /// Its learning, if it can.
    fn learner(&mut self) -> Option<&mut dyn Learner>;

    /// Its values, if it has any.
    fn value_function(&mut self) -> Option<&mut dyn ValueFunction>;

    /// Its learning from a teacher, if it can.
    fn student(&mut self) -> Option<&mut dyn Student>;
}

/// See [`offramp_plugin::Saved`].
pub trait Saved {
    /// What deciding needs: a file from which the policy can be created.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn checkpoint(&self) -> Result<Vec<u8>, CallFailure>;

    /// Everything needed to go on as if never interrupted.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn save(&self) -> Result<Vec<u8>, CallFailure>;

    /// Goes on from there.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn load(&mut self, bytes: &[u8]) -> Result<(), CallFailure>;
}

/// See [`offramp_plugin::Learner`].
pub trait Learner {
    /// A slot of a training episode is over.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), CallFailure>;

    /// Learn now, or don't.
    ///
    /// # Errors
    /// [`CallFailure`]; a loss that is no number is one.
    fn learn(&mut self) -> Result<Progress, CallFailure>;
}

/// See [`offramp_plugin::ValueFunction`].
pub trait ValueFunction {
    /// Fills `values`, rows × (M + 1), with finite Q.
    ///
    /// # Errors
    /// [`CallFailure`]; a value that is no number is one.
    fn values(
        &mut self,
        observation: &Observation<'_>,
        values: &mut [f32],
    ) -> Result<(), CallFailure>;
}

/// See [`offramp_plugin::Student`].
pub trait Student {
    /// One step towards `targets`; gives the loss before it.
    ///
    /// # Errors
    /// [`CallFailure`]; a loss that is no number is one.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, CallFailure>;
}

/// See [`offramp_plugin::Explorer`].
pub trait Explorer: Send {
    /// Which parts of an observation it reads.
    fn needs(&self) -> Needs;

    /// An episode begins.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), CallFailure>;

    /// Fills the rows it decides, and leaves the others [`UNDECIDED`].
    ///
    /// # Errors
    /// [`CallFailure`]; a row out of range is one.
    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, CallFailure>;
}

impl Found {
    /// Creates the policy.
    ///
    /// # Errors
    /// [`CallFailure`] with what is wrong with its parameters or checkpoint.
    pub fn create_policy(&self, context: &Context<'_>) -> Result<Box<dyn Policy>, CallFailure> {
        let identity = self.identity(context);
        let Self { library, offer } = self;
        let created = match library.module {
            Module::Native(module) => module.create_policy()(RStr::from(&*offer.name), context),
            Module::Table(entries) => {
                let at = library.offers.iter().position(|other| other.name == offer.name);
                // An offer stands where its entry does.
                c::create(&entries[at.unwrap_or_default()], context)
            }
        };
        let raw = identity.checked("create", created)?;
        let (needs, capabilities) = (offer.needs, offer.capabilities);
        Ok(Box::new(LoadedPolicy { raw, identity, needs, capabilities }))
    }

    /// Creates the explorer.
    ///
    /// # Errors
    /// [`CallFailure`] with what is wrong with its parameters.
    pub fn create_explorer(&self, context: &Context<'_>) -> Result<Box<dyn Explorer>, CallFailure> {
        let identity = self.identity(context);
        let Module::Native(module) = self.library.module else {
            let fault = CallFault::Error("there are no explorers in C".to_owned());
            return Err(identity.failure("create", fault));
        };
        let name = RStr::from(&*self.offer.name);
        let raw = identity.checked("create", module.create_explorer()(name, context))?;
        Ok(Box::new(LoadedExplorer { raw, identity, needs: self.offer.needs }))
    }

    fn identity(&self, context: &Context<'_>) -> Identity {
        let servers = context.system.servers() as u32;
        Identity { kind: self.offer.kind, name: self.offer.name.clone(), servers }
    }
}

/// Who is called, for messages, and what its answers are checked against.
struct Identity {
    kind: OfferKind,
    name: String,
    servers: u32,
}

impl Identity {
    #[inline]
    fn checked<T>(&self, call: &'static str, result: CallResult<T>) -> Result<T, CallFailure> {
        match result {
            ROk(value) => Ok(value),
            RErr(error) => Err(self.call_error(call, error)),
        }
    }

    #[cold]
    fn call_error(&self, call: &'static str, error: CallError) -> CallFailure {
        let message = error.message.into_string();
        let fault =
            if error.panicked { CallFault::Panic(message) } else { CallFault::Error(message) };
        self.failure(call, fault)
    }

    #[cold]
    fn failure(&self, call: &'static str, fault: CallFault) -> CallFailure {
        CallFailure { kind: self.kind, name: self.name.clone(), call, fault }
    }

    fn finite(&self, call: &'static str, value: f64) -> Result<(), CallFailure> {
        if value.is_finite() {
            return Ok(());
        }
        Err(self.failure(call, CallFault::Error(format!("its loss is {value}"))))
    }

    #[cold]
    fn bad_action(
        &self,
        call: &'static str,
        observation: &Observation<'_>,
        actions: &[u32],
    ) -> CallFailure {
        let (slot, servers) = (observation.slot, self.servers);
        let undecided = actions.iter().filter(|action| **action == UNDECIDED).count();
        let wild = (0..).zip(actions).find(|&(_, &action)| action != UNDECIDED && action > servers);
        let fault = match wild {
            Some((row, &action)) => {
                let device = observation.devices.get(row).copied().unwrap_or_default();
                CallFault::OutOfRange { slot, device, action, servers }
            }
            None => CallFault::Undecided { slot, undecided, rows: actions.len() },
        };
        self.failure(call, fault)
    }
}

struct LoadedPolicy {
    raw: PolicyBox,
    identity: Identity,
    needs: Needs,
    capabilities: Capabilities,
}

impl LoadedPolicy {
    fn capable(&mut self, capability: Capabilities) -> Option<&mut Self> {
        self.capabilities.has(capability).then_some(self)
    }
}

impl Policy for LoadedPolicy {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), CallFailure> {
        self.identity.checked("begin_episode", self.raw.begin_episode(start))
    }

    #[inline]
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        let result = self.raw.decide(observation, actions.into());
        self.identity.checked("decide", result)?;
        // UNDECIDED is out of range too.
        if actions.iter().any(|&action| action > self.identity.servers) {
            return Err(self.identity.bad_action("decide", observation, actions));
        }
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), CallFailure> {
        self.identity.checked("end_episode", self.raw.end_episode())
    }

    fn saved(&mut self) -> Option<&mut dyn Saved> {
        self.capable(Capabilities::SAVED).map(|this| this as _)
    }

    fn learner(&mut self) -> Option<&mut dyn Learner> {
        self.capable(Capabilities::LEARNER).map(|this| this as _)
    }

    fn value_function(&mut self) -> Option<&mut dyn ValueFunction> {
        self.capable(Capabilities::VALUE_FUNCTION).map(|this| this as _)
    }

    fn student(&mut self) -> Option<&mut dyn Student> {
        self.capable(Capabilities::STUDENT).map(|this| this as _)
    }
}

impl Saved for LoadedPolicy {
    fn checkpoint(&self) -> Result<Vec<u8>, CallFailure> {
        self.identity.checked("checkpoint", self.raw.checkpoint()).map(Into::into)
    }

    fn save(&self) -> Result<Vec<u8>, CallFailure> {
        self.identity.checked("save", self.raw.save()).map(Into::into)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CallFailure> {
        self.identity.checked("load", self.raw.load(bytes.into()))
    }
}

impl Learner for LoadedPolicy {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), CallFailure> {
        self.identity.checked("record", self.raw.record(slot))
    }

    fn learn(&mut self) -> Result<Progress, CallFailure> {
        let progress = self.identity.checked("learn", self.raw.learn())?;
        self.identity.finite("learn", progress.loss)?;
        Ok(progress)
    }
}

impl ValueFunction for LoadedPolicy {
    fn values(
        &mut self,
        observation: &Observation<'_>,
        values: &mut [f32],
    ) -> Result<(), CallFailure> {
        // What is not filled must not pass for a value.
        values.fill(f32::NAN);
        let result = self.raw.values(observation, values.into());
        self.identity.checked("values", result)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let columns = self.identity.servers as usize + 1;
                let fault = CallFault::NotFinite {
                    slot: observation.slot,
                    row: at / columns,
                    column: at % columns,
                    value: f64::from(values[at]),
                };
                Err(self.identity.failure("values", fault))
            }
        }
    }
}

impl Student for LoadedPolicy {
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, CallFailure> {
        let result = self.raw.fit(observation, targets.into());
        let loss = self.identity.checked("fit", result)?;
        self.identity.finite("fit", loss)?;
        Ok(loss)
    }
}

struct LoadedExplorer {
    raw: ExplorerBox,
    identity: Identity,
    needs: Needs,
}

impl Explorer for LoadedExplorer {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn begin_episode(&mut self, start: &EpisodeStart) -> Result<(), CallFailure> {
        self.identity.checked("begin_episode", self.raw.begin_episode(start))
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, CallFailure> {
        let result = self.raw.propose(observation, progress, actions.into());
        let rate = self.identity.checked("propose", result)?;
        let servers = self.identity.servers;
        if actions.iter().any(|&action| action > servers && action != UNDECIDED) {
            return Err(self.identity.bad_action("propose", observation, actions));
        }
        self.identity.finite("propose", rate)?;
        Ok(rate)
    }
}
