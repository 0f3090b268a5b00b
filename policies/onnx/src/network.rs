//! The network that a file describes, ready to be evaluated: inputs and output found, shapes
//! checked.

use std::sync::Arc;

use offramp_plugin::{Context, Error};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueView};
use rten_onnx::onnx::{DataType, GraphProto, ValueInfoProto};

use crate::file::OnnxFile;

/// What a network sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Features,
    History,
}

/// The rows that are evaluated in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    /// As many as there are.
    Open,
    /// Always this many, 1 … [`MAX_BATCH`].
    Fixed(usize),
}

/// The largest fixed batch: rows that do not wait for a decision are filled up to it.
const MAX_BATCH: usize = 1 << 16;

/// The numbers of the scenario that decide the shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// F.
    pub(crate) features: usize,
    /// K.
    pub(crate) history_slots: usize,
    /// M.
    pub(crate) servers: usize,
}

impl Sizes {
    pub(crate) fn of(context: &Context<'_>) -> Self {
        Self {
            features: context.observation.features.len(),
            history_slots: context.observation.history_slots as usize,
            servers: context.system.servers(),
        }
    }

    /// 1 + M.
    pub(crate) fn actions(&self) -> usize {
        1 + self.servers
    }

    /// The shape of a row of an input.
    fn row(&self, input: Input) -> Vec<usize> {
        match input {
            Input::Features => vec![self.features],
            Input::History => vec![self.history_slots, self.servers],
        }
    }
}

pub(crate) struct Network {
    model: Arc<Model>,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
    batch: Batch,
    sizes: Sizes,
    /// One thread of its own: the runtime evaluates in a pool, by default one for all cores.
    pool: Arc<ThreadPool>,
}

impl Network {
    /// Loads the network, checks its shapes and evaluates it once.
    pub(crate) fn load(file: OnnxFile, sizes: Sizes) -> Result<Self, Error> {
        let inputs = inputs_of(&file.graph)?;
        let output = output_of(&file.graph)?;
        let mut batch = Batch::Open;
        for (value, input) in &inputs {
            let what = match input {
                Input::Features => format!("the scenario has {} features", sizes.features),
                Input::History => format!(
                    "the scenario has {} slots of history of {} servers",
                    sizes.history_slots, sizes.servers
                ),
            };
            batch = batch.and(check(value, "input", &sizes.row(*input), &what)?)?;
        }
        let what = format!("a value for each action of the scenario, {}", sizes.actions());
        batch = batch.and(check(output, "output", &[sizes.actions()], &what)?)?;
        let names: Vec<_> = inputs.iter().map(|(value, input)| (name(value), *input)).collect();
        let output = name(output);
        let model = ModelOptions::with_all_ops()
            .load(file.into_bytes()?)
            .map_err(|error| Error::new(format!("it cannot be loaded: {error}")))?;
        let inputs = names.iter().map(|(name, input)| Ok((model.node_id(name)?, *input)));
        let inputs = inputs.collect::<Result<_, Error>>()?;
        let output = model.node_id(&output)?;
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        let mut network = Self { model: Arc::new(model), inputs, output, batch, sizes, pool };
        network.try_out()?;
        Ok(network)
    }

    /// The same network, to be evaluated on a thread of its own.
    pub(crate) fn shared(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            inputs: self.inputs.clone(),
            pool: Arc::new(ThreadPool::with_num_threads(1)),
            ..*self
        }
    }

    /// Evaluates it on zeros. A file may leave the batch open in name only (the older exporter of
    /// PyTorch wrote such LSTMs): it is evaluated row by row.
    fn try_out(&mut self) -> Result<(), Error> {
        let rows = 2;
        let attempt = |network: &Self| {
            let window = network.sizes.history_slots * network.sizes.servers;
            let mut features = vec![0.0; rows * network.sizes.features];
            let mut history = vec![0.0; rows * window];
            let mut values = vec![0.0; rows * network.sizes.actions()];
            network.evaluate(&mut features, &mut history, &mut values)
        };
        let Err(error) = attempt(self) else { return Ok(()) };
        if self.batch == Batch::Open {
            self.batch = Batch::Fixed(1);
            if attempt(self).is_ok() {
                return Ok(());
            }
        }
        Err(error)
    }

    /// True if it sees the history.
    pub(crate) fn sees_history(&self) -> bool {
        self.inputs.iter().any(|(_, input)| *input == Input::History)
    }

    /// Fills `values`, rows × (1 + M), from rows × F features and rows × K × M loads. Both are
    /// extended by what the batch of the network needs.
    pub(crate) fn evaluate(
        &self,
        features: &mut Vec<f32>,
        history: &mut Vec<f32>,
        values: &mut [f32],
    ) -> Result<(), Error> {
        let actions = self.sizes.actions();
        let rows = values.len() / actions;
        if rows == 0 {
            return Ok(());
        }
        let batch = match self.batch {
            Batch::Open => rows,
            Batch::Fixed(batch) => batch,
        };
        let padded = rows.next_multiple_of(batch);
        let window = self.sizes.history_slots * self.sizes.servers;
        features.resize(padded * self.sizes.features, 0.0);
        if self.sees_history() {
            history.resize(padded * window, 0.0);
        }
        let (features, history) = (features.as_slice(), history.as_slice());
        // One visit to the pool, not one per batch.
        self.pool.run(|| {
            for (number, values) in values.chunks_mut(batch * actions).enumerate() {
                let inputs = self.inputs.iter().map(|&(id, input)| {
                    let all = match input {
                        Input::Features => features,
                        Input::History => history,
                    };
                    let row = self.sizes.row(input);
                    let length = batch * row.iter().product::<usize>();
                    let part = &all[number * length..(number + 1) * length];
                    let shape = [vec![batch], row].concat();
                    Ok((id, ValueView::from_shape(shape.as_slice(), part)?.into()))
                });
                let inputs = inputs.collect::<Result<Vec<_>, Error>>()?;
                let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
                let given = self.model.run_n(inputs, [self.output], Some(options));
                let [given] = given.map_err(|error| {
                    Error::new(format!("the network cannot be evaluated: {error}"))
                })?;
                values.copy_from_slice(&self.numbers(given, batch)?[..values.len()]);
            }
            Ok(())
        })
    }

    /// The numbers of an output for `batch` rows.
    fn numbers(&self, given: Value, batch: usize) -> Result<Vec<f32>, Error> {
        let actions = self.sizes.actions();
        let (shape, numbers) = given.into_shape_vec::<f32, 2>().map_err(|error| {
            Error::new(format!(
                "the network does not return {batch} × {actions} values of f32: {error}"
            ))
        })?;
        if shape != [batch, actions] {
            let [found_rows, found] = shape;
            return Err(Error::new(format!(
                "the network returns {found_rows} × {found} values for {batch} rows; {batch} × \
                 {actions} are needed: one for each action"
            )));
        }
        Ok(numbers)
    }
}

impl Batch {
    fn and(self, other: Self) -> Result<Self, Error> {
        match (self, other) {
            (Self::Open, batch) | (batch, Self::Open) => Ok(batch),
            (Self::Fixed(one), Self::Fixed(other)) if one == other => Ok(self),
            (Self::Fixed(one), Self::Fixed(other)) => Err(Error::new(format!(
                "its inputs and output have batches of {one} and {other} rows"
            ))),
        }
    }
}

fn name(value: &ValueInfoProto) -> String {
    value.name.clone().unwrap_or_default()
}

/// The inputs, recognised by their names or else by their order, features first.
fn inputs_of(graph: &GraphProto) -> Result<Vec<(ValueInfoProto, Input)>, Error> {
    // Old files list their weights as inputs too.
    let is_weight =
        |value: &&ValueInfoProto| graph.initializer.iter().any(|weight| weight.name == value.name);
    let inputs: Vec<_> = graph.input.iter().filter(|value| !is_weight(value)).collect();
    let is = |at: usize, wanted: &str| {
        inputs.get(at).is_some_and(|value| value.name.as_deref() == Some(wanted))
    };
    let order = match inputs.len() {
        1 if is(0, "history") => vec![Input::History],
        1 => vec![Input::Features],
        2 if is(0, "history") || is(1, "features") => vec![Input::History, Input::Features],
        2 => vec![Input::Features, Input::History],
        count => {
            let names: Vec<_> = inputs.iter().map(|value| name(value)).collect();
            return Err(Error::new(format!(
                "it has {count} inputs ({}); `features`, or `features` and `history` are needed",
                names.join(", ")
            )));
        }
    };
    Ok(inputs.into_iter().cloned().zip(order).collect())
}

/// The output of this name, or else the first.
fn output_of(graph: &GraphProto) -> Result<&ValueInfoProto, Error> {
    let mut outputs = graph.output.iter();
    let named = outputs.find(|value| value.name.as_deref() == Some("values"));
    named.or(graph.output.first()).ok_or_else(|| Error::new("it has no output"))
}

/// Checks what the file declares of an input or output whose rows need the shape `row`, which
/// comes from `reason`, and returns its batch.
fn check(value: &ValueInfoProto, role: &str, row: &[usize], reason: &str) -> Result<Batch, Error> {
    let declared = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let kind = declared.and_then(|tensor| tensor.elem_type).unwrap_or(DataType::FLOAT);
    let Some(shape) = declared.and_then(|tensor| tensor.shape.as_ref()) else {
        if kind == DataType::FLOAT {
            return Ok(Batch::Open);
        }
        return Err(Error::new(format!("{role} `{}` is {kind}; FLOAT is needed", name(value))));
    };
    // A dimension without a number is open: it has a name, or nothing.
    let sizes: Vec<Option<usize>> = shape
        .dim
        .iter()
        .map(|dimension| dimension.dim_value.and_then(|size| usize::try_from(size).ok()))
        .collect();
    let fits = |(size, needed): (&Option<usize>, &usize)| size.is_none_or(|size| size == *needed);
    if let Some((batch, rest)) = sizes.split_first()
        && rest.len() == row.len()
        && rest.iter().zip(row).all(fits)
        && kind == DataType::FLOAT
        && batch.is_none_or(|batch| (1..=MAX_BATCH).contains(&batch))
    {
        return Ok(batch.map_or(Batch::Open, Batch::Fixed));
    }
    let shown = |size: &Option<usize>| size.map_or_else(|| "N".to_owned(), |size| size.to_string());
    let found: Vec<String> = sizes.iter().map(shown).collect();
    let needed: Vec<String> = row.iter().map(usize::to_string).collect();
    Err(Error::new(format!(
        "{role} `{}` is {} of {kind}; N × {} of FLOAT is needed ({reason})",
        name(value),
        found.join(" × "),
        needed.join(" × "),
    )))
}
