//! The world that a scenario describes, from its fields to the system.

use std::path::Path;

use offramp_model::world::{Fading, PathLoss, RadioParameters, Shadowing};
use offramp_scenario::Experiment;

/// The radio channel of a scenario with these fields in `world.radio`, or the fault.
fn radio(fields: &str) -> Result<RadioParameters, String> {
    let text = format!("(name: \"x\", world: (stations: Grid(2, 2), radio: ({fields})))");
    let experiment = Experiment::parse("x.ron", text, Path::new("."), &[]);
    let experiment = experiment.map_err(|fault| fault.message)?;
    let world = experiment.points[0].system.parameters().world.clone();
    world
        .and_then(|world| Some(world.radio.as_ref()?.parameters().clone()))
        .ok_or("no radio".into())
}

#[test]
fn each_form_of_a_channel_is_the_one_that_is_named() {
    let channel = |fields: &str| {
        let RadioParameters { path_loss, shadowing, fading, .. } = radio(fields).unwrap();
        (path_loss, shadowing, fading)
    };
    let urban = (PathLoss::Umi, Shadowing::Standard, Fading::Rayleigh);
    assert_eq!(channel(""), urban);
    assert_eq!(channel("shadowing: Standard, fading: Rayleigh, path_loss: Umi"), urban);
    assert_eq!(channel("shadowing: None"), (PathLoss::Umi, Shadowing::None, Fading::Rayleigh));
    assert_eq!(channel("fading: None"), (PathLoss::Umi, Shadowing::Standard, Fading::None));
    assert_eq!(
        channel("path_loss: Uma, fading: Rician(k_db: 9)"),
        (PathLoss::Uma, Shadowing::Standard, Fading::Rician { k_db: 9.0 })
    );
    // These have no standard shadowing.
    assert_eq!(
        channel("path_loss: FreeSpace"),
        (PathLoss::FreeSpace, Shadowing::None, Fading::Rayleigh)
    );
    let own = "path_loss: LogDistance(exponent: 3, reference_db: 43), \
               shadowing: Gudmundson(sigma_db: 6, correlation_m: 20)";
    assert_eq!(
        channel(own),
        (
            PathLoss::LogDistance { exponent: 3.0, reference_db: 43.0 },
            Shadowing::Gudmundson { sigma_db: 6.0, correlation_m: 20.0 },
            Fading::Rayleigh
        )
    );
    let fault = radio("path_loss: FreeSpace, shadowing: Standard").unwrap_err();
    assert_eq!(fault, "only Umi and Uma have a standard shadowing");
}
