//! Libraries written to `offramp.h`: their policies behind the same boundary as all others.

use std::ffi::{CString, c_char, c_int, c_void};

use abi_stable::sabi_trait::prelude::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RSlice, RSliceMut, RVec};
use offramp_plugin::boundary::{
    CallError, CallResult, Capabilities, PolicyBox, RawPolicy, RawPolicy_TO,
};
use offramp_plugin::c::{Context, Entry, Message, Plugin, SaveFunction, VERSION};
use offramp_plugin::{self as plugin, EpisodeStart, Needs, Observation, Progress, TransitionBatch};

use crate::library::{LoadError, Offer, OfferKind, c_text};

/// The policies of a library, and what they are.
pub(crate) type Table = (Vec<Offer>, &'static [Entry]);

/// What a library offers.
///
/// # Safety
/// `plugin` is null, or as `offramp.h` says.
pub(crate) unsafe fn table(plugin: *const Plugin) -> Result<Table, LoadError> {
    // SAFETY: the caller's promise.
    let Some(plugin) = (unsafe { plugin.as_ref::<'static>() }) else {
        return Err(LoadError::NoManifest);
    };
    if plugin.version != VERSION {
        return Err(LoadError::OtherHeader { found: plugin.version });
    }
    if plugin.policies.is_null() || plugin.policy_count > MOST_POLICIES {
        return Err(LoadError::Incomplete { lacks: "table of policies".to_owned() });
    }
    // SAFETY: not null, so it has as many as it says, which are never freed or changed.
    let entries =
        unsafe { std::slice::from_raw_parts(plugin.policies, plugin.policy_count as usize) };
    let offers = entries.iter().map(|entry| {
        // SAFETY: as above; texts are null or C texts.
        let (name, about) = unsafe { (c_text(entry.name), c_text(entry.about)) };
        let needed = [
            ("create", entry.create.is_some()),
            ("destroy", entry.destroy.is_some()),
            ("decide", entry.decide.is_some()),
        ];
        if let Some((function, _)) = needed.iter().find(|(_, there)| !there) {
            return Err(LoadError::Incomplete { lacks: format!("`{function}` of `{name}`") });
        }
        let (kind, needs) = (OfferKind::Policy, Needs::from_bits(entry.needs));
        Ok(Offer { kind, name, about, needs, capabilities: capabilities(entry) })
    });
    Ok((offers.collect::<Result<_, _>>()?, entries))
}

/// A library with more is none.
const MOST_POLICIES: u32 = 10_000;

fn capabilities(entry: &Entry) -> Capabilities {
    let saved = entry.checkpoint.is_some() && entry.save.is_some() && entry.load.is_some();
    let learns = saved && entry.record.is_some() && entry.learn.is_some();
    match (saved, learns) {
        (_, true) => Capabilities::SAVED.and(Capabilities::LEARNER),
        (true, _) => Capabilities::SAVED,
        _ => Capabilities::NONE,
    }
}

/// Creates a policy.
pub(crate) fn create(
    entry: &'static Entry,
    context: &plugin::Context<'_>,
) -> CallResult<PolicyBox> {
    let features = context.observation.features.as_slice();
    let texts = features.iter().map(|feature| CString::new(feature.name.as_str()));
    let texts: Vec<CString> = texts.map(Result::unwrap_or_default).collect();
    let names: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    let scales: Vec<f64> = features.iter().map(|feature| feature.scale).collect();
    let checkpoint = context.checkpoint.into_option();
    let context = Context {
        parameters: context.parameters.as_bytes().into(),
        checkpoint: checkpoint.map_or(std::ptr::null(), |bytes| bytes.as_ptr()),
        checkpoint_length: checkpoint.map_or(0, |bytes| bytes.len()),
        seed: context.seed,
        threads: context.threads,
        history_slots: context.observation.history_slots,
        history_scale: context.observation.history_scale,
        feature_names: names.as_slice().into(),
        feature_scales: scales.as_slice().into(),
        system: context.system,
    };
    let mut instance = std::ptr::null_mut();
    let place = &raw mut instance;
    // SAFETY: all pointers are valid for the call, and texts outlive it.
    called(|message| {
        entry.create.map(|create| unsafe { create(&raw const context, place, message) })
    })
    .map(|()| RawPolicy_TO::from_value(Instance { entry, instance }, TD_Opaque))
}

/// Calls a function and reads its message if it fails; one that is not there has nothing to do.
fn called(call: impl FnOnce(*mut Message) -> Option<c_int>) -> CallResult<()> {
    let mut message = Message { text: [0; 256] };
    match call(&raw mut message) {
        None | Some(0) => ROk(()),
        Some(number) => {
            let text: Vec<u8> = message.text.iter().map(|&letter| letter as u8).collect();
            let text = text.split(|&letter| letter == 0).next().unwrap_or_default();
            let text = match String::from_utf8_lossy(text) {
                text if text.is_empty() => format!("it gave {number} and no reason").into(),
                text => text,
            };
            RErr(CallError { message: (*text).into(), panicked: false })
        }
    }
}

/// An instance of a policy.
struct Instance {
    entry: &'static Entry,
    instance: *mut c_void,
}

// SAFETY: the header asks of instances that any thread may use them, one at a time.
unsafe impl Send for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            // SAFETY: `create` gave it, and nothing uses it after this.
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

// SAFETY of all calls below: the instance is one that `create` gave, pointers are valid for the
// call, and `actions` has a place for each row.
impl RawPolicy for Instance {
    fn begin_episode(&mut self, start: &EpisodeStart) -> CallResult<()> {
        let Self { entry, instance } = self;
        called(|message| {
            // SAFETY: as above.
            entry.begin_episode.map(|begin| unsafe { begin(*instance, start, message) })
        })
    }

    fn decide(
        &mut self,
        observation: &Observation<'_>,
        mut actions: RSliceMut<'_, u32>,
    ) -> CallResult<()> {
        let Self { entry, instance } = self;
        let actions = actions.as_mut_ptr();
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

    fn record(&mut self, slot: &TransitionBatch<'_>) -> CallResult<()> {
        let Self { entry, instance } = self;
        // SAFETY: as above.
        called(|message| entry.record.map(|record| unsafe { record(*instance, slot, message) }))
    }

    fn learn(&mut self) -> CallResult<Progress> {
        let Self { entry, instance } = self;
        let mut progress = Progress::default();
        let place = &raw mut progress;
        // SAFETY: as above.
        called(|message| entry.learn.map(|learn| unsafe { learn(*instance, place, message) }))
            .map(|()| progress)
    }

    fn values(&mut self, _: &Observation<'_>, _: RSliceMut<'_, f32>) -> CallResult<()> {
        lacking("value function")
    }

    fn fit(&mut self, _: &Observation<'_>, _: RSlice<'_, f32>) -> CallResult<f64> {
        lacking("fit to a teacher")
    }
}

fn lacking<T>(capability: &str) -> CallResult<T> {
    RErr(CallError {
        message: format!("it has no capability {capability}").into(),
        panicked: false,
    })
}
