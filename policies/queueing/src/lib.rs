//! Two references from queueing theory: round robin and join the shortest queue.

use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, LinkColumn, Needs, Observation, Policy, ServerColumn,
    TaskColumn,
};

/// Each device takes its own CPU and the servers in turn; devices start at different ones.
struct RoundRobin {
    actions: u32,
    /// The next action of each device.
    next: Vec<u32>,
}

impl Policy for RoundRobin {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        let actions = context.system.actions() as u32;
        Ok(Self { actions, next: vec![0; context.system.devices()] })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.actions = start.system.actions() as u32;
        let devices = 0..start.system.devices() as u32;
        self.next.clear();
        self.next.extend(devices.map(|device| device % self.actions));
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (action, &device) in actions.iter_mut().zip(observation.devices.iter()) {
            let next = &mut self.next[device as usize];
            *action = *next;
            *next = (*next + 1) % self.actions;
        }
        Ok(())
    }
}

/// An idle CPU computes; otherwise the task joins the server with the fewest active devices in the
/// last slot, of those that cover the device; without coverage it computes. Ties go to the next
/// server after the device's own index.
struct ShortestQueue {
    compute_queue_slots: TaskColumn,
    uplink_mbps: LinkColumn,
    load: ServerColumn,
}

impl Policy for ShortestQueue {
    const NEEDS: Needs = Needs::TASKS.and(Needs::LINKS).and(Needs::SERVERS);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self {
            compute_queue_slots: context.task_column("compute_queue_slots")?,
            uplink_mbps: context.link_column("uplink_mbps")?,
            load: context.server_column("load")?,
        })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let load = observation.server(self.load);
        for (row, action) in actions.iter_mut().enumerate() {
            *action = if observation.task(row, self.compute_queue_slots) <= 0.0 {
                0
            } else {
                let first = observation.devices[row] as usize % load.len();
                let rates = observation.link(row, self.uplink_mbps);
                let covers = |&server: &usize| rates[server] > 0.0;
                let servers = (first..load.len()).chain(0..first).filter(covers);
                let shortest = servers.min_by(|&a, &b| load[a].total_cmp(&load[b]));
                shortest.map_or(0, |server| server as u32 + 1)
            };
        }
        Ok(())
    }
}

impl AnySystem for RoundRobin {}
impl AnySystem for ShortestQueue {}

offramp_plugin::register_policy!(
    RoundRobin,
    "round-robin",
    "Takes the device's CPU and the servers in turn.",
    [any_system],
);
offramp_plugin::register_policy!(
    ShortestQueue,
    "shortest-queue",
    "Computes on an idle CPU, else joins the server with the fewest active devices.",
    [any_system],
);
offramp_plugin::export_plugin!();
