//! A loaded policy or explorer as an ordinary Rust trait object.
//!
//! The host trusts nothing that comes back: every row must be decided and in range, every value
//! finite. What is wrong is a [`CallFailure`] that names the policy and the call.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use abi_stable::std_types::{RErr, ROk, RStr, RVec};
use offramp_plugin::boundary::{
    CallError, CallResult, Capabilities, ExplorerBox, FreshPolicy, PolicyBox, RawDiagnostic,
    RawFile,
};
use offramp_plugin::{
    Context, Counterfactuals, EpisodeStart, ExportRequest, ExportedFile, Needs, Observation,
    Progress, SystemSpec, TransitionBatch, UNDECIDED, path_of,
};

use crate::library::Module;
use crate::offer::OfferKind;
use crate::registry::PluginRef;
use crate::watch::{self, Title};

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
    /// The fault.
    pub fault: CallFault,
}

/// A fault of a call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallFault {
    /// It returned an error.
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
    /// The episode's system has another size than the one it was created for.
    #[error(
        "created for {} devices and {} servers, and lacks the capability `any_system`: an episode \
         with {} devices and {} servers is not for it", created[0], created[1], episode[0],
        episode[1]
    )]
    OtherSystem {
        /// N and M at creation.
        created: [usize; 2],
        /// N and M of the episode.
        episode: [usize; 2],
    },
    /// It returned a value that is not finite.
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

    /// Begins an episode.
    ///
    /// # Errors
    /// [`CallFailure`], like every call here; another N or M than at creation is one, unless the
    /// policy declares `any_system`.
    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure>;

    /// Fills the rows of `actions` that are [`UNDECIDED`]; afterwards every row is 0 … M.
    ///
    /// # Errors
    /// [`CallFailure`]; rows left undecided or out of range are one.
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure>;

    /// Ends the episode.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn end_episode(&mut self) -> Result<(), CallFailure>;

    /// The files it reads by itself, besides its checkpoint.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn files(&self) -> Result<Vec<PathBuf>, CallFailure>;

    /// An instance as it was when it was created, at little cost; `None` if it has no such way and
    /// another one is to be created instead. Not to be asked for once it has played.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn fresh(&self) -> Result<Option<Box<dyn Policy>>, CallFailure> {
        Ok(None)
    }

    /// Its saving and loading, if it can.
    fn saved(&mut self) -> Option<&mut dyn Saved>;

    /// Its learning, if it can.
    fn learner(&mut self) -> Option<&mut dyn Learner>;

    /// Its values, if it has any.
    fn value_function(&mut self) -> Option<&mut dyn ValueFunction>;

    /// Its learning from a teacher, if it can.
    fn student(&mut self) -> Option<&mut dyn Student>;

    /// Its parameters as vectors, if it can.
    fn mergeable(&mut self) -> Option<&mut dyn Mergeable> {
        None
    }
}

/// See [`offramp_plugin::Saved`].
pub trait Saved {
    /// Everything deciding needs: a file from which the policy can be created.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn checkpoint(&self) -> Result<Vec<u8>, CallFailure>;

    /// Everything needed to continue bit-identically.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn save(&self) -> Result<Vec<u8>, CallFailure>;

    /// Continues from there.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn load(&mut self, bytes: &[u8]) -> Result<(), CallFailure>;

    /// What shows how well it learns, by name: means since the last call, all finite.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn diagnostics(&mut self) -> Result<Vec<(String, f64)>, CallFailure>;

    /// Bytes that learning will need at most; 0 if it does not know.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn memory(&self) -> Result<u64, CallFailure>;
}

/// See [`offramp_plugin::Learner`].
pub trait Learner {
    /// Receives a slot of a training episode that is over.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), CallFailure>;

    /// Lets it learn.
    ///
    /// # Errors
    /// [`CallFailure`]; a loss that is not finite is one.
    fn learn(&mut self) -> Result<Progress, CallFailure>;

    /// Of how many tasks of each training episode it wants the counterfactuals.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn judged_tasks(&self) -> Result<u64, CallFailure>;

    /// Receives the counterfactuals of tasks of a training episode.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn judge(&mut self, counterfactuals: &Counterfactuals<'_>) -> Result<(), CallFailure>;
}

/// See [`offramp_plugin::ValueFunction`].
pub trait ValueFunction {
    /// Fills `values`, rows × (M + 1), with finite Q.
    ///
    /// # Errors
    /// [`CallFailure`]; a value that is not finite is one.
    fn values(
        &mut self,
        observation: &Observation<'_>,
        values: &mut [f32],
    ) -> Result<(), CallFailure>;
}

/// See [`offramp_plugin::Student`].
pub trait Student {
    /// Takes one step towards `targets`, rows × (M + 1); returns the loss before it.
    ///
    /// # Errors
    /// [`CallFailure`]; a loss that is not finite is one.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, CallFailure>;
}

/// See [`offramp_plugin::Mergeable`].
pub trait Mergeable {
    /// How many networks it has.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn networks(&self) -> Result<usize, CallFailure>;

    /// The parameters of a network, all finite.
    ///
    /// # Errors
    /// [`CallFailure`]; a network that it does not have, or a parameter that is not finite, is
    /// one.
    fn parameters(&self, network: usize) -> Result<Vec<f32>, CallFailure>;

    /// Replaces the parameters of a network.
    ///
    /// # Errors
    /// [`CallFailure`]; a network that it does not have, another number of parameters than it
    /// has, or a parameter that is not finite, is one, before anything is replaced.
    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), CallFailure>;
}

/// See [`offramp_plugin::Explorer`].
pub trait Explorer: Send {
    /// Which parts of an observation it reads.
    fn needs(&self) -> Needs;

    /// Begins an episode.
    ///
    /// # Errors
    /// [`CallFailure`]; another N or M than at creation is one, unless the explorer declares
    /// `any_system`.
    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure>;

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

    /// The files it reads by itself.
    ///
    /// # Errors
    /// [`CallFailure`].
    fn files(&self) -> Result<Vec<PathBuf>, CallFailure>;
}

impl PluginRef {
    /// Creates the policy.
    ///
    /// # Errors
    /// [`CallFailure`] with what is wrong with its parameters or checkpoint.
    pub fn create_policy(&self, context: &Context<'_>) -> Result<Box<dyn Policy>, CallFailure> {
        let Self { library, offer } = self;
        let site = self.call_site(context.system);
        let raw = site.call(&"create", || match library.module {
            Module::Native(module) => {
                module.create_policy()(RStr::from(&*offer.name), context.into())
            }
            Module::Table(table) => table.create_policy(&offer.name, context),
        })?;
        let raw = ManuallyDrop::new(raw);
        let (needs, capabilities) = (offer.needs, offer.capabilities);
        Ok(Box::new(LoadedPolicy { raw, site, needs, capabilities }))
    }

    /// Creates the explorer.
    ///
    /// # Errors
    /// [`CallFailure`] with what is wrong with its parameters.
    pub fn create_explorer(&self, context: &Context<'_>) -> Result<Box<dyn Explorer>, CallFailure> {
        let Self { library, offer } = self;
        let site = self.call_site(context.system);
        let raw = site.call(&"create", || match library.module {
            Module::Native(module) => {
                module.create_explorer()(RStr::from(&*offer.name), context.into())
            }
            Module::Table(table) => table.create_explorer(&offer.name, context),
        })?;
        let raw = ManuallyDrop::new(raw);
        Ok(Box::new(LoadedExplorer { raw, site, needs: offer.needs }))
    }

    /// The formats in which the policy exports its checkpoints; none if it is not exportable.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn export_formats(&self) -> Result<Vec<String>, CallFailure> {
        let Self { library, offer } = self;
        if !offer.capabilities.has(Capabilities::EXPORTABLE) {
            return Ok(Vec::new());
        }
        let formats = self.bare_site().call(&"formats", || match library.module {
            Module::Native(module) => module.export_formats()(RStr::from(&*offer.name)),
            Module::Table(table) => table.export_formats(&offer.name),
        })?;
        Ok(formats.into_iter().map(Into::into).collect())
    }

    /// Exports a network of one of the policy's checkpoints. No instance is created.
    ///
    /// # Errors
    /// [`CallFailure`] with what is wrong with the checkpoint; a format that it does not have,
    /// no file, a file twice and a file name with a folder are one too.
    pub fn export(
        &self,
        checkpoint: &[u8],
        request: &ExportRequest<'_>,
    ) -> Result<Vec<ExportedFile>, CallFailure> {
        let (Self { library, offer }, site) = (self, self.bare_site());
        let fault = |text: String| site.failure("export", CallFault::Error(text));
        let formats = self.export_formats()?;
        if formats.is_empty() {
            return Err(fault("it lacks the capability `exportable`".to_owned()));
        }
        if !formats.iter().any(|format| format == request.format.as_str()) {
            let (format, formats) = (request.format, formats.join(", "));
            return Err(fault(format!("it has no format `{format}` (it has: {formats})")));
        }
        let files = site.call(&"export", || match library.module {
            Module::Native(module) => {
                module.export()(RStr::from(&*offer.name), checkpoint.into(), request.into())
            }
            Module::Table(table) => table.export(&offer.name, checkpoint.into(), request),
        })?;
        let mut names = BTreeSet::new();
        for RawFile { name, .. } in &files {
            if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\\']) {
                return Err(fault(format!("`{name}` is not a valid file name without a folder")));
            }
            if !names.insert(name.as_str()) {
                return Err(fault(format!("it exported `{name}` twice")));
            }
        }
        if names.is_empty() {
            return Err(fault("it exported no file".to_owned()));
        }
        let files = files.into_iter().map(|RawFile { name, bytes, note }| ExportedFile {
            name: name.into(),
            bytes: bytes.into(),
            note: note.into(),
        });
        Ok(files.collect())
    }

    fn call_site(&self, system: &SystemSpec<'_>) -> CallSite {
        let (devices, servers) = (system.devices(), system.servers());
        let mut site = self.bare_site();
        (site.created, site.servers) = ([devices, servers], servers as u32);
        site
    }

    /// For calls that no instance is needed for.
    fn bare_site(&self) -> CallSite {
        CallSite {
            kind: self.offer.kind,
            name: self.offer.name.clone(),
            title: watch::title(format!("{} `{}`", self.offer.kind.name(), self.offer.name)),
            any_system: self.offer.capabilities.has(Capabilities::ANY_SYSTEM),
            created: [0, 0],
            servers: 0,
        }
    }
}

/// The plugin that is called, for messages, and the bounds its answers are checked against.
#[derive(Clone)]
struct CallSite {
    kind: OfferKind,
    name: String,
    title: Title,
    any_system: bool,
    /// N and M at creation.
    created: [usize; 2],
    /// M of the episode at hand.
    servers: u32,
}

impl CallSite {
    /// Takes the system of an episode.
    fn enter(&mut self, system: &SystemSpec<'_>) -> Result<(), CallFailure> {
        let (created, episode) = (self.created, [system.devices(), system.servers()]);
        if created != episode && !self.any_system {
            let fault = CallFault::OtherSystem { created, episode };
            return Err(self.failure("begin_episode", fault));
        }
        self.servers = system.servers() as u32;
        Ok(())
    }

    /// Calls the plugin.
    #[inline]
    fn call<T>(
        &self,
        call: &'static &'static str,
        work: impl FnOnce() -> CallResult<T>,
    ) -> Result<T, CallFailure> {
        match watch::during(self.title, call, work) {
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

    fn finite(&self, call: &'static str, what: &str, value: f64) -> Result<(), CallFailure> {
        if value.is_finite() {
            return Ok(());
        }
        Err(self.failure(call, CallFault::Error(format!("its {what} is {value}"))))
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
    raw: ManuallyDrop<PolicyBox>,
    site: CallSite,
    needs: Needs,
    capabilities: Capabilities,
}

impl LoadedPolicy {
    fn capable(&mut self, capability: Capabilities) -> Option<&mut Self> {
        self.capabilities.has(capability).then_some(self)
    }
}

impl Drop for LoadedPolicy {
    fn drop(&mut self) {
        // SAFETY: it is dropped here alone, and not used after it.
        watch::during(self.site.title, &"drop", || unsafe { ManuallyDrop::drop(&mut self.raw) });
    }
}

impl Policy for LoadedPolicy {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure> {
        self.site.enter(start.system)?;
        self.site.call(&"begin_episode", || self.raw.begin_episode(start.into()))
    }

    #[inline]
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        self.site.call(&"decide", || self.raw.decide(observation.into(), actions.into()))?;
        // UNDECIDED is out of range too.
        if actions.iter().any(|&action| action > self.site.servers) {
            return Err(self.site.bad_action("decide", observation, actions));
        }
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), CallFailure> {
        self.site.call(&"end_episode", || self.raw.end_episode())
    }

    fn files(&self) -> Result<Vec<PathBuf>, CallFailure> {
        self.site.call(&"files", || self.raw.files()).map(paths)
    }

    fn fresh(&self) -> Result<Option<Box<dyn Policy>>, CallFailure> {
        let fresh = self.site.call(&"fresh", || self.raw.fresh())?.into_option();
        let (needs, capabilities) = (self.needs, self.capabilities);
        Ok(fresh.map(|FreshPolicy { policy }| {
            let (raw, site) = (ManuallyDrop::new(policy), self.site.clone());
            Box::new(Self { raw, site, needs, capabilities }) as Box<dyn Policy>
        }))
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

    fn mergeable(&mut self) -> Option<&mut dyn Mergeable> {
        self.capable(Capabilities::MERGEABLE).map(|this| this as _)
    }
}

impl Saved for LoadedPolicy {
    fn checkpoint(&self) -> Result<Vec<u8>, CallFailure> {
        self.site.call(&"checkpoint", || self.raw.checkpoint()).map(Into::into)
    }

    fn save(&self) -> Result<Vec<u8>, CallFailure> {
        self.site.call(&"save", || self.raw.save()).map(Into::into)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CallFailure> {
        self.site.call(&"load", || self.raw.load(bytes.into()))
    }

    fn diagnostics(&mut self) -> Result<Vec<(String, f64)>, CallFailure> {
        let raw = self.site.call(&"diagnostics", || self.raw.diagnostics())?;
        let named = raw.into_iter().map(|RawDiagnostic { name, value }| (name.into(), value));
        Ok(named.filter(|(_, value)| value.is_finite()).collect())
    }

    fn memory(&self) -> Result<u64, CallFailure> {
        self.site.call(&"memory", || self.raw.memory())
    }
}

impl Learner for LoadedPolicy {
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), CallFailure> {
        self.site.call(&"record", || self.raw.record(slot.into()))
    }

    fn learn(&mut self) -> Result<Progress, CallFailure> {
        let mut progress = Progress::default();
        self.site.call(&"learn", || self.raw.learn((&mut progress).into()))?;
        if progress.recent_updates > 0 {
            self.site.finite("learn", "loss", progress.loss)?;
        }
        Ok(progress)
    }

    fn judged_tasks(&self) -> Result<u64, CallFailure> {
        self.site.call(&"judged_tasks", || self.raw.judged_tasks())
    }

    fn judge(&mut self, counterfactuals: &Counterfactuals<'_>) -> Result<(), CallFailure> {
        self.site.call(&"judge", || self.raw.judge(counterfactuals.into()))
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
        self.site.call(&"values", || self.raw.values(observation.into(), values.into()))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let columns = self.site.servers as usize + 1;
                let fault = CallFault::NotFinite {
                    slot: observation.slot,
                    row: at / columns,
                    column: at % columns,
                    value: f64::from(values[at]),
                };
                Err(self.site.failure("values", fault))
            }
        }
    }
}

impl Student for LoadedPolicy {
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, CallFailure> {
        let loss = self.site.call(&"fit", || self.raw.fit(observation.into(), targets.into()))?;
        self.site.finite("fit", "loss", loss)?;
        Ok(loss)
    }
}

impl LoadedPolicy {
    fn network(&self, call: &'static str, network: usize) -> Result<(), CallFailure> {
        let networks = self.networks()?;
        if network < networks {
            return Ok(());
        }
        let plural = if networks == 1 { "" } else { "s" };
        let text = format!("it has {networks} network{plural}; network {network} does not exist");
        Err(self.site.failure(call, CallFault::Error(text)))
    }

    fn finite(
        &self,
        call: &'static str,
        network: usize,
        parameters: &[f32],
    ) -> Result<(), CallFailure> {
        let Some(at) = parameters.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let text = format!("parameter {at} of network {network} is {}", parameters[at]);
        Err(self.site.failure(call, CallFault::Error(text)))
    }
}

impl Mergeable for LoadedPolicy {
    fn networks(&self) -> Result<usize, CallFailure> {
        self.site.call(&"networks", || self.raw.networks())
    }

    fn parameters(&self, network: usize) -> Result<Vec<f32>, CallFailure> {
        self.network("parameters", network)?;
        let parameters = self.site.call(&"parameters", || self.raw.parameters(network))?;
        self.finite("parameters", network, &parameters)?;
        Ok(parameters.into())
    }

    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), CallFailure> {
        const CALL: &str = "set_parameters";
        self.network(CALL, network)?;
        // What is there now need not be finite: it is replaced.
        let now = self.site.call(&CALL, || self.raw.parameters(network))?;
        let (has, given) = (now.len(), parameters.len());
        if has != given {
            let text = format!("network {network} has {has} parameters, not {given}");
            return Err(self.site.failure(CALL, CallFault::Error(text)));
        }
        self.finite(CALL, network, parameters)?;
        self.site.call(&CALL, || self.raw.set_parameters(network, parameters.into()))
    }
}

struct LoadedExplorer {
    raw: ManuallyDrop<ExplorerBox>,
    site: CallSite,
    needs: Needs,
}

impl Drop for LoadedExplorer {
    fn drop(&mut self) {
        // SAFETY: it is dropped here alone, and not used after it.
        watch::during(self.site.title, &"drop", || unsafe { ManuallyDrop::drop(&mut self.raw) });
    }
}

impl Explorer for LoadedExplorer {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure> {
        self.site.enter(start.system)?;
        self.site.call(&"begin_episode", || self.raw.begin_episode(start.into()))
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, CallFailure> {
        let rate = self.site.call(&"propose", || {
            self.raw.propose(observation.into(), progress.into(), actions.into())
        })?;
        let servers = self.site.servers;
        if actions.iter().any(|&action| action > servers && action != UNDECIDED) {
            return Err(self.site.bad_action("propose", observation, actions));
        }
        self.site.finite("propose", "rate of exploration", rate)?;
        Ok(rate)
    }

    fn files(&self) -> Result<Vec<PathBuf>, CallFailure> {
        self.site.call(&"files", || self.raw.files()).map(paths)
    }
}

fn paths(raw: RVec<RVec<u8>>) -> Vec<PathBuf> {
    raw.iter().map(|bytes| path_of(bytes)).collect()
}
