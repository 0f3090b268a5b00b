//! Any ONNX file that maps an observation to Q values, as a policy without code:
//! `(plugin: "onnx", checkpoint: "network.onnx")`.
//!
//! ```text
//! in   features  N × F      o, unscaled, in the order of the scenario's observation
//! in   history   N × K × M  the loads of the last K slots, the oldest first, unscaled
//! out  values    N × (1+M)  Q of every action, finite; the largest is taken
//! ```
//!
//! All f32. Inputs are recognised by these names, or else by their order; one of the two may be
//! missing. The output is the one of this name, or else the first. If N is open, all rows of a
//! slot are evaluated in one call; if it is a number, in groups of that many, the last one filled
//! up with zeros. Weights may be in files beside the network.
//!
//! `offramp export --as onnx` writes such files, and so does PyTorch:
//!
//! ```python
//! torch.onnx.export(
//!     module, (torch.rand(4, F), torch.rand(4, K, M)), "network.onnx",
//!     input_names=["features", "history"], output_names=["values"],
//!     dynamic_shapes=({0: torch.export.Dim("N")}, {0: torch.export.Dim("N")}),
//! )
//! ```
//!
//! What it was trained on can be stated in the file's metadata, as `offramp export` does, and is
//! then held to the scenario: `observation` (`Paper`, `Extended`, `Published` or `Columns`),
//! `features` (their names, with commas), `servers` (M) and `history_slots` (K). One network of
//! several, one per device, has its number in `network` and theirs in `networks`. From Python:
//!
//! ```python
//! model = onnx.load("network.onnx", load_external_data=False)
//! onnx.helper.set_model_props(model, {"observation": "Paper", "network": "3", "networks": "50"})
//! onnx.save(model, "network.onnx")
//! ```
//!
//! The network of one device is refused where there are several, unless `parameters:
//! (for_all_devices: true)` says that it is to decide for all.
//!
//! # The runtime
//! rten, pure Rust. tract, the other one, lost by what it reads, speed and build time (each with
//! the files that both exporters of PyTorch wrote for the networks in `tests/fixtures`; one core):
//!
//! |                                              | rten 0.27 | tract 0.22 |
//! |----------------------------------------------|-----------|------------|
//! | dense, open batch: µs per row, 15 rows        |       0.7 |        0.4 |
//! | LSTM, open batch: µs per row, 15 rows         |       2.5 |       11.7 |
//! | LSTM, batch of 1: µs per row                  |        18 |         65 |
//! | loading an LSTM with open batch, per episode  |    0.3 ms |      44 ms |
//! | release build from nothing, CPU               |      75 s |      361 s |
//! | packages, itself included                     |        24 |        147 |
//!
//! Both are MIT or Apache-2.0. tract also needs its batch pinned for an LSTM to be fast, and
//! cannot pin it in files of PyTorch's current exporter ("impossible to unify").

mod facts;
mod file;
mod network;
mod policy;
#[cfg(test)]
mod tests;
mod wire;

use policy::Onnx;

offramp_plugin::register_policy!(
    Onnx,
    "onnx",
    "Takes the action with the largest value of an ONNX network.",
    [value_function],
);
offramp_plugin::export_plugin!();
