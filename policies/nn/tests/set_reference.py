"""Writes set_reference.json, which reference.rs compares networks over servers with.

    pip install torch && python set_reference.py > set_reference.json

An implementation of its own: PyTorch's LSTM, layers that are applied to each row and server as they
are defined (`offramp_nn::set`), gradients by autograd, all in float64.
"""

import json

import torch
from torch.func import functional_call
from torch.nn.functional import huber_loss, mse_loss, relu

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)

D, T, S, K, L, E, H = 5, 4, 2, 6, 5, 7, 6
SERVERS = [1, 3, 6, 2]
SLOT_OF = [1, 0, 1, 2, 3, 2, 1]

uniform = lambda bound, *shape: (2 * torch.rand(*shape) - 1) * bound
weights = [(1 + L, 4 * L), (L + S + T + D, E), (3 * E + D, H), (H, 2), (H, 1)]
theta = torch.cat(
    [part.flatten() for shape in weights for part in (uniform(0.4, *shape), uniform(0.2, shape[1]))]
)
pairs = sum(SERVERS[slot] for slot in SLOT_OF)
loads = [uniform(1, K, servers) for servers in SERVERS]
server_features = [uniform(1, servers, S) for servers in SERVERS]
device_features = uniform(1, len(SLOT_OF), D)
link_features = [uniform(1, SERVERS[slot], T) for slot in SLOT_OF]
actions = [int(torch.randint(1 + SERVERS[slot], ())) for slot in SLOT_OF]
targets = uniform(2, len(SLOT_OF))


def gates_of(columns):
    """From our gates i, j, f, o to PyTorch's i, f, g, o."""
    i, j, f, o = columns.split(L)
    return torch.cat([i, f, j, o])


def values_of(theta):
    """Q of each row."""
    parts, at = [], 0
    for rows, columns in weights:
        for shape in ((rows, columns), (columns,)):
            size = torch.Size(shape).numel()
            parts.append(theta[at : at + size].reshape(shape))
            at += size
    assert at == len(theta)
    lstm, lstm_bias, embed, embed_bias, hidden, hidden_bias, head, head_bias, server, server_bias = parts
    forget = torch.cat([torch.zeros(L), torch.ones(L), torch.zeros(2 * L)])
    memory = {
        "weight_ih_l0": gates_of(lstm[:1].T),
        "weight_hh_l0": gates_of(lstm[1:].T),
        "bias_ih_l0": gates_of(lstm_bias) + forget,
        "bias_hh_l0": torch.zeros(4 * L),
    }
    rows = []
    for slot, device, links in zip(SLOT_OF, device_features, link_features):
        # K × M loads are M sequences of one number.
        _, (last, _) = functional_call(
            torch.nn.LSTM(1, L), memory, (loads[slot].unsqueeze(2),)
        )
        of_device = device.expand(SERVERS[slot], D)
        inputs = torch.cat([last[0], server_features[slot], links, of_device], 1)
        e = relu(inputs @ embed + embed_bias)
        context = torch.cat([device, e.mean(0), e.amax(0)])
        # Computing locally is an action without a server.
        all_e = torch.cat([torch.zeros(1, E), e])
        u = relu(torch.cat([all_e, context.expand(len(all_e), -1)], 1) @ hidden + hidden_bias)
        value, local = u[0] @ head + head_bias
        advantages = torch.cat([local.reshape(1), (u[1:] @ server + server_bias)[:, 0]])
        rows.append(value + advantages - advantages.mean())
    return rows


def step(loss, optimise):
    """Parameters after one step against a loss of the rows' values at their actions."""
    parameters = theta.clone().requires_grad_()
    taken = torch.stack([q[action] for q, action in zip(values_of(parameters), actions)])
    value = loss(taken, targets)
    value.backward()
    return optimise(parameters).tolist(), value.item()


def adam(parameters):
    torch.optim.Adam([parameters], lr=0.01).step()
    return parameters.detach()


def rmsprop(parameters):
    """As TensorFlow has it: squares begin at 1."""
    square = 0.9 + 0.1 * parameters.grad**2
    return parameters.detach() - 0.01 * parameters.grad / (square + 1e-10).sqrt()


adam_huber, adam_huber_loss = step(huber_loss, adam)
rmsprop_squared, rmsprop_squared_loss = step(mse_loss, rmsprop)
joined = lambda parts: torch.cat([part.flatten() for part in parts]).tolist()
reference = {
    "parameters": theta.tolist(),
    "servers": SERVERS,
    "loads": joined(loads),
    "server_features": joined(server_features),
    "slot_of": SLOT_OF,
    "device_features": device_features.flatten().tolist(),
    "link_features": joined(link_features),
    "actions": actions,
    "targets": targets.tolist(),
    "values": joined(values_of(theta)),
    "adam_huber": adam_huber,
    "adam_huber_loss": adam_huber_loss,
    "rmsprop_squared": rmsprop_squared,
    "rmsprop_squared_loss": rmsprop_squared_loss,
}
rounded = lambda value: (
    [rounded(each) for each in value] if isinstance(value, list)
    else float(f"{value:.9g}") if isinstance(value, float) else value
)
print(json.dumps({key: rounded(value) for key, value in reference.items()}))
