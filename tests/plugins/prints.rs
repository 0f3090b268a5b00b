//! A policy that prints to standard output in every call, by itself and through a process.

use offramp_plugin::{Context, EpisodeStart, Error, Needs, Observation, Policy};

struct Prints;

#[expect(clippy::print_stdout, reason = "what it is for")]
fn print(call: &str) {
    println!("printed in {call}");
    // A process of its own inherits descriptor 1.
    let _ = std::process::Command::new("echo").arg("echoed").status();
}

impl Policy for Prints {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        context.no_parameters()?;
        print("create");
        Ok(Self)
    }

    fn begin_episode(&mut self, _: &EpisodeStart<'_>) -> Result<(), Error> {
        print("begin_episode");
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        if observation.slot == 0 {
            print("decide");
        }
        actions.fill(0);
        Ok(())
    }
}

offramp_plugin::register_policy!(Prints, "prints", "Computes locally, and says so.");
offramp_plugin::export_plugin!();
