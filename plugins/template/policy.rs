//! the-name: a policy for offramp.

use offramp_plugin::{Context, Error, Needs, Observation, Policy, ServerColumn};

/// Sends every task to the server at which the fewest devices were active in the last slot.
struct TheName {
    load: ServerColumn,
}

impl Policy for TheName {
    // What `decide` reads; nothing else is computed.
    const NEEDS: Needs = Needs::SERVERS;

    // Parameters are read by `context.parameters()?`; a file that they name is found by
    // `context.path(…)?`, and stated in `files`, so that it belongs to a run's results.
    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        Ok(Self { load: context.server_column("load")? })
    }

    // Once in each slot with tasks: one action for each of them, 0 to compute locally, j = 1 … M
    // to send it to server j.
    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        let load = observation.server(self.load);
        let least = (1..).zip(load).min_by(|a, b| a.1.total_cmp(b.1));
        actions.fill(least.map_or(0, |(server, _)| server));
        Ok(())
    }
}

offramp_plugin::register_policy!(TheName, "the-name", "Sends all to the idlest server.");
offramp_plugin::export_plugin!();

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    #[test]
    fn it_sends_all_to_the_idlest_server() {
        let mut bench = Bench::new(2, 3);
        bench.set_server("load", &[4.0, 1.0, 2.0]);
        let mut policy: TheName = bench.create().unwrap();
        assert_eq!(bench.decide(&mut policy).unwrap(), [2, 2]);
    }
}
