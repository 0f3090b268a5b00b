//! A policy that does whatever wrong thing its parameters ask for.

use std::hint::black_box;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, Counterfactuals, EpisodeStart, Error, Explorer, Learner, Needs, Observation, Policy,
    Progress, Saved, Student, TransitionBatch, ValueFunction,
};

#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(crate = "offramp_plugin::serde")]
enum Misdeed {
    /// Panics in the call of that name.
    PanicIn(String),
    /// Gives an error in the call of that name.
    FailIn(String),
    /// Decides for this action.
    Decide(u32),
    /// Leaves every other row undecided.
    TooShort,
    /// Gives values, and a loss, that are no numbers.
    NotANumber,
    /// Takes the process along, in this way, in `decide`.
    Ruin(Ruin),
    /// Takes the process along in the call of that name.
    RuinIn(String, Ruin),
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(crate = "offramp_plugin::serde")]
enum Ruin {
    Segfault,
    Abort,
    Overflow,
    Exit,
    /// Ends the process as if all were well.
    ExitZero,
    /// Likewise, on a thread of its own, while the call waits for it.
    ExitOnThread,
    /// Likewise, some time after the call.
    ExitLater,
    /// Never comes back.
    Loop,
    /// Takes memory until there is none.
    Hoard,
    /// Fails, and never comes back from being dropped.
    LoopInDrop,
}

impl Ruin {
    fn come(self) {
        match self {
            // SAFETY: there is none; that is what it is for.
            #[expect(unsafe_code, reason = "a plugin in native code may do it")]
            Self::Segfault => unsafe {
                std::ptr::without_provenance_mut::<u64>(64).write_volatile(1)
            },
            Self::Abort => std::process::abort(),
            Self::Overflow => assert!(deeper(1) > 0),
            Self::Exit => std::process::exit(3),
            Self::ExitZero => std::process::exit(0),
            Self::ExitOnThread => {
                let _ = std::thread::spawn(|| std::process::exit(0)).join();
            }
            Self::ExitLater => drop(std::thread::spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                std::process::exit(0)
            })),
            Self::Loop | Self::LoopInDrop => loop {
                std::hint::spin_loop();
            },
            Self::Hoard => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1_u8; 1 << 24]);
                }
            }
        }
    }
}

/// Takes stack until there is none.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    black_box([depth; 64])[0] + deeper(depth + 1)
}

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    misdeed: Misdeed,
}

struct Hostile {
    misdeed: Misdeed,
}

impl Hostile {
    fn call(&self, name: &str) -> Result<(), Error> {
        match &self.misdeed {
            Misdeed::PanicIn(call) if call == name => panic!("hostile in {name}"),
            Misdeed::FailIn(call) if call == name => Err(Error::new(format!("{name} refused"))),
            Misdeed::RuinIn(call, ruin) if call == name => {
                ruin.come();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if self.misdeed == Misdeed::Ruin(Ruin::LoopInDrop) {
            Ruin::LoopInDrop.come();
        }
        let _ = self.call("drop");
    }
}

impl Policy for Hostile {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { misdeed } = context.parameters()?;
        let hostile = Self { misdeed };
        hostile.call("create")?;
        Ok(hostile)
    }

    fn begin_episode(&mut self, _: &EpisodeStart) -> Result<(), Error> {
        self.call("begin_episode")
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        self.call("decide")?;
        match self.misdeed {
            Misdeed::TooShort => actions.iter_mut().step_by(2).for_each(|action| *action = 0),
            Misdeed::Decide(decision) => actions.fill(decision),
            Misdeed::Ruin(Ruin::LoopInDrop) => return Err(Error::new("decide refused")),
            Misdeed::Ruin(ruin) => ruin.come(),
            _ => actions.fill(0),
        }
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), Error> {
        self.call("end_episode")
    }
}

impl Saved for Hostile {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        self.call("checkpoint")?;
        Ok(vec![1])
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        self.call("save")?;
        Ok(vec![1, 2, 3])
    }

    fn load(&mut self, _: &[u8]) -> Result<(), Error> {
        self.call("load")
    }
}

impl Learner for Hostile {
    fn record(&mut self, _: &TransitionBatch<'_>) -> Result<(), Error> {
        self.call("record")
    }

    fn learn(&mut self) -> Result<Progress, Error> {
        self.call("learn")?;
        let loss = if self.misdeed == Misdeed::NotANumber { f64::NAN } else { 0.0 };
        Ok(Progress { updates: 1, recent_updates: 1, loss })
    }

    fn judged_tasks(&self) -> u64 {
        match &self.misdeed {
            Misdeed::PanicIn(call) | Misdeed::FailIn(call) | Misdeed::RuinIn(call, _)
                if call == "judge" =>
            {
                u64::MAX
            }
            _ => 0,
        }
    }

    fn judge(&mut self, _: &Counterfactuals<'_>) -> Result<(), Error> {
        self.call("judge")
    }
}

impl ValueFunction for Hostile {
    fn values(&mut self, _: &Observation<'_>, values: &mut [f32]) -> Result<(), Error> {
        self.call("values")?;
        // As NotANumber it fills all but one; the host must notice.
        let filled =
            if self.misdeed == Misdeed::NotANumber { values.len() - 1 } else { values.len() };
        values[..filled].fill(1.0);
        Ok(())
    }
}

impl Student for Hostile {
    fn fit(&mut self, _: &Observation<'_>, _: &[f32]) -> Result<f64, Error> {
        self.call("fit")?;
        Ok(if self.misdeed == Misdeed::NotANumber { f64::INFINITY } else { 0.0 })
    }
}

/// Of the same name, registered twice around the policy: whatever order the linker makes of it,
/// a scenario that asks for the policy must get the policy.
struct HostileExplorer {
    /// Instead of proposing.
    ruin: Option<Ruin>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct ExplorerParameters {
    ruin: Option<Ruin>,
}

impl Explorer for HostileExplorer {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let ExplorerParameters { ruin } = context.parameters()?;
        Ok(Self { ruin })
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        _: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        if let Some(ruin) = self.ruin {
            ruin.come();
        }
        // Out of range on purpose.
        actions.fill(observation.rows() as u32 + 1_000);
        Ok(1.0)
    }
}

offramp_plugin::register_policy!(Hostile, "hostile", "Misbehaves as it is told.");
offramp_plugin::register_policy!(
    Hostile,
    "hostile-learner",
    "Misbehaves as it is told, also while it learns.",
    [saved, learner, value_function, student],
);
offramp_plugin::register_explorer!(HostileExplorer, "hostile", "Proposes what can't be done.");
offramp_plugin::export_plugin!();
