//! The layers after the LSTM, forwards and backwards: embeddings, their mean and maximum, the hidden
//! layer and the heads. Learning and deciding share them.

use super::batch::{Offsets, SetBatch};
use super::shape::{EmbedRows, HiddenRows, SetLayers, SetShape};
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN, duel_backward, duel_of};
use crate::lstm::grow;
use crate::real::Real;
use crate::rows::{
    add_outer, add_product, add_row, fill_rows, input_gradient, pool, relu, relu_backward,
};

/// Buffers of a forward pass, rows one after the other. Servers and pairs of a row and a server are
/// counted as [`Offsets`] has them.
#[derive(Clone, Debug)]
pub(crate) struct Dense<F> {
    pub(crate) shape: SetShape,
    pub(crate) layers: SetLayers,
    pub(crate) offsets: Offsets,
    /// The LSTM's last output, then the features of each server: servers × (L + S). The former is
    /// to be filled in before a forward pass.
    pub(crate) server_inputs: Vec<F>,
    /// What an embedding takes of the server alone, servers × E.
    of_servers: Vec<F>,
    /// What an embedding takes of the device alone, with its bias, rows × E.
    of_devices: Vec<F>,
    /// e, pairs × E.
    embedded: Vec<F>,
    /// Features of the device, mean and maximum of e: rows × (D + 2E).
    context: Vec<F>,
    /// What the hidden layer takes of the context, with its bias: rows × H.
    of_context: Vec<F>,
    /// The hidden layer of computing locally, rows × H.
    local: Vec<F>,
    /// The hidden layer of each server, pairs × H.
    hidden: Vec<F>,
    /// V and A of computing locally, rows × 2.
    heads: Vec<F>,
    /// A of each server, pairs.
    advantages: Vec<F>,
}

/// Buffers of a backward pass: ∂L by what [`Dense`] has under the same names.
#[derive(Clone, Debug, Default)]
pub(crate) struct DenseGradient<F> {
    of_servers: Vec<F>,
    of_devices: Vec<F>,
    embedded: Vec<F>,
    /// By mean and maximum, rows × 2E.
    pooled: Vec<F>,
    of_context: Vec<F>,
    local: Vec<F>,
    hidden: Vec<F>,
    heads: Vec<F>,
    advantages: Vec<F>,
    /// By the LSTM's last output, servers × L.
    pub(crate) outputs: Vec<F>,
    /// V and A of all actions of a row.
    row: Vec<F>,
    turned: Vec<F>,
}

impl<F: Real> Dense<F> {
    pub(crate) fn new(shape: SetShape) -> Self {
        Self {
            layers: shape.layers(),
            shape,
            offsets: Offsets::default(),
            server_inputs: Vec::new(),
            of_servers: Vec::new(),
            of_devices: Vec::new(),
            embedded: Vec::new(),
            context: Vec::new(),
            of_context: Vec::new(),
            local: Vec::new(),
            hidden: Vec::new(),
            heads: Vec::new(),
            advantages: Vec::new(),
        }
    }

    /// Takes in the features of a batch.
    ///
    /// # Panics
    /// If a slice does not have the length that the others and the shape require.
    pub(crate) fn take_in(&mut self, batch: &SetBatch<'_, F>) {
        let Self { shape, offsets, .. } = self;
        offsets.set(shape, batch);
        let SetShape { device_features, server_features, lstm, embedding, hidden, .. } = *shape;
        let (rows, servers) = (offsets.rows(), offsets.all_servers());
        let pairs = offsets.pairs_of_first(rows);
        grow(&mut self.server_inputs, servers * shape.server_inputs());
        grow(&mut self.of_servers, servers * embedding);
        grow(&mut self.of_devices, rows * embedding);
        grow(&mut self.embedded, pairs * embedding);
        grow(&mut self.context, rows * shape.context());
        grow(&mut self.of_context, rows * hidden);
        grow(&mut self.local, rows * hidden);
        grow(&mut self.hidden, pairs * hidden);
        grow(&mut self.heads, 2 * rows);
        grow(&mut self.advantages, pairs);
        let each = self.server_inputs.chunks_exact_mut(shape.server_inputs()).take(servers);
        for (server, inputs) in each.enumerate() {
            let features = &batch.server_features[server * server_features..][..server_features];
            inputs[lstm..].copy_from_slice(features);
        }
        let each = self.context.chunks_exact_mut(shape.context());
        for (row, context) in batch.device_features.chunks_exact(device_features).zip(each) {
            context[..device_features].copy_from_slice(row);
        }
    }

    /// Q of the batch that was taken in, once the LSTM's outputs are in `server_inputs`.
    #[inline(always)]
    pub(crate) fn forward(&mut self, parameters: &[F], batch: &SetBatch<'_, F>, values: &mut [F]) {
        let Self { shape, layers, offsets, .. } = self;
        let SetShape { device_features, link_features, embedding, hidden: width, .. } = *shape;
        let (rows, servers) = (offsets.rows(), offsets.all_servers());
        let pairs = offsets.pairs_of_first(rows);

        // e = ReLU(W [LSTM, server, link, device] + b), each part computed once.
        let EmbedRows { server, link, device } = shape.embed_rows();
        let weights = |rows| &parameters[layers.embed.rows(rows)];
        let of_servers = &mut self.of_servers[..servers * embedding];
        of_servers.fill(F::ZERO);
        let inputs = shape.server_inputs();
        let server_inputs = &self.server_inputs[..servers * inputs];
        add_product(server_inputs, inputs, weights(&server), of_servers, embedding);
        let of_devices = &mut self.of_devices[..rows * embedding];
        fill_rows(layers.embed.biases(parameters), of_devices);
        let of_device = weights(&device);
        add_product(batch.device_features, device_features, of_device, of_devices, embedding);
        let embedded = &mut self.embedded[..pairs * embedding];
        for row in 0..rows {
            let of_device = &of_devices[row * embedding..][..embedding];
            for (pair, server) in offsets.pairs(row).zip(offsets.servers(row)) {
                let of_server = &of_servers[server * embedding..][..embedding];
                let sums = &mut embedded[pair * embedding..][..embedding];
                for ((sum, &server), &device) in sums.iter_mut().zip(of_server).zip(of_device) {
                    *sum = server + device;
                }
            }
        }
        add_product(batch.link_features, link_features, weights(&link), embedded, embedding);
        relu(embedded);

        // The context: the device beside mean and maximum of e, in the order of the servers.
        let context = &mut self.context[..rows * shape.context()];
        for (row, context) in context.chunks_exact_mut(shape.context()).enumerate() {
            let (mean, max) = context[device_features..].split_at_mut(embedding);
            let pairs = offsets.pairs(row);
            pool(&embedded[pairs.start * embedding..pairs.end * embedding], mean, max);
        }

        // The hidden layer of each action: what it takes of the context, and of e.
        let HiddenRows { embedding: of_embedding, context: of_context } = shape.hidden_rows();
        let weights = |rows| &parameters[layers.hidden.rows(rows)];
        let sums = &mut self.of_context[..rows * width];
        fill_rows(layers.hidden.biases(parameters), sums);
        add_product(context, shape.context(), weights(&of_context), sums, width);
        let local = &mut self.local[..rows * width];
        local.copy_from_slice(sums);
        relu(local);
        let hidden = &mut self.hidden[..pairs * width];
        for (row, sums) in sums.chunks_exact(width).enumerate() {
            let pairs = offsets.pairs(row);
            fill_rows(sums, &mut hidden[pairs.start * width..pairs.end * width]);
        }
        add_product(embedded, embedding, weights(&of_embedding), hidden, width);
        relu(hidden);

        // V, A and Q, eq. (15).
        let heads = &mut self.heads[..2 * rows];
        fill_rows(layers.head.biases(parameters), heads);
        add_product(local, width, layers.head.weights(parameters), heads, 2);
        let advantages = &mut self.advantages[..pairs];
        fill_rows(layers.server_head.biases(parameters), advantages);
        add_product(hidden, width, layers.server_head.weights(parameters), advantages, 1);
        for (row, head) in heads.chunks_exact(2).enumerate() {
            let of_servers = &advantages[offsets.pairs(row)];
            let all = std::iter::once(&head[FIRST_ADVANTAGE_COLUMN]).chain(of_servers);
            duel_of(head[VALUE_COLUMN], all.copied(), &mut values[offsets.values(row)]);
        }
    }

    /// Adds the gradient of all layers but the LSTM, given ∂L/∂Q of the first rows; leaves
    /// ∂L/∂(last outputs of the LSTM) of their slots' servers in `d.outputs`. Returns the
    /// number of these rows.
    #[inline(always)]
    pub(crate) fn backward(
        &self,
        parameters: &[F],
        link_features: &[F],
        d_values: &[F],
        d: &mut DenseGradient<F>,
        gradient: &mut [F],
    ) -> usize {
        let Self { shape, layers, offsets, .. } = self;
        let SetShape { device_features, embedding, hidden: width, lstm, .. } = *shape;
        let rows = d.resize(self, d_values.len());
        let pairs = offsets.pairs_of_first(rows);
        let servers = offsets.servers_of_first(rows);

        for row in 0..rows {
            let own = offsets.pairs(row);
            d.row.resize(FIRST_ADVANTAGE_COLUMN + 1 + own.len(), F::ZERO);
            duel_backward(&d_values[offsets.values(row)], &mut d.row);
            let (head, of_servers) = d.row.split_at(FIRST_ADVANTAGE_COLUMN + 1);
            d.heads[2 * row..2 * row + 2].copy_from_slice(head);
            d.advantages[own].copy_from_slice(of_servers);
        }

        // Heads. Both layers are dense layers of their own rows.
        let (d_heads, d_advantages) = (&d.heads[..2 * rows], &d.advantages[..pairs]);
        let (local, hidden) = (&self.local[..rows * width], &self.hidden[..pairs * width]);
        let (d_local, d_hidden) = (&mut d.local[..rows * width], &mut d.hidden[..pairs * width]);
        let heads = [
            (&layers.head, local, d_heads, &mut *d_local),
            (&layers.server_head, hidden, d_advantages, &mut *d_hidden),
        ];
        for (layer, x, d_sums, d_x) in heads {
            let (inputs, outputs) = (layer.inputs(), layer.outputs());
            add_outer((x, inputs), (d_sums, outputs), &mut gradient[layer.weight.range.clone()]);
            add_rows(d_sums, &mut gradient[layer.bias.range.clone()]);
            let weights = (layer.weights(parameters), inputs);
            input_gradient((d_sums, outputs), weights, &mut d.turned, d_x);
            relu_backward(x, d_x);
        }

        // The hidden layer.
        let HiddenRows { embedding: of_embedding, context: of_context } = shape.hidden_rows();
        let d_sums = &mut d.of_context[..rows * width];
        d_sums.copy_from_slice(d_local);
        for (row, d_sums) in d_sums.chunks_exact_mut(width).enumerate() {
            let pairs = offsets.pairs(row);
            add_rows(&d_hidden[pairs.start * width..pairs.end * width], d_sums);
        }
        let context = (&self.context[..rows * shape.context()], shape.context());
        let embedded = &self.embedded[..pairs * embedding];
        add_outer(context, (d_sums, width), &mut gradient[layers.hidden.rows(&of_context)]);
        let of_embeddings = &mut gradient[layers.hidden.rows(&of_embedding)];
        add_outer((embedded, embedding), (d_hidden, width), of_embeddings);
        add_rows(d_sums, &mut gradient[layers.hidden.bias.range.clone()]);
        let of_pooled = of_context.start + device_features..of_context.end;
        let weights = (&parameters[layers.hidden.rows(&of_pooled)], 2 * embedding);
        let pooled = &mut d.pooled[..2 * rows * embedding];
        input_gradient((d_sums, width), weights, &mut d.turned, pooled);
        let weights = (&parameters[layers.hidden.rows(&of_embedding)], embedding);
        let d_embedded = &mut d.embedded[..pairs * embedding];
        input_gradient((d_hidden, width), weights, &mut d.turned, d_embedded);

        // Mean and maximum.
        for (row, pooled) in pooled.chunks_exact(2 * embedding).enumerate() {
            let (d_mean, d_max) = pooled.split_at(embedding);
            let max = &self.context[row * shape.context()..][..shape.context()];
            let max = &max[device_features + embedding..];
            let pairs = offsets.pairs(row);
            let share = F::ONE / F::of(pairs.len() as f64);
            for pair in pairs.clone() {
                let d_e = &mut d_embedded[pair * embedding..][..embedding];
                for (d_e, &d) in d_e.iter_mut().zip(d_mean) {
                    *d_e += d * share;
                }
            }
            // On ties, the first has it all.
            for (neuron, (&max, &d)) in max.iter().zip(d_max).enumerate() {
                let mut at = pairs.clone().map(|pair| pair * embedding + neuron);
                if let Some(at) = at.find(|&at| embedded[at] == max) {
                    d_embedded[at] += d;
                }
            }
        }
        relu_backward(embedded, d_embedded);

        // Embeddings.
        let EmbedRows { server, link, device } = shape.embed_rows();
        let d_devices = &mut d.of_devices[..rows * embedding];
        let d_servers = &mut d.of_servers[..servers * embedding];
        d_devices.fill(F::ZERO);
        d_servers.fill(F::ZERO);
        for (row, d_device) in d_devices.chunks_exact_mut(embedding).enumerate() {
            for (pair, server) in offsets.pairs(row).zip(offsets.servers(row)) {
                let d_e = &d_embedded[pair * embedding..][..embedding];
                add_row(d_e, d_device);
                add_row(d_e, &mut d_servers[server * embedding..][..embedding]);
            }
        }
        let links = (&link_features[..pairs * shape.link_features], shape.link_features);
        add_outer(links, (d_embedded, embedding), &mut gradient[layers.embed.rows(&link)]);
        // The device's features are the first of the context; the layer has rows for them alone.
        for (context, d_device) in
            context.0.chunks_exact(shape.context()).zip(d_devices.chunks_exact(embedding))
        {
            let x = (&context[..device_features], device_features);
            add_outer(x, (d_device, embedding), &mut gradient[layers.embed.rows(&device)]);
        }
        add_rows(d_devices, &mut gradient[layers.embed.bias.range.clone()]);
        let inputs = shape.server_inputs();
        let server_inputs = (&self.server_inputs[..servers * inputs], inputs);
        let of_servers = &mut gradient[layers.embed.rows(&server)];
        add_outer(server_inputs, (d_servers, embedding), of_servers);
        let weights = (&parameters[layers.embed.rows(&(0..lstm))], lstm);
        let d_outputs = &mut d.outputs[..servers * lstm];
        input_gradient((d_servers, embedding), weights, &mut d.turned, d_outputs);
        rows
    }
}

/// Adds the rows of `from` up.
#[inline(always)]
fn add_rows<F: Real>(from: &[F], sums: &mut [F]) {
    for row in from.chunks_exact(sums.len()) {
        add_row(row, sums);
    }
}

impl<F: Real> DenseGradient<F> {
    /// Makes room for the rows that have so many values; returns their number.
    ///
    /// # Panics
    /// If the values are not those of some first rows.
    fn resize(&mut self, pass: &Dense<F>, values: usize) -> usize {
        let Dense { shape, offsets, .. } = pass;
        let SetShape { lstm, embedding, hidden, .. } = *shape;
        let rows = (0..=offsets.rows()).find(|&rows| offsets.values_of_first(rows) >= values);
        let rows = rows.unwrap_or_default();
        assert_eq!(offsets.values_of_first(rows), values, "d_values");
        let (pairs, servers) = (offsets.pairs_of_first(rows), offsets.servers_of_first(rows));
        grow(&mut self.of_servers, servers * embedding);
        grow(&mut self.of_devices, rows * embedding);
        grow(&mut self.embedded, pairs * embedding);
        grow(&mut self.pooled, 2 * rows * embedding);
        grow(&mut self.of_context, rows * hidden);
        grow(&mut self.local, rows * hidden);
        grow(&mut self.hidden, pairs * hidden);
        grow(&mut self.heads, 2 * rows);
        grow(&mut self.advantages, pairs);
        grow(&mut self.outputs, servers * lstm);
        rows
    }
}
