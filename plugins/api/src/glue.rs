//! Glue between what the author wrote and the boundary: [`register_policy!`](crate::register_policy)
//! and [`export_plugin!`](crate::export_plugin) expand to calls of it.
//!
//! A panic inside an abi_stable trait method would abort the host, so none gets there: every call
//! into what the author wrote, its drop included, runs in `guard`, which turns a panic into a
//! [`CallError`] with message and place.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::CString;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::OnceLock;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_trait::prelude::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, ROption, RSlice, RSliceMut, RStr, RString, RVec};

use crate::author::{
    AnySystem, Explorer, Exportable, Learner, Mergeable, Policy, Saved, Student, ValueFunction,
};
use crate::boundary::{
    ByMut, ByRef, CallError, CallResult, Capabilities, ENTRY_EXPLORER, ENTRY_POLICY, ExplorerBox,
    FreshPolicy, INTERFACE_VERSION, MAGIC, Manifest, ManifestEntry, PluginModule, PluginModuleRef,
    PolicyBox, REVISION, RawDiagnostic, RawExplorer, RawExplorer_TO, RawFile, RawPolicy,
    RawPolicy_TO,
};
use crate::data::{
    Context, Counterfactuals, EpisodeStart, ExportRequest, ExportedFile, Progress, TransitionBatch,
    bytes_of,
};
use crate::error::Error;
use crate::observation::{Needs, Observation};

/// A policy or explorer of this library; `inventory` collects them, there is no list anywhere.
#[derive(Debug)]
pub struct Registration {
    /// Its name in scenarios.
    pub name: &'static str,
    /// A one-sentence description.
    pub about: &'static str,
    /// The parts of an observation it reads.
    pub needs: Needs,
    /// How to create it.
    pub create: Create,
}

/// How to create what was registered.
#[derive(Clone, Copy, Debug)]
pub enum Create {
    /// A policy.
    Policy(PolicyEntry),
    /// An explorer with these capabilities.
    Explorer(Capabilities, fn(&Context<'_>) -> Result<ExplorerBox, Error>),
}

/// The functions of a policy that need no instance.
#[derive(Clone, Copy, Debug)]
pub struct PolicyEntry {
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// Creates an instance.
    pub create: fn(&Context<'_>) -> Result<PolicyBox, Error>,
    /// Its exports, if it is exportable.
    pub export: Option<ExportCalls>,
}

/// The functions of [`Exportable`].
#[derive(Clone, Copy, Debug)]
pub struct ExportCalls {
    formats: fn() -> &'static [&'static str],
    export: fn(&[u8], &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error>,
}

inventory::collect!(Registration);

/// Which capabilities `P` was registered with, as the ways to reach them.
pub struct Table<P> {
    saved: Option<SavedCalls<P>>,
    learner: Option<LearnerCalls<P>>,
    values: Option<ValuesCall<P>>,
    fit: Option<FitCall<P>>,
    export: Option<ExportCalls>,
    merge: Option<MergeCalls<P>>,
    any_system: bool,
}

type ValuesCall<P> = fn(&mut P, &Observation<'_>, &mut [f32]) -> Result<(), Error>;
type FitCall<P> = fn(&mut P, &Observation<'_>, &[f32]) -> Result<f64, Error>;

struct SavedCalls<P> {
    checkpoint: fn(&P) -> Result<Vec<u8>, Error>,
    save: fn(&P) -> Result<Vec<u8>, Error>,
    load: fn(&mut P, &[u8]) -> Result<(), Error>,
    diagnostics: fn(&mut P) -> Vec<(String, f64)>,
    memory: fn(&P) -> u64,
}

struct LearnerCalls<P> {
    record: fn(&mut P, &TransitionBatch<'_>) -> Result<(), Error>,
    learn: fn(&mut P) -> Result<Progress, Error>,
    judged_tasks: fn(&P) -> u64,
    judge: fn(&mut P, &Counterfactuals<'_>) -> Result<(), Error>,
}

struct MergeCalls<P> {
    networks: fn(&P) -> usize,
    parameters: fn(&P, usize) -> Result<Vec<f32>, Error>,
    set_parameters: fn(&mut P, usize, &[f32]) -> Result<(), Error>,
}

impl<P> std::fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl<P: Policy> Table<P> {
    /// It only decides.
    pub const NONE: Self = Self {
        saved: None,
        learner: None,
        values: None,
        fit: None,
        export: None,
        merge: None,
        any_system: false,
    };

    /// The capabilities, as the manifest states them.
    pub const fn capabilities(&self) -> Capabilities {
        let stated = [
            (self.saved.is_some(), Capabilities::SAVED),
            (self.learner.is_some(), Capabilities::LEARNER),
            (self.values.is_some(), Capabilities::VALUE_FUNCTION),
            (self.fit.is_some(), Capabilities::STUDENT),
            (self.export.is_some(), Capabilities::EXPORTABLE),
            (self.merge.is_some(), Capabilities::MERGEABLE),
            (self.any_system, Capabilities::ANY_SYSTEM),
        ];
        let (mut all, mut at) = (Capabilities::NONE, 0);
        while at < stated.len() {
            if stated[at].0 {
                all = all.and(stated[at].1);
            }
            at += 1;
        }
        all
    }

    /// The entry of a registration.
    pub const fn entry(&self, create: fn(&Context<'_>) -> Result<PolicyBox, Error>) -> PolicyEntry {
        PolicyEntry { capabilities: self.capabilities(), create, export: self.export }
    }

    /// And it can be saved.
    #[must_use]
    pub const fn saved(self) -> Self
    where
        P: Saved,
    {
        let calls = SavedCalls {
            checkpoint: P::checkpoint,
            save: P::save,
            load: P::load,
            diagnostics: P::diagnostics,
            memory: P::memory,
        };
        Self { saved: Some(calls), ..self }
    }

    /// And it learns.
    #[must_use]
    pub const fn learner(self) -> Self
    where
        P: Learner,
    {
        let calls = LearnerCalls {
            record: P::record,
            learn: P::learn,
            judged_tasks: P::judged_tasks,
            judge: P::judge,
        };
        Self { learner: Some(calls), ..self }.saved()
    }

    /// And it has a value for every action.
    #[must_use]
    pub const fn value_function(self) -> Self
    where
        P: ValueFunction,
    {
        Self { values: Some(P::values), ..self }
    }

    /// And it learns from a teacher.
    #[must_use]
    pub const fn student(self) -> Self
    where
        P: Student,
    {
        Self { fit: Some(P::fit), ..self }.saved()
    }

    /// And its checkpoints can be exported.
    #[must_use]
    pub const fn exportable(self) -> Self
    where
        P: Exportable,
    {
        Self { export: Some(ExportCalls { formats: P::formats, export: P::export }), ..self }
    }

    /// And its parameters can be merged.
    #[must_use]
    pub const fn mergeable(self) -> Self
    where
        P: Mergeable,
    {
        let calls = MergeCalls {
            networks: P::networks,
            parameters: P::parameters,
            set_parameters: P::set_parameters,
        };
        Self { merge: Some(calls), ..self }.saved()
    }

    /// And it copes with any system.
    #[must_use]
    pub const fn any_system(self) -> Self
    where
        P: AnySystem,
    {
        Self { any_system: true, ..self }
    }
}

/// Which capabilities the explorer `E` was registered with.
#[derive(Debug)]
pub struct ExplorerTable<E> {
    any_system: bool,
    explorer: PhantomData<fn() -> E>,
}

impl<E: Explorer> ExplorerTable<E> {
    /// It only explores.
    pub const NONE: Self = Self { any_system: false, explorer: PhantomData };

    /// The capabilities, as the manifest states them.
    pub const fn capabilities(&self) -> Capabilities {
        if self.any_system { Capabilities::ANY_SYSTEM } else { Capabilities::NONE }
    }

    /// And it copes with any system.
    #[must_use]
    pub const fn any_system(self) -> Self
    where
        E: AnySystem,
    {
        Self { any_system: true, ..self }
    }
}

/// Creates a policy and wraps it for the boundary.
///
/// # Errors
/// The author's own.
pub fn policy<P: Policy>(
    context: &Context<'_>,
    table: &'static Table<P>,
) -> Result<PolicyBox, Error> {
    Ok(boxed(P::create(context)?, table))
}

fn boxed<P: Policy>(policy: P, table: &'static Table<P>) -> PolicyBox {
    RawPolicy_TO::from_value(GuardedPolicy { inner: Owned::new(policy), table }, TD_Opaque)
}

/// Creates an explorer and wraps it for the boundary.
///
/// # Errors
/// The author's own.
pub fn explorer<E: Explorer>(context: &Context<'_>) -> Result<ExplorerBox, Error> {
    let inner = Owned::new(E::create(context)?);
    Ok(RawExplorer_TO::from_value(GuardedExplorer { inner }, TD_Opaque))
}

thread_local! {
    /// Where the panic under way on this thread happened, and what it said.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A plugin has a standard library of its own, so this hook sees the plugin's panics only: it keeps
/// the message for the host instead of printing it in the middle of a table.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let said = payload_text(panic.payload());
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        LAST_PANIC.with(|last| *last.borrow_mut() = Some(format!("{said}{place}")));
    }));
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Runs `call`; turns an error or a panic into a [`CallError`].
#[inline]
fn guard<T>(call: impl FnOnce() -> Result<T, Error>) -> CallResult<T> {
    // Unwind safety: after a panic the instance is never called again, only dropped.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => failed(error.message(), false),
        Err(payload) => {
            let message = LAST_PANIC.with(|last| last.borrow_mut().take());
            let message = message.unwrap_or_else(|| payload_text(&*payload).to_owned());
            // The payload's own drop may panic; leaking it once is the lesser evil.
            std::mem::forget(payload);
            failed(&message, true)
        }
    }
}

#[cold]
fn failed<T>(message: &str, panicked: bool) -> CallResult<T> {
    RErr(CallError { message: message.into(), panicked })
}

fn lacking<T>(capability: Capabilities) -> CallResult<T> {
    failed(&format!("it lacks the capability `{}`", capability.names().join("")), false)
}

/// The author's type; its drop can't panic across the boundary either.
struct Owned<T>(ManuallyDrop<T>);

impl<T> Owned<T> {
    fn new(inner: T) -> Self {
        Self(ManuallyDrop::new(inner))
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        let inner = &mut self.0;
        let _ = guard(|| {
            // SAFETY: `inner` is not used after this, `self` is being dropped.
            unsafe { ManuallyDrop::drop(inner) };
            Ok(())
        });
    }
}

struct GuardedPolicy<P: 'static> {
    inner: Owned<P>,
    table: &'static Table<P>,
}

impl<P: Policy> RawPolicy for GuardedPolicy<P> {
    fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()> {
        guard(|| self.inner.0.begin_episode(start.get()))
    }

    fn decide(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<()> {
        guard(|| self.inner.0.decide(observation.get(), actions.as_mut_slice()))
    }

    fn end_episode(&mut self) -> CallResult<()> {
        guard(|| self.inner.0.end_episode())
    }

    fn checkpoint(&self) -> CallResult<RVec<u8>> {
        let Some(saved) = &self.table.saved else { return lacking(Capabilities::SAVED) };
        guard(|| (saved.checkpoint)(&self.inner.0).map(RVec::from))
    }

    fn save(&self) -> CallResult<RVec<u8>> {
        let Some(saved) = &self.table.saved else { return lacking(Capabilities::SAVED) };
        guard(|| (saved.save)(&self.inner.0).map(RVec::from))
    }

    fn load(&mut self, bytes: RSlice<'_, u8>) -> CallResult<()> {
        let Some(saved) = &self.table.saved else { return lacking(Capabilities::SAVED) };
        guard(|| (saved.load)(&mut self.inner.0, bytes.as_slice()))
    }

    fn record(&mut self, slot: ByRef<'_, TransitionBatch<'_>>) -> CallResult<()> {
        let Some(learner) = &self.table.learner else { return lacking(Capabilities::LEARNER) };
        guard(|| (learner.record)(&mut self.inner.0, slot.get()))
    }

    fn learn(&mut self, progress: ByMut<'_, Progress>) -> CallResult<()> {
        let Some(learner) = &self.table.learner else { return lacking(Capabilities::LEARNER) };
        guard(|| {
            *progress.get() = (learner.learn)(&mut self.inner.0)?;
            Ok(())
        })
    }

    fn values(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        mut values: RSliceMut<'_, f32>,
    ) -> CallResult<()> {
        let Some(call) = self.table.values else { return lacking(Capabilities::VALUE_FUNCTION) };
        guard(|| call(&mut self.inner.0, observation.get(), values.as_mut_slice()))
    }

    fn fit(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        targets: RSlice<'_, f32>,
    ) -> CallResult<f64> {
        let Some(fit) = self.table.fit else { return lacking(Capabilities::STUDENT) };
        guard(|| fit(&mut self.inner.0, observation.get(), targets.as_slice()))
    }

    fn networks(&self) -> CallResult<usize> {
        let Some(merge) = &self.table.merge else { return lacking(Capabilities::MERGEABLE) };
        guard(|| Ok((merge.networks)(&self.inner.0)))
    }

    fn parameters(&self, network: usize) -> CallResult<RVec<f32>> {
        let Some(merge) = &self.table.merge else { return lacking(Capabilities::MERGEABLE) };
        guard(|| (merge.parameters)(&self.inner.0, network).map(RVec::from))
    }

    fn set_parameters(&mut self, network: usize, parameters: RSlice<'_, f32>) -> CallResult<()> {
        let Some(merge) = &self.table.merge else { return lacking(Capabilities::MERGEABLE) };
        guard(|| (merge.set_parameters)(&mut self.inner.0, network, parameters.as_slice()))
    }

    fn files(&self) -> CallResult<RVec<RVec<u8>>> {
        guard(|| Ok(raw_paths(&self.inner.0.files())))
    }

    fn fresh(&self) -> CallResult<ROption<FreshPolicy>> {
        guard(|| {
            let fresh = self.inner.0.fresh();
            Ok(fresh.map(|fresh| FreshPolicy { policy: boxed(fresh, self.table) }).into())
        })
    }

    fn diagnostics(&mut self) -> CallResult<RVec<RawDiagnostic>> {
        let Some(saved) = &self.table.saved else { return lacking(Capabilities::SAVED) };
        guard(|| {
            let diagnostics = (saved.diagnostics)(&mut self.inner.0).into_iter();
            let raw = |(name, value): (String, f64)| RawDiagnostic { name: name.into(), value };
            Ok(diagnostics.map(raw).collect())
        })
    }

    fn memory(&self) -> CallResult<u64> {
        let Some(saved) = &self.table.saved else { return lacking(Capabilities::SAVED) };
        guard(|| Ok((saved.memory)(&self.inner.0)))
    }

    fn judged_tasks(&self) -> CallResult<u64> {
        let Some(learner) = &self.table.learner else { return lacking(Capabilities::LEARNER) };
        guard(|| Ok((learner.judged_tasks)(&self.inner.0)))
    }

    fn judge(&mut self, counterfactuals: ByRef<'_, Counterfactuals<'_>>) -> CallResult<()> {
        let Some(learner) = &self.table.learner else { return lacking(Capabilities::LEARNER) };
        guard(|| (learner.judge)(&mut self.inner.0, counterfactuals.get()))
    }
}

fn raw_paths(paths: &[PathBuf]) -> RVec<RVec<u8>> {
    paths.iter().map(|path| bytes_of(path).into()).collect()
}

struct GuardedExplorer<E> {
    inner: Owned<E>,
}

impl<E: Explorer> RawExplorer for GuardedExplorer<E> {
    fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()> {
        guard(|| self.inner.0.begin_episode(start.get()))
    }

    fn propose(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        progress: ByRef<'_, Progress>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<f64> {
        let (observation, progress) = (observation.get(), progress.get());
        guard(|| self.inner.0.propose(observation, progress, actions.as_mut_slice()))
    }

    fn files(&self) -> CallResult<RVec<RVec<u8>>> {
        guard(|| Ok(raw_paths(&self.inner.0.files())))
    }
}

/// The registration under a name, of the kind that `pick` picks: a policy and an explorer may
/// share one.
fn find<T>(name: RStr<'_>, pick: impl Fn(Create) -> Option<T>) -> Result<T, Error> {
    inventory::iter::<Registration>()
        .filter(|registration| registration.name == name.as_str())
        .find_map(|registration| pick(registration.create))
        .ok_or_else(|| Error::new(format!("this plugin has no `{name}`")))
}

/// The policy of that name.
fn find_policy(name: RStr<'_>) -> Result<PolicyEntry, Error> {
    find(name, |create| match create {
        Create::Policy(entry) => Some(entry),
        Create::Explorer(..) => None,
    })
}

/// The exports of the policy of that name.
fn find_export(name: RStr<'_>) -> Result<ExportCalls, Error> {
    let lacking = || Error::new("it lacks the capability `exportable`");
    find_policy(name)?.export.ok_or_else(lacking)
}

extern "C" fn create_policy(
    name: RStr<'_>,
    context: ByRef<'_, Context<'_>>,
) -> CallResult<PolicyBox> {
    guard(|| (find_policy(name)?.create)(context.get()))
}

extern "C" fn create_explorer(
    name: RStr<'_>,
    context: ByRef<'_, Context<'_>>,
) -> CallResult<ExplorerBox> {
    let pick = |create| match create {
        Create::Explorer(_, create) => Some(create),
        Create::Policy(_) => None,
    };
    guard(|| find(name, pick)?(context.get()))
}

extern "C" fn export_formats(name: RStr<'_>) -> CallResult<RVec<RString>> {
    guard(|| {
        let formats = (find_export(name)?.formats)();
        Ok(formats.iter().map(|&format| RString::from(format)).collect())
    })
}

extern "C" fn export(
    name: RStr<'_>,
    checkpoint: RSlice<'_, u8>,
    request: ByRef<'_, ExportRequest<'_>>,
) -> CallResult<RVec<RawFile>> {
    guard(|| {
        let files = (find_export(name)?.export)(checkpoint.as_slice(), request.get())?;
        let raw = files.into_iter().map(|ExportedFile { name, bytes, note }| RawFile {
            name: name.into(),
            bytes: bytes.into(),
            note: note.into(),
        });
        Ok(raw.collect())
    })
}

extern "C" fn root_module() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(|| -> PluginModuleRef {
        install_panic_hook();
        PluginModule { create_policy, create_explorer, export_formats, export }.leak_into_prefix()
    })
}

// SAFETY: `root_module` returns a module of the type named here, and its layout is checked.
static HEADER: LibHeader =
    unsafe { LibHeader::from_constructor::<PluginModuleRef>(root_module, CheckTypeLayout::Yes) };

/// The manifest of this library, made on first use and never freed.
pub fn manifest(plugin: &str, version: &str) -> &'static Manifest {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let mut registered: Vec<_> = inventory::iter::<Registration>().collect();
        // Inventory's order is the linker's.
        registered.sort_by_key(|registration| {
            (registration.name, matches!(registration.create, Create::Explorer(..)))
        });
        let entries: Vec<ManifestEntry> = registered
            .into_iter()
            .map(|registration| {
                let (kind, capabilities) = match registration.create {
                    Create::Policy(entry) => (ENTRY_POLICY, entry.capabilities),
                    Create::Explorer(capabilities, _) => (ENTRY_EXPLORER, capabilities),
                };
                ManifestEntry {
                    kind,
                    capabilities: capabilities.bits(),
                    needs: registration.needs.bits(),
                    name: leak(registration.name),
                    about: leak(registration.about),
                }
            })
            .collect();
        let entries = Vec::leak(entries);
        Manifest {
            magic: MAGIC,
            interface_version: INTERFACE_VERSION,
            size: size_of::<Manifest>() as u32,
            revision: REVISION,
            entry_size: size_of::<ManifestEntry>() as u32,
            plugin: leak(plugin),
            version: leak(version),
            compiler: leak(env!("OFFRAMP_COMPILER")),
            target: leak(env!("OFFRAMP_TARGET")),
            entries: entries.as_ptr(),
            entry_count: entries.len(),
            header: &raw const HEADER,
        }
    })
}

/// A C text that is never freed; ends at the first NUL if it has one inside.
fn leak(text: &str) -> *const std::ffi::c_char {
    let until_nul = text.split('\0').next().unwrap_or_default();
    CString::new(until_nul).unwrap_or_default().into_raw()
}
