//! A plan carried out: when each task is where, and what a change of the plan changes.
//!
//! Nothing in the model couples all of a system: a device's CPU and its uplink serve its own tasks one
//! by one, and no server waits for another. So the reward of an episode is a sum over CPUs, uplinks and
//! servers, and a trial that decides a task otherwise serves one device's CPU and uplink again from
//! that task on, and the servers whose arrivals change, each until it is in the state it would have
//! been in anyway. A replay of the whole system would take twenty times as long. Where devices share
//! bands, all uplinks are served again in place of one.
//!
//! Times are the engine's to the slot: each operation on a time or on Mbit is the engine's, in its
//! order. Rewards are sums in another order, so their last digits may differ.

use crate::instance::{ABSENT, Instance, NONE, Service, Task, Upload, spread};
use crate::uplinks::Uplinks;

/// Another action for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) task: u32,
    pub(crate) action: u32,
}

/// A device's tasks at a server: those that have joined and not ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Flow {
    device: u32,
    /// The oldest task, and the newest.
    head: u32,
    tail: u32,
    /// The last slot in which the head may be served, if it is in service; otherwise [`NONE`].
    last_slot: u32,
    /// Mbit of the head still to do.
    remaining_mbit: f64,
    /// Mbit of it that the whole server can do in a slot.
    mbit_per_slot: f64,
    /// The sum of what identifies each of its tasks and the way it came.
    members: u64,
}

/// Where a task is decided to go, and how that ends before it reaches a server.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Way {
    action: u32,
    /// When the CPU and the uplink of its device are free after it.
    cpu_free: u32,
    uplink_free: u32,
    /// The slot in which it joins its server, or [`NONE`].
    joins: u32,
    /// The slot after that in which its upload ended.
    sent: u32,
    /// Its reward if it ends before it joins a server; otherwise its reward if it ended at once.
    value: f64,
}

/// A server's past and future under a plan.
#[derive(Clone, Debug)]
struct Server {
    /// The tasks that join in each slot, by number.
    joins: Vec<Vec<u32>>,
    /// Its flows at the start of each slot, by device; one more at the end.
    flows: Vec<Vec<Flow>>,
    /// The sum of their [`fingerprint`]s.
    fingerprints: Vec<u64>,
    /// The rewards of the tasks that end there in each slot; the last is of those left at the end.
    gains: Vec<f64>,
}

/// A plan and its consequences.
#[derive(Clone, Debug)]
pub(crate) struct Schedule<'i> {
    instance: &'i Instance,
    ways: Vec<Way>,
    servers: Vec<Server>,
    /// All uplinks, where devices share bands.
    uplinks: Option<Uplinks>,
    /// For each task the one behind it in its flow, once that has joined.
    behind: Vec<u32>,
    /// The sum of rewards.
    total: f64,
    trial: Trial,
}

/// A change of the plan that has been worked out and may be carried out.
#[derive(Clone, Debug, Default)]
struct Trial {
    /// What is marked by it is of this trial.
    number: u32,
    /// The tasks that are served again.
    served: Vec<u32>,
    /// Those of them that join a server otherwise, with what they join and when.
    joins: Vec<Join>,
    /// The servers whose arrivals are others.
    touched: Vec<Touched>,
    /// Of each of these what is served again.
    again: Vec<Again>,
    /// By task: the number of the last trial in which it is served again, and of the last in which it
    /// ends otherwise than planned.
    served_marks: Vec<u32>,
    marks: Vec<u32>,
    /// By task, of those served again: its way.
    ways: Vec<Way>,
    /// By task: the number of the last trial in which another task joins behind it, and that.
    behind_marks: Vec<u32>,
    behind: Vec<u32>,
    behind_changed: Vec<u32>,
    /// The uploads that end, where bands are shared.
    uploads: Vec<(u32, Option<Upload>)>,
    /// The tasks that join a server in a slot.
    joining: Vec<u32>,
}

/// A task that joins a server in a slot.
#[derive(Clone, Copy, Debug)]
struct Join {
    server: u32,
    slot: u32,
    task: u32,
}

/// A server whose arrivals a trial changes.
#[derive(Clone, Copy, Debug)]
struct Touched {
    server: u32,
    /// The first and the last slot in which other tasks join.
    first: u32,
    last: u32,
}

/// What a server does in a trial from the first slot in which other tasks join, until it is as planned.
#[derive(Clone, Debug, Default)]
struct Again {
    /// The flows at the start of these slots, one after the other.
    flows: Vec<Flow>,
    /// Where those of each slot end.
    ends: Vec<usize>,
    /// The fingerprints of each slot but the first.
    fingerprints: Vec<u64>,
    gains: Vec<f64>,
}

/// Flows that differ have, but for a chance of 2⁻⁶⁴, different fingerprints, and so have sets of them.
#[inline]
fn fingerprint(flow: &Flow) -> u64 {
    let z = flow.members ^ flow.remaining_mbit.to_bits();
    (z ^ (z >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

impl Way {
    const ABSENT: Self =
        Self { action: ABSENT, cpu_free: 0, uplink_free: 0, joins: NONE, sent: 0, value: 0.0 };

    /// The same way with what a service has come to.
    #[inline]
    fn with(self, task: &Task, service: &Service) -> Self {
        let Service { joins, sent, energy, delay_slots, done, .. } = *service;
        let value = Instance::value(task, done || joins != NONE, delay_slots, energy);
        Self { joins, sent, value, ..self }
    }

    /// Its reward if it ends before it joins a server, otherwise 0.
    fn ended(&self) -> f64 {
        if self.joins == NONE { self.value } else { 0.0 }
    }

    /// True if it ends otherwise than `other`.
    fn differs(&self, other: &Self) -> bool {
        let end = |way: &Self| (way.action, way.joins, way.sent, way.value);
        end(self) != end(other)
    }
}

impl<'i> Schedule<'i> {
    /// A plan in which no task has arrived.
    pub(crate) fn new(instance: &'i Instance) -> Self {
        let tasks = instance.tasks.len();
        let slots = instance.slots() as usize;
        let server = Server {
            joins: vec![Vec::new(); slots],
            flows: vec![Vec::new(); slots + 1],
            fingerprints: vec![0; slots + 1],
            gains: vec![0.0; slots + 1],
        };
        Self {
            instance,
            ways: vec![Way::ABSENT; tasks],
            servers: vec![server; instance.servers() as usize],
            uplinks: instance.shares_bands().then(|| Uplinks::new(instance)),
            behind: vec![NONE; tasks],
            total: 0.0,
            trial: Trial {
                served_marks: vec![0; tasks],
                marks: vec![0; tasks],
                ways: vec![Way::ABSENT; tasks],
                behind_marks: vec![0; tasks],
                behind: vec![NONE; tasks],
                ..Trial::default()
            },
        }
    }

    /// Serves CPU and uplink of a device again, from its first changed task on, and notes whose joins
    /// change. Returns what that gains there.
    fn serve_device(&mut self, task: u32, changes: &[Change]) -> f64 {
        let Self { instance, ways, uplinks, trial, .. } = self;
        let device = instance.tasks[task as usize].device;
        let ours = |change: &&Change| instance.tasks[change.task as usize].device == device;
        let mut left = changes.iter().filter(ours).count();
        let first = changes.iter().filter(ours).map(|change| change.task).min().unwrap_or(task);
        let (mut cpu_free, mut uplink_free) = match instance.tasks[first as usize].previous {
            NONE => (0, 0),
            previous => {
                let way = &ways[previous as usize];
                (way.cpu_free, way.uplink_free)
            }
        };
        let mut gain = 0.0;
        let mut number = first;
        while number != NONE {
            let task = &instance.tasks[number as usize];
            let old = ways[number as usize];
            let mut action = old.action;
            if left > 0
                && let Some(change) = changes.iter().find(|change| change.task == number)
            {
                (action, left) = (change.action, left - 1);
            }
            let new = match (&uplinks, action) {
                // What its upload comes to is found when all uplinks are served.
                (Some(_), action) if !matches!(action, 0 | ABSENT) => {
                    let same = action == old.action;
                    Way { action, cpu_free, ..if same { old } else { Way::ABSENT } }
                }
                _ => way(instance, task, action, cpu_free, uplink_free),
            };
            (cpu_free, uplink_free) = (new.cpu_free, new.uplink_free);
            gain += trial.set_way(number, &old, new);
            if left == 0 && (cpu_free, uplink_free) == (old.cpu_free, old.uplink_free) {
                break;
            }
            number = task.next;
        }
        gain
    }

    /// Serves all uplinks again, where they share bands, from the first changed task on. Returns what
    /// that gains there.
    fn serve_uplinks(&mut self, changes: &[Change]) -> f64 {
        let Self { instance, ways, uplinks, trial, .. } = self;
        let Some(uplinks) = uplinks else { return 0.0 };
        let slots = changes.iter().map(|change| instance.tasks[change.task as usize].slot);
        let (Some(first), Some(last)) = (slots.clone().min(), slots.max()) else { return 0.0 };
        let mut ended = std::mem::take(&mut trial.uploads);
        ended.clear();
        let action = |task: u32| trial.way(ways, task).action;
        let end = |task, upload| ended.push((task, upload));
        uplinks.serve_again(instance, (first, last), action, end);
        let mut gain = 0.0;
        for &(number, upload) in &ended {
            let task = &instance.tasks[number as usize];
            let way = *trial.served_way(ways, number);
            let service = match &upload {
                Some(upload) => instance.uploaded(task, way.action - 1, upload),
                None => Service::late(task, 0, 0.0),
            };
            gain += trial.set_way(number, &ways[number as usize], way.with(task, &service));
        }
        trial.uploads = ended;
        gain
    }

    /// Serves a touched server again until it is in the state it would have been in anyway. Returns
    /// what that gains there.
    fn serve_server(&mut self, place: usize) -> f64 {
        let Self { instance, ways, servers, behind, trial, .. } = self;
        let Touched { server: number, first, last } = trial.touched[place];
        let server = &servers[number as usize];
        let slots = instance.slots();
        if trial.again.len() <= place {
            trial.again.push(Again::default());
        }
        let mut again = std::mem::take(&mut trial.again[place]);
        again.begin(&server.flows[first as usize]);
        let mut serving = Serving { instance, ways, behind, trial, server: number };
        let mut gain = 0.0;
        let mut slot = first;
        let mut start = 0;
        loop {
            let end = again.flows.len();
            let (mut slot_gain, mut sum) = (0.0, 0);
            let sharing = (end - start) as f64;
            let capacity = instance.capacity(slot, number);
            for at in start..end {
                let mut flow = again.flows[at];
                if flow.last_slot == NONE {
                    match serving.enter(flow, slot, &mut slot_gain) {
                        Some(entered) => flow = entered,
                        None => continue,
                    }
                }
                let share = capacity * flow.mbit_per_slot / sharing;
                let before = flow.remaining_mbit;
                flow.remaining_mbit -= share;
                if flow.remaining_mbit <= 0.0 || slot == flow.last_slot {
                    let last_slot = (before / share).min(1.0);
                    slot_gain += serving.end(&flow, slot, last_slot);
                    match serving.pop(flow) {
                        Some(popped) => flow = popped,
                        None => continue,
                    }
                }
                sum = u64::wrapping_add(sum, fingerprint(&flow));
                again.flows.push(flow);
            }
            if serving.join(&server.joins[slot as usize], slot, &mut again.flows, end) {
                sum = again.flows[end..].iter().map(fingerprint).fold(0, u64::wrapping_add);
            }
            gain += slot_gain - server.gains[slot as usize];
            again.ends.push(again.flows.len());
            again.fingerprints.push(sum);
            again.gains.push(slot_gain);
            (start, slot) = (end, slot + 1);
            if slot == slots {
                // What is left is late: each task's deadline has passed by now.
                let left = serving.left(&again.flows[start..]);
                again.gains.push(left);
                gain += left - server.gains[slot as usize];
                break;
            }
            let planned = server.fingerprints[slot as usize];
            if sum == planned && slot > last && again.flows[start..] == server.flows[slot as usize]
            {
                break;
            }
        }
        trial.again[place] = again;
        gain
    }
}

impl Schedule<'_> {
    /// The sum of rewards of the tasks that have arrived.
    pub(crate) fn total(&self) -> f64 {
        self.total
    }

    /// The action of a task; [`ABSENT`] before it arrives.
    pub(crate) fn action(&self, task: u32) -> u32 {
        self.ways[task as usize].action
    }

    /// Gain in the sum of rewards from changing the decisions of different tasks.
    pub(crate) fn try_out(&mut self, changes: &[Change]) -> f64 {
        self.trial.begin();
        let mut gain = 0.0;
        for (number, change) in changes.iter().enumerate() {
            let device = |change: &Change| self.instance.tasks[change.task as usize].device;
            if changes[..number].iter().all(|other| device(other) != device(change)) {
                gain += self.serve_device(change.task, changes);
            }
        }
        gain += self.serve_uplinks(changes);
        for place in 0..self.trial.touched.len() {
            gain += self.serve_server(place);
        }
        gain
    }

    /// Carries out the last changes that were tried out, which gain `gain`.
    pub(crate) fn accept(&mut self, gain: f64) {
        self.total += gain;
        let Self { ways, servers, uplinks, behind, trial, .. } = self;
        if let Some(uplinks) = uplinks {
            uplinks.accept();
        }
        for &task in &trial.served {
            let old = std::mem::replace(&mut ways[task as usize], trial.ways[task as usize]);
            if trial.marks[task as usize] == trial.number && old.joins != NONE {
                let server = &mut servers[old.action as usize - 1];
                server.joins[old.joins as usize].retain(|&other| other != task);
            }
        }
        for &Join { server, slot, task } in &trial.joins {
            let joins = &mut servers[server as usize].joins[slot as usize];
            joins.insert(joins.partition_point(|&other| other < task), task);
        }
        for &task in &trial.behind_changed {
            behind[task as usize] = trial.behind[task as usize];
        }
        for (&Touched { server, first, .. }, again) in trial.touched.iter().zip(&trial.again) {
            again.replace(&mut servers[server as usize], first as usize);
        }
    }
}

/// The way of a task that is decided as `action` where its device is free from these slots on.
#[inline]
fn way(instance: &Instance, task: &Task, action: u32, cpu_free: u32, uplink_free: u32) -> Way {
    let way = Way { action, cpu_free, uplink_free, ..Way::ABSENT };
    let (service, way) = match action {
        ABSENT => return way,
        0 => {
            let service = instance.compute(task, cpu_free);
            (service, Way { cpu_free: service.free, ..way })
        }
        server => {
            let service = instance.upload(task, server - 1, uplink_free);
            (service, Way { uplink_free: service.free, ..way })
        }
    };
    way.with(task, &service)
}

/// A server under a trial.
struct Serving<'t> {
    instance: &'t Instance,
    ways: &'t [Way],
    behind: &'t [u32],
    trial: &'t mut Trial,
    server: u32,
}

impl Serving<'_> {
    #[inline]
    fn way(&self, task: u32) -> &Way {
        self.trial.way(self.ways, task)
    }

    /// What identifies a task and the way it came: a server is not as planned while it has a task whose
    /// reward is to be another.
    #[inline]
    fn member(&self, task: u32) -> u64 {
        let Way { value, sent, .. } = *self.way(task);
        spread(task) ^ value.to_bits().wrapping_mul(2 * u64::from(sent) + 1)
    }

    /// Removes the head of a flow; `None` if it was the last.
    #[inline]
    fn pop(&self, flow: Flow) -> Option<Flow> {
        if flow.head == flow.tail {
            return None;
        }
        let head = flow.head as usize;
        let changed = self.trial.behind_marks[head] == self.trial.number;
        let behind = if changed { self.trial.behind[head] } else { self.behind[head] };
        let members = flow.members.wrapping_sub(self.member(flow.head));
        Some(Flow::waiting(flow.device, behind, flow.tail, members))
    }

    /// Takes the oldest task that is not late into service; `None` if all are.
    #[inline]
    fn enter(&self, mut flow: Flow, slot: u32, gain: &mut f64) -> Option<Flow> {
        loop {
            let task = &self.instance.tasks[flow.head as usize];
            let last_slot = task.slot + task.deadline_slots - 1;
            if slot <= last_slot {
                let mbit_per_slot = self.instance.server_mbit_per_slot(self.server, flow.head);
                let remaining_mbit = task.size_mbit;
                return Some(Flow { last_slot, remaining_mbit, mbit_per_slot, ..flow });
            }
            *gain += self.late(flow.head);
            flow = self.pop(flow)?;
        }
    }

    /// The reward of the head of a flow, which ends in `slot` after that share of it.
    #[inline]
    fn end(&self, flow: &Flow, slot: u32, last_slot: f64) -> f64 {
        let delay = slot - self.instance.tasks[flow.head as usize].slot + 1;
        let done = flow.remaining_mbit <= 0.0;
        self.value(flow.head, done, delay, |sent| f64::from(slot - sent) + last_slot)
    }

    /// The reward of a task that is at its server past its deadline.
    fn late(&self, task: u32) -> f64 {
        let Task { slot, deadline_slots, .. } = self.instance.tasks[task as usize];
        let waited = |sent| f64::from((slot + deadline_slots).saturating_sub(sent));
        self.value(task, false, deadline_slots, waited)
    }

    /// The reward of a task that ends here, once `at_server` knows when it was sent and how many slots
    /// it was here then.
    #[inline]
    fn value(&self, task: u32, done: bool, delay: u32, at_server: impl Fn(u32) -> f64) -> f64 {
        let Way { value, sent, .. } = *self.way(task);
        let task = &self.instance.tasks[task as usize];
        let base = if done { 0.0 } else { task.base };
        let idle = if self.instance.idle_counts {
            (1.0 - task.alpha) * self.instance.idle(task, at_server(sent))
        } else {
            0.0
        };
        value - base - 2.0 * (task.alpha * f64::from(delay) + idle)
    }

    /// Lets the tasks that join in `slot` do so, into the flows from `first` on: those of the plan that
    /// the trial has left as they were, and those of the trial. True if there are any.
    #[inline]
    fn join(&mut self, joins: &[u32], slot: u32, flows: &mut Vec<Flow>, first: usize) -> bool {
        let others = |join: &&Join| join.slot == slot && join.server == self.server;
        if joins.is_empty() && !self.trial.joins.iter().any(|join| others(&join)) {
            return false;
        }
        let mut joining = std::mem::take(&mut self.trial.joining);
        joining.clear();
        let marks = &self.trial.marks;
        let is_planned = |task: &&u32| marks[**task as usize] != self.trial.number;
        joining.extend(joins.iter().filter(is_planned));
        let planned = joining.len();
        joining.extend(self.trial.joins.iter().filter(others).map(|join| join.task));
        if joining.len() > planned {
            // Two of one device may join in the same slot over a backhaul: the first that was sent is
            // the first.
            joining.sort_unstable();
        }
        for &task in &joining {
            self.push(task, flows, first);
        }
        let any = !joining.is_empty();
        self.trial.joining = joining;
        any
    }

    #[inline]
    fn push(&mut self, task: u32, flows: &mut Vec<Flow>, first: usize) {
        let device = self.instance.tasks[task as usize].device;
        let member = self.member(task);
        let place = first + flows[first..].iter().take_while(|flow| flow.device < device).count();
        match flows.get_mut(place) {
            Some(flow) if flow.device == device => {
                self.trial.set_behind(flow.tail, task);
                flow.tail = task;
                flow.members = flow.members.wrapping_add(member);
            }
            _ => flows.insert(place, Flow::waiting(device, task, task, member)),
        }
    }

    /// The rewards of what is left at the end.
    fn left(&self, flows: &[Flow]) -> f64 {
        let mut sum = 0.0;
        for flow in flows {
            let mut left = Some(*flow);
            while let Some(flow) = left {
                sum += self.late(flow.head);
                left = self.pop(flow);
            }
        }
        sum
    }
}

impl Flow {
    /// A flow of which no task is in service.
    #[inline]
    fn waiting(device: u32, head: u32, tail: u32, members: u64) -> Self {
        Self {
            device,
            head,
            tail,
            last_slot: NONE,
            remaining_mbit: 0.0,
            mbit_per_slot: 0.0,
            members,
        }
    }
}

impl Again {
    fn begin(&mut self, flows: &[Flow]) {
        self.flows.clear();
        self.flows.extend_from_slice(flows);
        self.ends.clear();
        self.ends.push(flows.len());
        self.fingerprints.clear();
        self.gains.clear();
    }

    /// Makes it the plan of a server from slot `first` on.
    fn replace(&self, server: &mut Server, first: usize) {
        server.gains[first..first + self.gains.len()].copy_from_slice(&self.gains);
        let next = first + 1;
        let count = self.fingerprints.len();
        server.fingerprints[next..next + count].copy_from_slice(&self.fingerprints);
        for (ends, flows) in self.ends.windows(2).zip(&mut server.flows[next..]) {
            flows.clear();
            flows.extend_from_slice(&self.flows[ends[0]..ends[1]]);
        }
    }
}

impl Trial {
    fn begin(&mut self) {
        if self.number == u32::MAX {
            self.number = 0;
            self.served_marks.fill(0);
            self.marks.fill(0);
            self.behind_marks.fill(0);
        }
        self.number += 1;
        self.served.clear();
        self.joins.clear();
        self.touched.clear();
        self.behind_changed.clear();
    }

    /// The way of a task in the trial; `planned` are those of the plan.
    #[inline]
    fn way<'w>(&'w self, planned: &'w [Way], task: u32) -> &'w Way {
        let task = task as usize;
        if self.marks[task] == self.number { &self.ways[task] } else { &planned[task] }
    }

    /// The same with when its device is free after it, also of a task that ends as planned.
    fn served_way<'w>(&'w self, planned: &'w [Way], task: u32) -> &'w Way {
        let task = task as usize;
        if self.served_marks[task] == self.number { &self.ways[task] } else { &planned[task] }
    }

    /// Gives a task the way `new` where the plan has `old`; returns what that gains before it joins a
    /// server, compared with what it was given before.
    #[inline]
    fn set_way(&mut self, task: u32, old: &Way, new: Way) -> f64 {
        let place = task as usize;
        let before = if self.served_marks[place] == self.number {
            self.ways[place].ended()
        } else {
            self.served_marks[place] = self.number;
            self.served.push(task);
            old.ended()
        };
        self.ways[place] = new;
        if !new.differs(old) {
            return new.ended() - before;
        }
        self.marks[place] = self.number;
        if old.joins != NONE {
            self.touch(old.action - 1, old.joins);
        }
        if new.joins != NONE {
            let (server, slot) = (new.action - 1, new.joins);
            self.touch(server, slot);
            self.joins.push(Join { server, slot, task });
        }
        new.ended() - before
    }

    fn set_behind(&mut self, task: u32, behind: u32) {
        self.behind[task as usize] = behind;
        self.behind_marks[task as usize] = self.number;
        self.behind_changed.push(task);
    }

    fn touch(&mut self, server: u32, slot: u32) {
        match self.touched.iter_mut().find(|touched| touched.server == server) {
            Some(touched) => {
                touched.first = touched.first.min(slot);
                touched.last = touched.last.max(slot);
            }
            None => self.touched.push(Touched { server, first: slot, last: slot }),
        }
    }
}
