//! Search for hyper-parameters: fields of a training or distillation are chosen on validation
//! episodes, within a budget that is stated.
//!
//! [`Tuning::new`] draws configurations at random from the scenario's space (Bergstra and Bengio
//! 2012) and plans the rungs of successive halving (Jamieson and Talwalkar 2016; one bracket of
//! Hyperband, Li and others 2018). [`Tuning::run`] trains or distils every rung and returns what
//! came out.
//!
//! - Each rung learns anew. Learning rates and exploration fall over shares of a training, so a short
//!   one is not the beginning of a longer one; to continue it would compare something else. What that
//!   takes is counted.
//! - All configurations of a rung learn under the same seed, the finalists under several.
//! - A configuration is judged by the checkpoint with the best validation, on episodes of the search:
//!   the same for all of it, and others than those of the validation. The best of many validations is
//!   better on its own episodes than on others, by the more the more a training swings.
//! - The budget counts what is learned from: slots of training episodes, or steps of distillations.
//!   The number of configurations follows from it, so every learner can have the same.
//!
//! ```text
//! OUT/scenario.ron                the scenario as it was searched
//! OUT/tune.csv                    one row per rung, configuration and seed
//! OUT/timing.csv                  the seconds of each
//! OUT/chosen.ron                  the chosen values: a file of settings, for scenarios and studies
//! OUT/parts.json                  what the search is made of: it resumes with nothing else
//! OUT/rung-R/configuration-C-seed-S/  a training or a distillation, as `train` and `distill` write it
//! ```

mod configurations;
mod error;
mod lesson;
mod plan;
mod run;
mod tuning;

pub use error::TuneError;
pub use tuning::Tuning;
