//! Libraries written to `offramp.h`: their policies and explorers behind the same boundary as all
//! others.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::offset_of;

use abi_stable::sabi_trait::prelude::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RSlice, RSliceMut, RStr, RString, RVec};
use offramp_plugin::boundary::{
    ByMut, ByRef, CallError, CallResult, Capabilities, ExplorerBox, PolicyBox, RawDiagnostic,
    RawExplorer, RawExplorer_TO, RawFile, RawPolicy, RawPolicy_TO,
};
use offramp_plugin::c::{
    Context, ExplorerEntry, ExportRequest, FLAG_ANY_SYSTEM, FilesFunction, Message,
    ObservationSpec, Plugin, PolicyEntry, SaveFunction,
};
use offramp_plugin::{
    self as plugin, Counterfactuals, EpisodeStart, Needs, Observation, Progress, TransitionBatch,
};

use crate::offer::{LoadError, Offer, OfferKind, c_text, check_interface, read_prefix, read_table};

/// The entries of a library, by name.
#[derive(Debug)]
pub(crate) struct Table {
    policies: Vec<(String, PolicyEntry)>,
    explorers: Vec<(String, ExplorerEntry)>,
}

/// Bytes of the structs of revision 0, each up to its last field then.
const PLUGIN_SIZE: usize = offset_of!(Plugin, explorer_size) + size_of::<usize>();
const POLICY_SIZE: usize = offset_of!(PolicyEntry, set_parameters) + size_of::<usize>();
const EXPLORER_SIZE: usize = offset_of!(ExplorerEntry, propose) + size_of::<usize>();

/// A table with more entries is damaged.
const MAX_ENTRIES: usize = 10_000;

/// Reads the table of a library.
///
/// # Safety
/// `plugin` is null, or as `offramp.h` states.
pub(crate) unsafe fn table(
    plugin: *const Plugin,
) -> Result<(Plugin, Vec<Offer>, &'static Table), LoadError> {
    let lacks = |lacks: &str| LoadError::Incomplete { lacks: lacks.to_owned() };
    if plugin.is_null() {
        return Err(lacks("table of policies and explorers"));
    }
    // SAFETY: the version stands first in every version of the header.
    let version = unsafe { (&raw const (*plugin).version).read() };
    // SAFETY: from version 2 on the revision stands second.
    let revision = (version > 1).then(|| unsafe { (&raw const (*plugin).revision).read() });
    check_interface(version, revision, "compile it again with the offramp.h of this release")?;
    // SAFETY: the library is of this version, which states its size.
    let size = unsafe { (&raw const (*plugin).size).read() };
    if size < PLUGIN_SIZE {
        return Err(lacks("valid `size` of OfframpPlugin"));
    }
    // SAFETY: it has `size` bytes; all its fields may be zero.
    let plugin = unsafe { read_prefix(plugin, size) };
    // SAFETY: what the library states of its tables is its promise.
    let (policies, explorers) = unsafe {
        let policies = (plugin.policies, plugin.policy_count, plugin.policy_size);
        let explorers = (plugin.explorers, plugin.explorer_count, plugin.explorer_size);
        (entries(policies, POLICY_SIZE), entries(explorers, EXPLORER_SIZE))
    };
    let policies = policies.ok_or_else(|| lacks("valid table of policies"))?;
    let explorers = explorers.ok_or_else(|| lacks("valid table of explorers"))?;
    // SAFETY: texts are null or C texts.
    let text = |text: *const c_char| unsafe { c_text(text) };
    let complete = |name: &str, needed: &[(&str, bool)]| match needed.iter().find(|(_, has)| !has) {
        None => Ok(()),
        Some((function, _)) => Err(lacks(&format!("`{function}` of `{name}`"))),
    };
    let (mut offers, mut table) =
        (Vec::new(), Table { policies: Vec::new(), explorers: Vec::new() });
    for entry in policies {
        let name = text(entry.name);
        let needed = [
            ("create", entry.create.is_some()),
            ("destroy", entry.destroy.is_some()),
            ("decide", entry.decide.is_some()),
        ];
        complete(&name, &needed)?;
        offers.push(Offer {
            kind: OfferKind::Policy,
            name: name.clone(),
            about: text(entry.about),
            needs: Needs::from_bits(entry.needs),
            capabilities: capabilities(&entry),
        });
        table.policies.push((name, entry));
    }
    for entry in explorers {
        let name = text(entry.name);
        let needed = [
            ("create", entry.create.is_some()),
            ("destroy", entry.destroy.is_some()),
            ("propose", entry.propose.is_some()),
        ];
        complete(&name, &needed)?;
        offers.push(Offer {
            kind: OfferKind::Explorer,
            name: name.clone(),
            about: text(entry.about),
            needs: Needs::from_bits(entry.needs),
            capabilities: flags(entry.flags),
        });
        table.explorers.push((name, entry));
    }
    // The library is never unloaded either.
    Ok((plugin, offers, Box::leak(Box::new(table))))
}

/// The entries of a table: none if it states none, `None` if what it states cannot be.
///
/// # Safety
/// If the pointer is not null, it has as many entries of that size as stated.
unsafe fn entries<T>(
    (start, count, size): (*const T, usize, usize),
    least: usize,
) -> Option<Vec<T>> {
    match count {
        0 => Some(Vec::new()),
        _ if start.is_null() || count > MAX_ENTRIES || size < least => None,
        // SAFETY: the caller's promise; all fields of an entry may be zero.
        _ => Some(unsafe { read_table(start, count, size) }),
    }
}

fn flags(flags: u32) -> Capabilities {
    if flags & FLAG_ANY_SYSTEM == 0 { Capabilities::NONE } else { Capabilities::ANY_SYSTEM }
}

fn capabilities(entry: &PolicyEntry) -> Capabilities {
    let saved = entry.checkpoint.is_some() && entry.save.is_some() && entry.load.is_some();
    let merges =
        entry.networks.is_some() && entry.parameters.is_some() && entry.set_parameters.is_some();
    let stated = [
        (saved, Capabilities::SAVED),
        (saved && entry.record.is_some() && entry.learn.is_some(), Capabilities::LEARNER),
        (entry.values.is_some(), Capabilities::VALUE_FUNCTION),
        (saved && entry.fit.is_some(), Capabilities::STUDENT),
        (
            !entry.export_formats.is_null() && entry.export_checkpoint.is_some(),
            Capabilities::EXPORTABLE,
        ),
        (saved && merges, Capabilities::MERGEABLE),
    ];
    let has = stated.into_iter().filter(|(has, _)| *has);
    has.fold(flags(entry.flags), |all, (_, capability)| all.and(capability))
}

impl Table {
    /// Creates the policy of that name.
    pub(crate) fn create_policy(
        &self,
        name: &str,
        context: &plugin::Context<'_>,
    ) -> CallResult<PolicyBox> {
        let Some((_, entry)) = self.policies.iter().find(|(other, _)| other == name) else {
            return failed(format!("this plugin has no `{name}`"));
        };
        with_context(context, |context, place, message| {
            // SAFETY: all pointers are valid for the call.
            entry.create.map(|create| unsafe { create(context, place, message) })
        })
        .map(|instance| RawPolicy_TO::from_value(Instance { entry: *entry, instance }, TD_Opaque))
    }

    /// Creates the explorer of that name.
    pub(crate) fn create_explorer(
        &self,
        name: &str,
        context: &plugin::Context<'_>,
    ) -> CallResult<ExplorerBox> {
        let Some((_, entry)) = self.explorers.iter().find(|(other, _)| other == name) else {
            return failed(format!("this plugin has no `{name}`"));
        };
        with_context(context, |context, place, message| {
            // SAFETY: all pointers are valid for the call.
            entry.create.map(|create| unsafe { create(context, place, message) })
        })
        .map(|instance| {
            RawExplorer_TO::from_value(ExplorerInstance { entry: *entry, instance }, TD_Opaque)
        })
    }

    /// The formats in which the policy of that name exports checkpoints.
    pub(crate) fn export_formats(&self, name: &str) -> CallResult<RVec<RString>> {
        let Some((_, entry)) = self.policies.iter().find(|(other, _)| other == name) else {
            return failed(format!("this plugin has no `{name}`"));
        };
        let mut formats = RVec::new();
        let mut place = entry.export_formats;
        // SAFETY: a list of C texts that ends in a null pointer.
        while let Some(&text) = unsafe { place.as_ref() }
            && !text.is_null()
        {
            // SAFETY: as above.
            formats.push(unsafe { c_text(text) }.into());
            // SAFETY: the list goes on, for this was not its end.
            place = unsafe { place.add(1) };
        }
        ROk(formats)
    }

    /// Exports a network of a checkpoint of the policy of that name.
    pub(crate) fn export(
        &self,
        name: &str,
        checkpoint: RSlice<'_, u8>,
        request: &plugin::ExportRequest<'_>,
    ) -> CallResult<RVec<RawFile>> {
        let Some((_, entry)) = self.policies.iter().find(|(other, _)| other == name) else {
            return failed(format!("this plugin has no `{name}`"));
        };
        let format = CString::new(request.format.as_str()).unwrap_or_default();
        let export_name = CString::new(request.name.as_str()).unwrap_or_default();
        let request = ExportRequest {
            format: format.as_ptr(),
            network: request.network,
            name: export_name.as_ptr(),
        };
        let (bytes, length) = (checkpoint.as_ptr(), checkpoint.len());
        let mut files: RVec<RawFile> = RVec::new();
        let sink = (&raw mut files).cast::<c_void>();
        called(|message| {
            // SAFETY: all pointers are valid for the call; `sink` is what `add_file` expects.
            entry.export_checkpoint.map(|export| unsafe {
                export(bytes, length, &raw const request, add_file, sink, message)
            })
        })
        .map(|()| files)
    }
}

/// Creates an instance from a context in plain C.
fn with_context(
    context: &plugin::Context<'_>,
    create: impl FnOnce(*const Context<'_>, *mut *mut c_void, *mut Message) -> Option<c_int>,
) -> CallResult<*mut c_void> {
    let spec = context.observation;
    let features = spec.features.as_slice();
    let scales: Vec<f64> = features.iter().map(|feature| feature.scale).collect();
    let feature_names = Texts::new(features.iter().map(|feature| feature.name.as_str()));
    let columns = |names: RSlice<'_, RStr<'_>>| Texts::new(names.iter().map(RStr::as_str));
    let task_columns = columns(spec.task_columns);
    let link_columns = columns(spec.link_columns);
    let server_columns = columns(spec.server_columns);
    let c_text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let kind = c_text(spec.kind.as_bytes());
    let folder = c_text(context.folder.as_slice());
    let checkpoint_file = c_text(context.checkpoint_file.as_slice());
    let observation = ObservationSpec {
        feature_names: feature_names.pointers.as_slice().into(),
        feature_scales: scales.as_slice().into(),
        task_columns: task_columns.pointers.as_slice().into(),
        link_columns: link_columns.pointers.as_slice().into(),
        server_columns: server_columns.pointers.as_slice().into(),
        history_slots: spec.history_slots,
        history_scale: spec.history_scale,
        kind: kind.as_ptr(),
    };
    let checkpoint = context.checkpoint.into_option();
    let context = Context {
        parameters: context.parameters.as_bytes().into(),
        checkpoint: checkpoint.map_or(std::ptr::null(), |bytes| bytes.as_ptr()),
        checkpoint_length: checkpoint.map_or(0, |bytes| bytes.len()),
        scenario_sha256: context.scenario_sha256.as_bytes().into(),
        seed: context.seed,
        threads: context.threads,
        observation: &raw const observation,
        system: context.system,
        folder: folder.as_ptr(),
        checkpoint_file: match checkpoint_file.is_empty() {
            true => std::ptr::null(),
            false => checkpoint_file.as_ptr(),
        },
        learning_steps: context.learning_steps,
        hardware_sha256: context.hardware_sha256.as_bytes().into(),
    };
    let mut instance = std::ptr::null_mut();
    let place = &raw mut instance;
    called(|message| create(&raw const context, place, message)).map(|()| instance)
}

/// C texts, and the pointers to them.
struct Texts {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Texts {
    fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let owned: Vec<CString> =
            texts.map(|text| CString::new(text).unwrap_or_default()).collect();
        let pointers = owned.iter().map(|text| text.as_ptr()).collect();
        Self { _owned: owned, pointers }
    }
}

/// Calls a function and reads its message if it fails; one that is not there has nothing to do.
fn called(call: impl FnOnce(*mut Message) -> Option<c_int>) -> CallResult<()> {
    let mut message = Message { text: [0; 256] };
    match call(&raw mut message) {
        None | Some(0) => ROk(()),
        Some(number) => {
            let text: Vec<u8> = message.text.iter().map(|&letter| letter as u8).collect();
            let text = text.split(|&letter| letter == 0).next().unwrap_or_default();
            failed(match String::from_utf8_lossy(text) {
                text if text.is_empty() => format!("it returned {number} without a reason"),
                text => text.into_owned(),
            })
        }
    }
}

#[cold]
fn failed<T>(message: String) -> CallResult<T> {
    RErr(CallError { message: message.into(), panicked: false })
}

/// An instance of a policy.
struct Instance {
    entry: PolicyEntry,
    instance: *mut c_void,
}

// SAFETY: the header asks of instances that any thread may use them, one at a time.
unsafe impl Send for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            // SAFETY: `create` made it, and nothing uses it after this.
            unsafe { destroy(self.instance) };
        }
    }
}

impl Instance {
    fn kept(&self, function: Option<SaveFunction>) -> CallResult<RVec<u8>> {
        let mut bytes: Vec<u8> = Vec::new();
        let sink = (&raw mut bytes).cast::<c_void>();
        // SAFETY: `sink` is the vector that `write` expects, for the time of the call.
        called(|message| function.map(|save| unsafe { save(self.instance, write, sink, message) }))
            .map(|()| bytes.into())
    }
}

/// Appends to the vector that `sink` is.
///
/// # Safety
/// `sink` is a `Vec<u8>`, `bytes` has `length` of them.
unsafe extern "C" fn write(sink: *mut c_void, bytes: *const u8, length: usize) {
    if bytes.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        (*sink.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, length));
    }
}

/// Appends a file to the vector that `sink` is.
///
/// # Safety
/// `sink` is an `RVec<RawFile>`, texts are null or C texts, `bytes` has `length` of them.
unsafe extern "C" fn add_file(
    sink: *mut c_void,
    name: *const c_char,
    note: *const c_char,
    bytes: *const u8,
    length: usize,
) {
    let mut content: Vec<u8> = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        write((&raw mut content).cast(), bytes, length);
        let (name, note) = (c_text(name).into(), c_text(note).into());
        (*sink.cast::<RVec<RawFile>>()).push(RawFile { name, bytes: content.into(), note });
    }
}

// SAFETY of all calls below: the instance is one that `create` made, pointers are valid for the
// call, and `actions` has a place for each row, as `values` and `targets` have for each of its
// actions.
impl RawPolicy for Instance {
    fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()> {
        let Self { entry, instance } = self;
        called(|message| {
            // SAFETY: as above.
            entry.begin_episode.map(|begin| unsafe { begin(*instance, start.get(), message) })
        })
    }

    fn decide(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<()> {
        let Self { entry, instance } = self;
        let (observation, actions) = (observation.get(), actions.as_mut_ptr());
        called(|message| {
            // SAFETY: as above.
            entry.decide.map(|decide| unsafe { decide(*instance, observation, actions, message) })
        })
    }

    fn end_episode(&mut self) -> CallResult<()> {
        let Self { entry, instance } = self;
        // SAFETY: as above.
        called(|message| entry.end_episode.map(|end| unsafe { end(*instance, message) }))
    }

    fn checkpoint(&self) -> CallResult<RVec<u8>> {
        self.kept(self.entry.checkpoint)
    }

    fn save(&self) -> CallResult<RVec<u8>> {
        self.kept(self.entry.save)
    }

    fn load(&mut self, bytes: RSlice<'_, u8>) -> CallResult<()> {
        let Self { entry, instance } = self;
        let (start, length) = (bytes.as_ptr(), bytes.len());
        // SAFETY: as above.
        called(|message| entry.load.map(|load| unsafe { load(*instance, start, length, message) }))
    }

    fn record(&mut self, slot: ByRef<'_, TransitionBatch<'_>>) -> CallResult<()> {
        let Self { entry, instance } = self;
        called(|message| {
            // SAFETY: as above.
            entry.record.map(|record| unsafe { record(*instance, slot.get(), message) })
        })
    }

    fn learn(&mut self, progress: ByMut<'_, Progress>) -> CallResult<()> {
        let Self { entry, instance } = self;
        let place = &raw mut *progress.get();
        // SAFETY: as above.
        called(|message| entry.learn.map(|learn| unsafe { learn(*instance, place, message) }))
    }

    fn values(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        mut values: RSliceMut<'_, f32>,
    ) -> CallResult<()> {
        let Self { entry, instance } = self;
        let (observation, values) = (observation.get(), values.as_mut_ptr());
        called(|message| {
            // SAFETY: as above.
            entry.values.map(|call| unsafe { call(*instance, observation, values, message) })
        })
    }

    fn fit(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        targets: RSlice<'_, f32>,
    ) -> CallResult<f64> {
        let Self { entry, instance } = self;
        let (observation, targets) = (observation.get(), targets.as_ptr());
        let mut loss = f64::NAN;
        let place = &raw mut loss;
        called(|message| {
            // SAFETY: as above.
            entry.fit.map(|fit| unsafe { fit(*instance, observation, targets, place, message) })
        })
        .map(|()| loss)
    }

    fn networks(&self) -> CallResult<usize> {
        // SAFETY: as above.
        ROk(self.entry.networks.map_or(0, |networks| unsafe { networks(self.instance) }))
    }

    fn parameters(&self, network: usize) -> CallResult<RVec<f32>> {
        let mut bytes: Vec<u8> = Vec::new();
        let sink = (&raw mut bytes).cast::<c_void>();
        let call = called(|message| {
            // SAFETY: as above; `sink` is the vector that `write` expects.
            self.entry
                .parameters
                .map(|call| unsafe { call(self.instance, network, write, sink, message) })
        });
        if let RErr(error) = call {
            return RErr(error);
        }
        match bytes.as_chunks::<4>() {
            (numbers, []) => ROk(numbers.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()),
            _ => failed(format!("its parameters are {} bytes, not whole floats", bytes.len())),
        }
    }

    fn set_parameters(&mut self, network: usize, parameters: RSlice<'_, f32>) -> CallResult<()> {
        let Self { entry, instance } = self;
        let (start, length) = (parameters.as_ptr(), parameters.len());
        called(|message| {
            // SAFETY: as above.
            entry
                .set_parameters
                .map(|set| unsafe { set(*instance, network, start, length, message) })
        })
    }

    fn files(&self) -> CallResult<RVec<RVec<u8>>> {
        // SAFETY: `create` made the instance.
        unsafe { files(self.entry.files, self.instance) }
    }

    fn diagnostics(&mut self) -> CallResult<RVec<RawDiagnostic>> {
        let mut numbers: RVec<RawDiagnostic> = RVec::new();
        let sink = (&raw mut numbers).cast::<c_void>();
        called(|message| {
            // SAFETY: as above; `sink` is the vector that `add_number` expects.
            self.entry
                .diagnostics
                .map(|call| unsafe { call(self.instance, add_number, sink, message) })
        })
        .map(|()| numbers)
    }

    fn memory(&self) -> CallResult<u64> {
        // SAFETY: as above.
        ROk(self.entry.memory.map_or(0, |memory| unsafe { memory(self.instance) }))
    }

    fn judged_tasks(&self) -> CallResult<u64> {
        // What nobody receives is not worth computing.
        let asks = self.entry.judged_tasks.filter(|_| self.entry.judge.is_some());
        // SAFETY: as above.
        ROk(asks.map_or(0, |judged_tasks| unsafe { judged_tasks(self.instance) }))
    }

    fn judge(&mut self, counterfactuals: ByRef<'_, Counterfactuals<'_>>) -> CallResult<()> {
        let Self { entry, instance } = self;
        called(|message| {
            // SAFETY: as above.
            entry.judge.map(|judge| unsafe { judge(*instance, counterfactuals.get(), message) })
        })
    }
}

/// Appends a number to the vector that `sink` is.
///
/// # Safety
/// `sink` is an `RVec<RawDiagnostic>`, `name` null or a C text.
unsafe extern "C" fn add_number(sink: *mut c_void, name: *const c_char, value: f64) {
    // SAFETY: the caller's promise.
    unsafe {
        let name = c_text(name).into();
        (*sink.cast::<RVec<RawDiagnostic>>()).push(RawDiagnostic { name, value });
    }
}

/// The paths that an instance hands over.
///
/// # Safety
/// `instance` is one for which `function` was written.
unsafe fn files(
    function: Option<FilesFunction>,
    instance: *mut c_void,
) -> CallResult<RVec<RVec<u8>>> {
    let mut paths: RVec<RVec<u8>> = RVec::new();
    let sink = (&raw mut paths).cast::<c_void>();
    // SAFETY: the caller's promise; `sink` is the vector that `add_path` expects.
    called(|message| function.map(|files| unsafe { files(instance, add_path, sink, message) }))
        .map(|()| paths)
}

/// Appends a path to the vector that `sink` is.
///
/// # Safety
/// `sink` is an `RVec<RVec<u8>>`, `path` null or a C text.
unsafe extern "C" fn add_path(sink: *mut c_void, path: *const c_char) {
    if path.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = CStr::from_ptr(path).to_bytes().to_vec();
        (*sink.cast::<RVec<RVec<u8>>>()).push(bytes.into());
    }
}

/// An instance of an explorer.
struct ExplorerInstance {
    entry: ExplorerEntry,
    instance: *mut c_void,
}

// SAFETY: as for a policy's.
unsafe impl Send for ExplorerInstance {}

impl Drop for ExplorerInstance {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            // SAFETY: `create` made it, and nothing uses it after this.
            unsafe { destroy(self.instance) };
        }
    }
}

impl RawExplorer for ExplorerInstance {
    fn begin_episode(&mut self, start: ByRef<'_, EpisodeStart<'_>>) -> CallResult<()> {
        let Self { entry, instance } = self;
        called(|message| {
            // SAFETY: as above.
            entry.begin_episode.map(|begin| unsafe { begin(*instance, start.get(), message) })
        })
    }

    fn propose(
        &mut self,
        observation: ByRef<'_, Observation<'_>>,
        progress: ByRef<'_, Progress>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<f64> {
        let Self { entry, instance } = self;
        let (observation, progress) = (observation.get(), progress.get());
        let actions = actions.as_mut_ptr();
        let mut rate = f64::NAN;
        let place = &raw mut rate;
        called(|message| {
            // SAFETY: as above.
            entry.propose.map(|propose| unsafe {
                propose(*instance, observation, progress, actions, place, message)
            })
        })
        .map(|()| rate)
    }

    fn files(&self) -> CallResult<RVec<RVec<u8>>> {
        // SAFETY: `create` made the instance.
        unsafe { files(self.entry.files, self.instance) }
    }
}
