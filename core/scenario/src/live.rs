//! Live runs: one long stream in a system that drifts.
//!
//! A change of the system is stated as a point of a sweep is: paths of fields and new values, which
//! replace those of the text. So whatever a sweep can set of a system can drift, and every phase is a
//! text that is read and checked, like a scenario, before anything runs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use offramp_model::System;

use crate::entries::{self, PluginEntry, PolicyEntry, listed};
use crate::fault::nearest;
use crate::field::FieldDefault;
use crate::file::{
    ChangeSection, EncodingField, ExchangeField, FederatedSection, LearnsField, LivePolicySection,
    LiveSection, OnlineSection, PolicySection, PrivacySection, fields,
};
use crate::outline::{Outline, replace, value_of};
use crate::source::Source;
use crate::{Fault, Raw, alone};

/// Steps in which a number changes gradually.
const STEPS: u32 = 100;

/// A live run.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    /// T: slots of the stream, 1 … 10⁹; S of every phase.
    pub slots: u32,
    /// Slots of a window, 1 … 10⁹; the last one may be shorter.
    pub window_slots: u32,
    /// The seed of all randomness of the run.
    pub seed: u64,
    /// Slots between saves, 1 … 10⁹.
    pub save_every: u32,
    /// The policy that the others are compared with, by its place among `policies`.
    pub ceiling: Option<usize>,
    /// The changes as they were written, by slot.
    pub changes: Vec<Change>,
    /// The systems, by slot: at least one, the first from slot 0 on. All have the same number of devices
    /// and servers, slot duration and S.
    pub phases: Vec<Phase>,
    /// The policies, at least one; their labels differ.
    pub policies: Vec<LivePolicy>,
}

/// A change of the system, at once or over some slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The slot in which it begins, 1 … T − 1.
    pub at: u32,
    /// The slot from which on the system has all of it, at least `at`.
    pub until: u32,
    /// The paths of fields, and their new values.
    pub set: Vec<(String, String)>,
}

/// A system, and since when it is the one of the stream.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its first slot.
    pub slot: u32,
    /// The system.
    pub system: Arc<System>,
}

/// A policy of a live run.
#[derive(Clone, Debug, PartialEq)]
pub struct LivePolicy {
    /// Its plugin, label and first checkpoint.
    pub policy: PolicyEntry,
    /// The checkpoints that replace it, by the slot from which on they decide, in order.
    pub renewed: Vec<(u32, String)>,
    /// How it learns; `None` if it does not.
    pub learns: Option<Learns>,
    /// The explorer; without one the policy decides everything.
    pub explorer: Option<PluginEntry>,
    /// What devices learn from a teacher while they decide.
    pub online: Option<OnlineEntry>,
    /// What devices that learn exchange.
    pub federated: Option<FederatedEntry>,
    /// Slots in which nothing reaches a device or leaves it, by device, counted from 0.
    pub silent: BTreeMap<u32, Range<u32>>,
    /// Slots in which a device sends numbers that are not finite, likewise.
    pub broken: BTreeMap<u32, Range<u32>>,
}

impl LivePolicy {
    /// True if nothing reaches a device in a slot, or leaves it.
    pub fn is_silent(&self, device: u32, slot: u32) -> bool {
        self.silent.get(&device).is_some_and(|slots| slots.contains(&slot))
    }

    /// The files that it names as checkpoints: its own, those that replace it, and its teacher's.
    pub fn checkpoints(&self) -> impl Iterator<Item = &str> {
        let renewed = self.renewed.iter().map(|(_, file)| file);
        let teacher = self.online.iter().filter_map(|online| online.teacher.checkpoint.as_ref());
        self.policy.checkpoint.iter().chain(renewed).chain(teacher).map(String::as_str)
    }

    /// True if what a device sends in a slot is not finite.
    pub fn is_broken(&self, device: u32, slot: u32) -> bool {
        self.broken.get(&device).is_some_and(|slots| slots.contains(&slot))
    }
}

/// Online distillation.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineEntry {
    /// The teacher: a policy with a value function.
    pub teacher: PolicyEntry,
    /// Share of devices whose decisions the teacher learns from, 0 … 1.
    pub reporting: f64,
    /// Share of its tasks whose states a device sends to be valued, 0 … 1.
    pub asking: f64,
    /// What a device may send and receive, bytes per slot, above 0.
    pub bytes_per_slot: f64,
    /// The numbers on the wire and in a device's memory.
    pub encoding: Encoding,
    /// Memory of a device, bytes, above 0.
    pub memory_bytes: f64,
    /// Slots between fits, 1 … 10⁹.
    pub every_slots: u32,
    /// States of a fit, for each device, 1 … 10⁹.
    pub batch: u32,
    /// Multiply-adds that a device may spend on learning, per slot.
    pub multiply_adds: Option<u64>,
    /// Slots in which the teacher does not answer.
    pub away: Vec<Range<u32>>,
}

/// Federated learning.
#[derive(Clone, Debug, PartialEq)]
pub struct FederatedEntry {
    /// What is exchanged.
    pub exchange: Exchange,
    /// Slots of a round, 1 … 10⁹.
    pub round_slots: u32,
    /// Probability with which a device takes part in a round.
    pub share: f64,
    /// Probability with which a device that takes part is not heard of.
    pub dropouts: f64,
    /// Probability with which what a device sends arrives a round late.
    pub stragglers: f64,
    /// The numbers on the wire.
    pub encoding: Encoding,
    /// Differential privacy of devices.
    pub privacy: Option<PrivacyEntry>,
}

/// What devices exchange; each number is 1 … 10⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The parameters of their networks.
    Parameters,
    /// The values of states that all know.
    Values {
        /// These states.
        states: u32,
        /// Fits to the mean of all values, each round.
        steps: u32,
        /// States of a fit.
        batch: u32,
    },
}

/// The Gaussian mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrivacyEntry {
    /// C: the largest norm of what a device changes, above 0.
    pub clip: f64,
    /// σ: standard deviation of the noise, over C, above 0.
    pub noise: f64,
    /// δ, 0 … 1, neither of them.
    pub delta: f64,
}

/// How numbers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Four bytes each.
    F32,
    /// Two bytes each, IEEE 754 binary16.
    F16,
    /// A byte each: of the number over the scale of its column, with one more scale for each message.
    Int8,
}

/// How a policy learns while it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Learns {
    /// From its own decisions, as a learner in training.
    Alone,
}

/// The live run that a section describes.
pub(crate) fn live(source: Source<'_>, section: &LiveSection) -> Result<LiveEntry, Fault> {
    let changes = changes(source, section)?;
    let phases = phases(source, section, &changes)?;
    let policies = policies(source, section, phases[0].system.device_count())?;
    let ceiling = section.ceiling.as_ref().map(|name| {
        let labels = || policies.iter().map(|one| one.policy.label.as_str());
        labels().position(|label| label == name).ok_or_else(|| {
            let help = nearest(name, labels()).map_or_else(
                || format!("there are: {}", labels().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("no policy of the live run is called `{name}`");
            source.fault("live.ceiling", message, Some(help))
        })
    });
    Ok(LiveEntry {
        slots: section.slots,
        window_slots: section.window_slots,
        seed: section.seed,
        save_every: section.save_every,
        ceiling: ceiling.transpose()?,
        phases,
        changes,
        policies,
    })
}

fn policies(
    source: Source<'_>,
    section: &LiveSection,
    devices: u32,
) -> Result<Vec<LivePolicy>, Fault> {
    if section.policies.is_empty() {
        let message = "a live run needs a policy".to_owned();
        let help = "give at least one, like (plugin: \"random\")".to_owned();
        return Err(source.fault("live.policies", message, Some(help)));
    }
    let plain = |section: &LivePolicySection| {
        let LivePolicySection { plugin, sha256, name, checkpoint, untrained, parameters, .. } =
            section.clone();
        PolicySection { plugin, sha256, name, checkpoint, untrained, parameters }
    };
    let plain: Vec<_> = section.policies.iter().map(plain).collect();
    let entries = entries::policies(source, "live.policies", &plain)?;
    let each = entries.into_iter().zip(&section.policies).enumerate();
    let each = each.map(|(number, (mut policy, own))| {
        let at = format!("live.policies.{number}");
        let fault = |field: &str, message: String, help: &str| {
            Err(source.fault(&format!("{at}.{field}"), message, Some(help.to_owned())))
        };
        let inside = |slot: &u32| (1..section.slots).contains(slot);
        if let Some(slot) = own.renewed.keys().find(|slot| !inside(slot)) {
            let message = format!("slot {slot} is not one of 1 … {}", section.slots - 1);
            return fault(
                &format!("renewed.{slot}"),
                message,
                "`live.slots` says how many there are",
            );
        }
        let learns = own.learns.is_some() || own.online.is_some();
        if learns {
            // It does not stay untrained.
            policy.label = own.name.clone().unwrap_or_else(|| own.plugin.clone());
        }
        if learns && !own.renewed.is_empty() {
            let message = "a policy that learns is not renewed".to_owned();
            return fault(
                "renewed",
                message,
                "list it twice: one that learns, one that is renewed",
            );
        }
        if own.learns.is_none() && own.explorer.is_some() {
            let message = "an explorer needs a policy that learns".to_owned();
            return fault("explorer", message, "write `learns: Alone`, or leave out `explorer`");
        }
        let explorer = own.explorer.as_ref();
        if own.federated.is_some() && own.learns.is_none() {
            let message = "devices have nothing to exchange if they don't learn".to_owned();
            return fault("federated", message, "write `learns: Alone`, too");
        }
        if own.federated.is_some() && own.online.is_some() {
            let message = "devices learn from a teacher or from each other".to_owned();
            return fault("federated", message, "list the policy twice, once with `online`");
        }
        let online = own.online.as_ref().map(|section| online(source, &at, section));
        let federated = own.federated.as_ref().map(|section| federated(source, &at, section));
        let faults = |name: &str, of: &BTreeMap<u32, (u32, u32)>| {
            let path = |device: &u32| format!("{at}.{name}.{device}");
            if let Some(device) = of.keys().next()
                && own.federated.is_none()
                && own.online.is_none()
            {
                let message = "nothing is sent that could be missing".to_owned();
                let help = "it needs `online` or `federated`".to_owned();
                return Err(source.fault(&path(device), message, Some(help)));
            }
            let each = of.iter().map(|(device, slots)| {
                if !(1..=devices).contains(device) {
                    let message = format!("device {device} is not one of 1 … {devices}");
                    return Err(source.fault(&path(device), message, None));
                }
                Ok((device - 1, range(source, &path(device), *slots)?))
            });
            each.collect::<Result<BTreeMap<_, _>, Fault>>()
        };
        Ok(LivePolicy {
            online: online.transpose()?,
            federated: federated.transpose()?,
            silent: faults("silent", &own.silent)?,
            broken: faults("broken", &own.broken)?,
            policy,
            renewed: own.renewed.iter().map(|(slot, file)| (*slot, file.clone())).collect(),
            learns: own.learns.map(|LearnsField::Alone| Learns::Alone),
            explorer: explorer.map(|section| listed(&format!("{at}.explorer"), section)),
        })
    });
    each.collect()
}

fn online(source: Source<'_>, at: &str, section: &OnlineSection) -> Result<OnlineEntry, Fault> {
    let at = format!("{at}.online");
    let away = section.away.iter().enumerate();
    let away = away.map(|(number, slots)| range(source, &format!("{at}.away.{number}"), *slots));
    Ok(OnlineEntry {
        teacher: entries::teacher(source, &format!("{at}.teacher"), &section.teacher)?,
        reporting: section.reporting,
        asking: section.asking,
        // Kilobytes per 1,000 slots.
        bytes_per_slot: section.budget_kb,
        encoding: section.encoding.into(),
        memory_bytes: 1_000.0 * section.memory_kb,
        every_slots: section.every_slots,
        batch: section.batch,
        multiply_adds: section.multiply_adds,
        away: away.collect::<Result<_, _>>()?,
    })
}

fn federated(
    source: Source<'_>,
    at: &str,
    section: &FederatedSection,
) -> Result<FederatedEntry, Fault> {
    let FederatedSection { states, steps, batch, .. } = *section;
    let privacy = section.privacy.as_ref();
    let privacy = privacy.map(|&PrivacySection { clip, noise, delta }| {
        if 0.0 < delta && delta < 1.0 {
            return Ok(PrivacyEntry { clip, noise, delta });
        }
        let message = format!("{delta} is out of range: a number between 0 and 1 is needed");
        Err(source.fault(&format!("{at}.federated.privacy.delta"), message, None))
    });
    Ok(FederatedEntry {
        exchange: match section.exchange {
            ExchangeField::Parameters => Exchange::Parameters,
            ExchangeField::Values => Exchange::Values { states, steps, batch },
        },
        round_slots: section.round_slots,
        share: section.share,
        dropouts: section.dropouts,
        stragglers: section.stragglers,
        encoding: section.encoding.into(),
        privacy: privacy.transpose()?,
    })
}

impl From<EncodingField> for Encoding {
    fn from(field: EncodingField) -> Self {
        match field {
            EncodingField::F32 => Self::F32,
            EncodingField::F16 => Self::F16,
            EncodingField::Int8 => Self::Int8,
        }
    }
}

/// Slots from one to the one before another.
fn range(source: Source<'_>, path: &str, (from, to): (u32, u32)) -> Result<Range<u32>, Fault> {
    if from < to {
        return Ok(from..to);
    }
    let message = format!("there is no slot from {from} to the one before {to}");
    Err(source.fault(path, message, Some("write the earlier slot first".to_owned())))
}

/// The changes, in the order of slots.
fn changes(source: Source<'_>, section: &LiveSection) -> Result<Vec<Change>, Fault> {
    let mut changes: Vec<Change> = Vec::with_capacity(section.drift.len());
    for (number, ChangeSection { at, over, set }) in section.drift.iter().enumerate() {
        let path = format!("live.drift.{number}");
        let (slots, over) = (section.slots, over.unwrap_or(0));
        let fault = |field: &str, message: String, help: Option<&str>| {
            Err(source.fault(&format!("{path}.{field}"), message, help.map(str::to_owned)))
        };
        if !(1..slots).contains(at) {
            let message = format!("slot {at} is not one of 1 … {}", slots - 1);
            let help = match at {
                0 => "what the system is like from slot 0 on is said outside `live`",
                _ => "`live.slots` says how many there are",
            };
            return fault("at", message, Some(help));
        }
        let until = at.saturating_add(over);
        if until >= slots {
            let message =
                format!("it ends in slot {until}, and the stream with slot {}", slots - 1);
            return fault("over", message, None);
        }
        if let Some(before) = changes.last()
            && (*at <= before.at || *at < before.until)
        {
            let message = match before.until {
                until if until > before.at => {
                    format!(
                        "slot {at}: the change before it takes place in {} … {until}",
                        before.at
                    )
                }
                _ => format!("slot {at}: the change before it takes place in slot {}", before.at),
            };
            let help = "list changes by slot, one after the other; one may set several fields";
            return fault("at", message, Some(help));
        }
        if set.is_empty() {
            return fault("set", "it sets nothing".to_owned(), None);
        }
        let set = set.iter().map(|(field, Raw(value))| (field.clone(), value.clone())).collect();
        changes.push(Change { at: *at, until, set });
    }
    Ok(changes)
}

/// The system from slot 0 on, and after each step of each change.
fn phases(
    source: Source<'_>,
    section: &LiveSection,
    changes: &[Change],
) -> Result<Vec<Phase>, Fault> {
    let own = alone::text_of(source, &["recordings"]);
    let slots = section.slots;
    let text = replace(&own, "system.slots", &slots.to_string()).unwrap_or(own);
    let name = format!("{} (live)", source.name);
    let read = |text: &str| alone::read(Source { name: &name, text, folder: source.folder });
    let first = read(&text).map_err(|Fault { message, help, .. }| {
        source.fault("live.slots", format!("with `system.slots` = {slots}: {message}"), help)
    })?;
    let mut phases = vec![Phase { slot: 0, system: first.evaluation }];
    let mut before = text;
    for (number, change) in changes.iter().enumerate() {
        let path = format!("live.drift.{number}.set");
        let at = |field: &str| format!("{path}.{field}");
        for (field, _) in &change.set {
            alone::check_field(source, (&at(field), &before), field, "set")?;
            if field == "system.slots" {
                let message = "the stream has the slots of `live.slots`".to_owned();
                return Err(source.fault(&at(field), message, None));
            }
        }
        let steps = STEPS.min(change.until - change.at);
        let mut values = Vec::with_capacity(change.set.len());
        for (field, value) in &change.set {
            values.push(match steps {
                0 => vec![value.clone()],
                _ => gradual(&before, field, value, steps)
                    .map_err(|message| source.fault(&at(field), message, None))?,
            });
        }
        for step in 0..steps.max(1) {
            let slot = match steps {
                0 => change.at,
                _ => {
                    let over = u64::from(change.until - change.at);
                    change.at + (over * u64::from(step + 1) / u64::from(steps)) as u32
                }
            };
            let mut text = before.clone();
            for ((field, _), values) in change.set.iter().zip(&values) {
                text = replace(&text, field, &values[step as usize]).ok_or_else(|| {
                    let message = format!("this scenario has no place for `{field}`");
                    source.fault(&at(field), message, None)
                })?;
            }
            let system = read(&text).map_err(|fault| {
                // The value that is at fault, if it is one of those that were set.
                let outline = Outline::of(&fault.text);
                let is_in = |field: &&(String, String)| {
                    let found = outline.find(&field.0);
                    found.is_some_and(|value| {
                        (value.span.start..=value.span.end).contains(&fault.span.start)
                    })
                };
                let field = change.set.iter().find(is_in).or(match &change.set[..] {
                    [alone] => Some(alone),
                    _ => None,
                });
                let place = field.map_or_else(|| path.clone(), |(field, _)| at(field));
                source.fault(&place, format!("from slot {slot} on: {}", fault.message), fault.help)
            })?;
            let system = system.evaluation;
            same_size(&phases[0].system, &system).map_err(|(field, message)| {
                let named = change.set.iter().any(|(set, _)| set == field);
                let place = if named { at(field) } else { path.clone() };
                source.fault(&place, message, Some(help_for(field).to_owned()))
            })?;
            if phases.last().is_some_and(|last| last.slot == slot) {
                phases.pop();
            }
            phases.push(Phase { slot, system });
            if step + 1 == steps.max(1) {
                before = text;
            }
        }
    }
    Ok(phases)
}

/// Checks that a system has as many devices and servers as the first one, and slots of its duration.
fn same_size(first: &System, other: &System) -> Result<(), (&'static str, String)> {
    let differ = |field, was: String, is: String| {
        Err((field, format!("`{field}` stays the same in a live run: {was}, not {is}")))
    };
    let (devices, servers) = (first.device_count(), first.server_count());
    if devices != other.device_count() {
        return differ("system.devices", devices.to_string(), other.device_count().to_string());
    }
    if servers != other.server_count() {
        return differ("system.servers", servers.to_string(), other.server_count().to_string());
    }
    let [was, is] = [first, other].map(|system| system.parameters().slot_seconds);
    if was != is {
        return differ("system.slot_seconds", was.to_string(), is.to_string());
    }
    Ok(())
}

fn help_for(field: &str) -> &'static str {
    match field {
        "system.devices" => {
            "devices without tasks have a `tasks.arrival_probability` of 0, in a list with one for each"
        }
        "system.servers" => "servers that are down: `\"system.outages\": (servers: [1, 2])`",
        _ => "set another field",
    }
}

/// The values of a field in so many equal steps from that of `text`, or its default, to `target`.
fn gradual(text: &str, field: &str, target: &str, steps: u32) -> Result<Vec<String>, String> {
    let default = fields().into_iter().find(|known| known.path == field);
    let default = default.and_then(|field| match field.default {
        FieldDefault::Value(value) => Some(value),
        FieldDefault::Required | FieldDefault::Words(_) => None,
    });
    let before = value_of(text, field).map(str::to_owned).or_else(|| default.clone());
    let before = before.unwrap_or_else(|| "left out".to_owned());
    let number = |value: &str| value.replace('_', "").parse::<f64>().ok().filter(|n| n.is_finite());
    let (Some(from), Some(to)) = (number(&before), number(target)) else {
        let culprit = if number(&before).is_none() {
            format!("`{field}` is {before} before it")
        } else {
            format!("{target} is not a number")
        };
        return Err(format!("{culprit}: only numbers change gradually, over some slots"));
    };
    // A field that is a whole number stays one.
    let whole = default.is_some_and(|value| value.parse::<u64>().is_ok());
    let step = |step: u32| {
        let value = from + (to - from) * f64::from(step) / f64::from(steps);
        match step {
            step if step == steps => target.to_owned(),
            _ if whole => format!("{:.0}", value.round()),
            _ => format!("{value:?}"),
        }
    };
    Ok((1..=steps).map(step).collect())
}

#[cfg(test)]
mod tests {
    use offramp_model::Outages;

    use super::*;
    use crate::Experiment;

    fn read(live: &str) -> Result<LiveEntry, Fault> {
        read_in("", live)
    }

    fn read_in(scenario: &str, live: &str) -> Result<LiveEntry, Fault> {
        let text = format!(
            "(name: \"x\", {scenario} live: (slots: 1000, policies: [(plugin: \"a\")], {live}))"
        );
        let mut experiment = Experiment::parse("x.ron", text, "".as_ref(), &[])?;
        Ok(experiment.points.remove(0).live.unwrap())
    }

    fn load(phase: &Phase) -> f64 {
        phase.system.parameters().devices[0].arrival_probability
    }

    #[test]
    fn a_change_keeps_what_earlier_ones_have_set() {
        let live = read(
            "drift: [
                (at: 100, set: {\"tasks.arrival_probability\": 0.55}),
                (at: 200, set: {\"system.outages\": (servers: [1, 2]), \"system.device_ghz\": 3}),
                (at: 300, set: {\"system.outages\": None}),
            ]",
        )
        .unwrap();
        let down = Outages::Servers { servers: vec![0, 1], capacity: 0.0 };
        let seen: Vec<_> = live
            .phases
            .iter()
            .map(|phase| {
                let parameters = phase.system.parameters();
                let cpu_ghz = parameters.devices[0].cpu_ghz;
                (phase.slot, load(phase), cpu_ghz, parameters.outages.clone())
            })
            .collect();
        assert_eq!(
            seen,
            [
                (0, 0.3, 2.6, None),
                (100, 0.55, 2.6, None),
                (200, 0.55, 3.0, Some(down)),
                (300, 0.55, 3.0, None)
            ]
        );
        assert!(live.phases.iter().all(|phase| phase.system.parameters().arrival_slots == 1000));
        let change = Change {
            at: 100,
            until: 100,
            set: vec![("tasks.arrival_probability".to_owned(), "0.55".to_owned())],
        };
        assert_eq!((live.changes.len(), &live.changes[0]), (3, &change));
    }

    #[test]
    fn numbers_change_gradually_in_a_hundred_equal_steps() {
        let live = read(
            "drift: [
                (at: 100, over: 400, set: {\"tasks.arrival_probability\": 0.5}),
                (at: 500, over: 4, set: {\"tasks.deadline_slots\": 13}),
            ]",
        )
        .unwrap();
        let slots: Vec<u32> = live.phases.iter().map(|phase| phase.slot).collect();
        let ramp = (1..=100).map(|step| 100 + 4 * step);
        let expected: Vec<u32> = std::iter::once(0).chain(ramp).chain(501..=504).collect();
        assert_eq!(slots, expected);
        let loads: Vec<f64> = live.phases[..=100].iter().map(load).collect();
        assert!((loads[50] - 0.4).abs() < 1e-12 && loads[100] == 0.5, "{loads:?}");
        let deadline = |phase: &Phase| phase.system.deadline_slots();
        let deadlines: Vec<u32> = live.phases[100..].iter().map(deadline).collect();
        assert_eq!(deadlines, [10, 11, 12, 12, 13]);
    }

    #[test]
    fn a_policy_may_learn_or_be_renewed() {
        let text = "(name: \"x\", live: (slots: 9, ceiling: \"b\", policies: [
            (plugin: \"a\", learns: Alone, explorer: (plugin: \"e\")),
            (plugin: \"a\", name: \"b\", checkpoint: \"0\", renewed: {3: \"1\", 5: \"2\"})]))";
        let experiment = Experiment::parse("x", text.to_owned(), "".as_ref(), &[]).unwrap();
        let live = experiment.points[0].live.as_ref().unwrap();
        assert_eq!(live.ceiling, Some(1));
        let [one, two] = &live.policies[..] else { panic!("{live:?}") };
        assert_eq!(
            (one.learns, one.policy.plugin.field.as_str()),
            (Some(Learns::Alone), "live.policies.0")
        );
        assert_eq!(one.explorer.as_ref().unwrap().field, "live.policies.0.explorer");
        assert_eq!(two.renewed, [(3, "1".to_owned()), (5, "2".to_owned())]);
    }

    #[test]
    fn what_can_not_drift_is_refused_at_its_place() {
        let check = |live: &str, at: &str, message: &str, help: &str| {
            let fault = read(live).unwrap_err();
            assert_eq!((fault.message.as_str(), &fault.text[fault.span.clone()]), (message, at));
            assert_eq!(fault.help.as_deref().unwrap_or(""), help);
        };
        let drift =
            |change: &str| format!("drift: [(at: 5, set: {{\"tasks.density\": 0.2}}), {change}]");
        let many = "`live.slots` says how many there are";
        check(
            "drift: [(at: 1000, set: {\"energy\": Physical})]",
            "1000",
            "slot 1000 is not one of 1 … 999",
            many,
        );
        check(
            "drift: [(at: 0, set: {\"energy\": Physical})]",
            "0",
            "slot 0 is not one of 1 … 999",
            "what the system is like from slot 0 on is said outside `live`",
        );
        check(
            &drift("(at: 900, over: 100, set: {\"system.server_ghz\": 9})"),
            "100",
            "it ends in slot 1000, and the stream with slot 999",
            "",
        );
        let by_slot = "list changes by slot, one after the other; one may set several fields";
        check(
            &drift("(at: 5, set: {\"energy\": Physical})"),
            "5",
            "slot 5: the change before it takes place in slot 5",
            by_slot,
        );
        check(
            &drift(
                "(at: 10, over: 200, set: {\"system.server_ghz\": 9}), (at: 20, set: {\"energy\": Physical})",
            ),
            "20",
            "slot 20: the change before it takes place in 10 … 210",
            by_slot,
        );
        check(
            &drift("(at: 9, set: {\"tasks.dnsity\": 0.2})"),
            "0.2",
            "there is no field `tasks.dnsity`",
            "did you mean `tasks.density`?",
        );
        check(
            &drift("(at: 9, set: {\"evaluate.seed\": 2})"),
            "2",
            "`evaluate.seed` does not describe a system",
            "fields of system, world, tasks, alpha, energy can be set",
        );
        check(
            &drift("(at: 9, set: {\"tasks.arrival_probability\": 2, \"energy\": Physical})"),
            "2",
            "from slot 9 on: 2 is out of range: a number from 0 to 1 is needed",
            "",
        );
        check(
            &drift("(at: 9, set: {\"system.devices\": 60})"),
            "60",
            "`system.devices` stays the same in a live run: 50, not 60",
            help_for("system.devices"),
        );
        check(
            &drift("(at: 9, set: {\"system.slots\": 60})"),
            "60",
            "the stream has the slots of `live.slots`",
            "",
        );
        check(
            &drift("(at: 9, over: 50, set: {\"tasks.size_mbit\": 3})"),
            "3",
            "`tasks.size_mbit` is Uniform(1.0, 7.0) before it: only numbers change gradually, over some \
             slots",
            "",
        );
        check(
            &drift("(at: 9, over: 50, set: {\"tasks.deadline_slots\": Some(3)})"),
            "Some(3)",
            "Some(3) is not a number: only numbers change gradually, over some slots",
            "",
        );
        check(&drift("(at: 9, set: {})"), "{}", "it sets nothing", "");
        check("window_slots: 0", "0", "0 is out of range 1 … 10⁹", "");
        check(
            "ceiling: \"trained-anew\"",
            "\"trained-anew\"",
            "no policy of the live run is called `trained-anew`",
            "there are: a",
        );
        let fault = read("drift: [(at: 3, sett: {})]").unwrap_err();
        assert_eq!(fault.help.as_deref(), Some("did you mean `set`?"));
        let published = read_in(
            "observation: Published,",
            &drift("(at: 9, set: {\"system.outages\": (servers: [1])})"),
        );
        let fault = published.unwrap_err();
        assert!(fault.message.starts_with("from slot 9 on: the public code knows"), "{fault}");
    }

    #[test]
    fn named_servers_are_down() {
        let read = |outages: &str| {
            let text = format!("(name: \"x\", system: (outages: ({outages})))");
            let read = Experiment::parse("x", text, "".as_ref(), &[]);
            read.map(|read| read.points[0].system.parameters().outages.clone().unwrap())
        };
        let down = Outages::Servers { servers: vec![4, 0], capacity: 0.5 };
        assert_eq!(read("servers: [5, 1], capacity: 0.5").unwrap(), down);
        let drawn = Outages::Drawn { mean_up_slots: 9.0, mean_down_slots: 2.0, capacity: 0.0 };
        assert_eq!(read("mean_up_slots: 9, mean_down_slots: 2").unwrap(), drawn);
        let fault = |outages: &str| read(outages).unwrap_err().message;
        assert_eq!(fault("servers: [6]"), "there is no server 6: 1 … 5");
        assert_eq!(fault("servers: [0]"), "there is no server 0: 1 … 5");
        assert_eq!(fault("servers: [2, 2]"), "server 2 is listed twice");
        assert_eq!(fault("mean_up_slots: 9"), "`mean_down_slots` is missing");
        assert_eq!(fault("capacity: 0.1"), "it does not say which servers are down, or when");
        assert_eq!(
            fault("servers: [2], mean_up_slots: 9, mean_down_slots: 2"),
            "outages are drawn or of named servers, not both"
        );
        assert!(fault("mean_up_slots: 0.5, mean_down_slots: 2").contains("out of range"));
    }
}
