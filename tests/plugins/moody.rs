//! A policy that computes locally, or crashes, hangs or leaks in some slot, as its number has it.

mod mood;

use std::time::Duration;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, Error, Needs, Observation, Policy};

use mood::{Mood, mixed};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    number: u64,
}

struct Moody {
    mood: Mood,
    slot: u64,
}

/// Takes so many MiB, and never gives them back.
fn leak(mib: usize) {
    std::mem::forget(vec![1_u8; mib << 20]);
}

impl Policy for Moody {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { number } = context.parameters()?;
        Ok(Self { mood: Mood::of(number), slot: mixed(number ^ (1 << 40)) % 20 })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(0);
        if self.mood == Mood::Leaking {
            std::mem::forget(vec![1_u8; 1 << 16]);
        }
        if u64::from(observation.slot) != self.slot {
            return Ok(());
        }
        match self.mood {
            Mood::Fine | Mood::Leaking => {}
            Mood::Hoarding => leak(400),
            // SAFETY: there is none; that is what it is for.
            #[expect(unsafe_code, reason = "a plugin in native code may do it")]
            Mood::Segfaulting => unsafe {
                std::ptr::without_provenance_mut::<u64>(64).write_volatile(1);
            },
            Mood::Aborting => std::process::abort(),
            Mood::Leaving => std::process::exit(0),
            Mood::Panicking => panic!("in a mood"),
            Mood::Spinning => loop {
                std::hint::spin_loop();
            },
            Mood::Sleeping => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
        }
        Ok(())
    }
}

offramp_plugin::register_policy!(Moody, "moody", "Computes locally, or does not.");
offramp_plugin::export_plugin!();
