//! A policy that exports and merges: a table of numbers per device, which it writes in several
//! formats, some of them wrong.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    Context, EpisodeStart, Error, ExportRequest, Exportable, ExportedFile, Mergeable, Needs,
    Observation, Policy, Saved,
};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    numbers: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { numbers: 3 }
    }
}

/// Numbers of each device; computes locally whatever they are.
struct Capable {
    networks: Vec<Vec<f32>>,
}

fn numbers(checkpoint: &[u8]) -> Result<Vec<f32>, Error> {
    match checkpoint.as_chunks::<4>() {
        (numbers, []) => Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        _ => Err(Error::new("not a checkpoint of it")),
    }
}

impl Policy for Capable {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let Parameters { numbers } = context.parameters()?;
        Ok(Self { networks: vec![vec![0.0; numbers]; context.system.devices()] })
    }

    fn begin_episode(&mut self, _: &EpisodeStart<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        actions.fill(0);
        Ok(())
    }
}

impl Saved for Capable {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(self.networks.concat().iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        self.checkpoint()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (numbers, length) = (numbers(bytes)?, self.networks[0].len());
        self.networks = numbers.chunks(length).map(<[f32]>::to_vec).collect();
        Ok(())
    }
}

impl Mergeable for Capable {
    fn networks(&self) -> usize {
        self.networks.len()
    }

    fn parameters(&self, network: usize) -> Result<Vec<f32>, Error> {
        // 13 is a number it cannot stand.
        let bad = |number: &f32| if *number == 13.0 { f32::NAN } else { *number };
        Ok(self.networks[network].iter().map(bad).collect())
    }

    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), Error> {
        self.networks[network].copy_from_slice(parameters);
        Ok(())
    }
}

impl Exportable for Capable {
    fn formats() -> &'static [&'static str] {
        &["text", "two", "panic", "folder", "twice", "nothing"]
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let numbers = numbers(checkpoint)?;
        let Some(number) = numbers.get(request.network) else {
            return Err(Error::new(format!("there is no network {}", request.network)));
        };
        let file = |name: &str| ExportedFile {
            name: name.to_owned(),
            bytes: number.to_string().into_bytes(),
            note: format!("{} numbers", numbers.len()),
        };
        Ok(match request.format.as_str() {
            "text" => vec![file("network.txt")],
            "two" => vec![file("a.txt"), file("b.txt")],
            "folder" => vec![file("../network.txt")],
            "twice" => vec![file("network.txt"), file("network.txt")],
            "nothing" => vec![],
            format => panic!("exporting as {format}"),
        })
    }
}

offramp_plugin::register_policy!(
    Capable,
    "capable",
    "Exports and merges.",
    [exportable, mergeable],
);
offramp_plugin::export_plugin!();
