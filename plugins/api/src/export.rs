//! The plugin's side of the boundary: what [`register_policy!`](crate::register_policy) and
//! [`export_plugin!`](crate::export_plugin) expand to.
//!
//! A panic inside an abi_stable trait method would abort the host, so none gets there: every
//! call into what the author wrote, its drop included, runs in `guard`, and comes back as a
//! [`CallError`] that says where it panicked.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_trait::prelude::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RSlice, RSliceMut, RStr, RVec};

use crate::author::{Error, Explorer, Learner, Policy, Saved, Student, ValueFunction};
use crate::boundary::{
    CallError, CallResult, Capabilities, ENTRY_EXPLORER, ENTRY_POLICY, ExplorerBox,
    INTERFACE_VERSION, MAGIC, Manifest, ManifestEntry, PluginModule, PluginModuleRef, PolicyBox,
    RawExplorer, RawExplorer_TO, RawPolicy, RawPolicy_TO,
};
use crate::data::{Context, EpisodeStart, Needs, Observation, Progress, TransitionBatch};

/// A policy or explorer of this library; `inventory` collects them, there is no list anywhere.
#[derive(Debug)]
pub struct Registration {
    /// Its name in scenarios.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What it reads.
    pub needs: Needs,
    /// How to create it.
    pub create: Create,
}

/// How to create what was registered.
#[derive(Clone, Copy, Debug)]
pub enum Create {
    /// A policy with these capabilities.
    Policy(Capabilities, fn(&Context<'_>) -> Result<PolicyBox, Error>),
    /// An explorer.
    Explorer(fn(&Context<'_>) -> Result<ExplorerBox, Error>),
}

inventory::collect!(Registration);

/// Which capabilities `P` was registered with, as the ways to reach them.
pub struct Table<P> {
    saved: Option<SavedTable<P>>,
    learner: Option<LearnerTable<P>>,
    values: Option<ValuesCall<P>>,
    fit: Option<FitCall<P>>,
}

type SaveCall<P> = fn(&P) -> Result<Vec<u8>, Error>;
type SavedTable<P> = (SaveCall<P>, SaveCall<P>, fn(&mut P, &[u8]) -> Result<(), Error>);
type LearnerTable<P> =
    (fn(&mut P, &TransitionBatch<'_>) -> Result<(), Error>, fn(&mut P) -> Result<Progress, Error>);
type ValuesCall<P> = fn(&mut P, &Observation<'_>, &mut [f32]) -> Result<(), Error>;
type FitCall<P> = fn(&mut P, &Observation<'_>, &[f32]) -> Result<f64, Error>;

impl<P> std::fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl<P: Policy> Table<P> {
    /// It only decides.
    pub const NONE: Self = Self { saved: None, learner: None, values: None, fit: None };

    /// The capabilities, as the manifest states them.
    pub const fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::NONE;
        if self.saved.is_some() {
            all = all.and(Capabilities::SAVED);
        }
        if self.learner.is_some() {
            all = all.and(Capabilities::LEARNER);
        }
        if self.values.is_some() {
            all = all.and(Capabilities::VALUE_FUNCTION);
        }
        if self.fit.is_some() {
            all = all.and(Capabilities::STUDENT);
        }
        all
    }

    /// And it can be saved.
    #[must_use]
    pub const fn saved(self) -> Self
    where
        P: Saved,
    {
        Self { saved: Some((P::checkpoint, P::save, P::load)), ..self }
    }

    /// And it learns.
    #[must_use]
    pub const fn learner(self) -> Self
    where
        P: Learner,
    {
        Self { learner: Some((P::record, P::learn)), ..self }.saved()
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
}

/// Creates a policy and wraps it for the boundary.
///
/// # Errors
/// The author's own.
pub fn policy<P: Policy>(
    context: &Context<'_>,
    table: &'static Table<P>,
) -> Result<PolicyBox, Error> {
    let inner = Owned::new(P::create(context)?);
    Ok(RawPolicy_TO::from_value(GuardedPolicy { inner, table }, TD_Opaque))
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

/// A plugin has a standard library of its own, so this hook hears the plugin's panics only: it
/// keeps the message for the host instead of printing it in the middle of a table.
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

/// Runs `call`; an error or a panic comes back as a [`CallError`].
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

fn lacking<T>(capability: &str) -> CallResult<T> {
    failed(&format!("it has no capability {capability}"), false)
}

/// What the author wrote; its drop can't panic across the boundary either.
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
    fn begin_episode(&mut self, start: &EpisodeStart) -> CallResult<()> {
        guard(|| self.inner.0.begin_episode(start))
    }

    fn decide(
        &mut self,
        observation: &Observation<'_>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<()> {
        guard(|| self.inner.0.decide(observation, actions.as_mut_slice()))
    }

    fn end_episode(&mut self) -> CallResult<()> {
        guard(|| self.inner.0.end_episode())
    }

    fn checkpoint(&self) -> CallResult<RVec<u8>> {
        let Some((checkpoint, ..)) = self.table.saved else { return lacking("saved") };
        guard(|| checkpoint(&self.inner.0).map(RVec::from))
    }

    fn save(&self) -> CallResult<RVec<u8>> {
        let Some((_, save, _)) = self.table.saved else { return lacking("saved") };
        guard(|| save(&self.inner.0).map(RVec::from))
    }

    fn load(&mut self, bytes: RSlice<'_, u8>) -> CallResult<()> {
        let Some((.., load)) = self.table.saved else { return lacking("saved") };
        guard(|| load(&mut self.inner.0, bytes.as_slice()))
    }

    fn record(&mut self, slot: &TransitionBatch<'_>) -> CallResult<()> {
        let Some((record, _)) = self.table.learner else { return lacking("learner") };
        guard(|| record(&mut self.inner.0, slot))
    }

    fn learn(&mut self) -> CallResult<Progress> {
        let Some((_, learn)) = self.table.learner else { return lacking("learner") };
        guard(|| learn(&mut self.inner.0))
    }

    fn values(
        &mut self,
        observation: &Observation<'_>,
        mut values: RSliceMut<'_, f32>,
    ) -> CallResult<()> {
        let Some(call) = self.table.values else { return lacking("value function") };
        guard(|| call(&mut self.inner.0, observation, values.as_mut_slice()))
    }

    fn fit(&mut self, observation: &Observation<'_>, targets: RSlice<'_, f32>) -> CallResult<f64> {
        let Some(fit) = self.table.fit else { return lacking("fit to a teacher") };
        guard(|| fit(&mut self.inner.0, observation, targets.as_slice()))
    }
}

struct GuardedExplorer<E> {
    inner: Owned<E>,
}

impl<E: Explorer> RawExplorer for GuardedExplorer<E> {
    fn begin_episode(&mut self, start: &EpisodeStart) -> CallResult<()> {
        guard(|| self.inner.0.begin_episode(start))
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<f64> {
        guard(|| self.inner.0.propose(observation, progress, actions.as_mut_slice()))
    }
}

/// What is registered under a name, of the kind that `pick` picks: a policy and an explorer may
/// share one.
fn find<T>(name: RStr<'_>, pick: impl Fn(Create) -> Option<T>) -> Result<T, Error> {
    inventory::iter::<Registration>()
        .filter(|registration| registration.name == name.as_str())
        .find_map(|registration| pick(registration.create))
        .ok_or_else(|| Error::new(format!("this plugin has no such `{name}`")))
}

extern "C" fn create_policy(name: RStr<'_>, context: &Context<'_>) -> CallResult<PolicyBox> {
    let pick = |create| match create {
        Create::Policy(_, create) => Some(create),
        Create::Explorer(_) => None,
    };
    guard(|| find(name, pick)?(context))
}

extern "C" fn create_explorer(name: RStr<'_>, context: &Context<'_>) -> CallResult<ExplorerBox> {
    let pick = |create| match create {
        Create::Explorer(create) => Some(create),
        Create::Policy(..) => None,
    };
    guard(|| find(name, pick)?(context))
}

extern "C" fn root_module() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(|| -> PluginModuleRef {
        install_panic_hook();
        PluginModule { create_policy, create_explorer }.leak_into_prefix()
    })
}

// SAFETY: `root_module` gives a module of the type named here, and its layout is checked.
static HEADER: LibHeader =
    unsafe { LibHeader::from_constructor::<PluginModuleRef>(root_module, CheckTypeLayout::Yes) };

/// The manifest of this library, made on first use and never freed.
pub fn manifest(plugin: &str, version: &str) -> &'static Manifest {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let mut registered: Vec<_> = inventory::iter::<Registration>().collect();
        // Inventory's order is the linker's.
        registered.sort_by_key(|registration| {
            (registration.name, matches!(registration.create, Create::Explorer(_)))
        });
        let entries: Vec<ManifestEntry> = registered
            .into_iter()
            .map(|registration| {
                let (kind, capabilities) = match registration.create {
                    Create::Policy(capabilities, _) => (ENTRY_POLICY, capabilities.bits()),
                    Create::Explorer(_) => (ENTRY_EXPLORER, 0),
                };
                ManifestEntry {
                    kind,
                    capabilities,
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
