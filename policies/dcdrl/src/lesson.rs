//! What an update learns from a part of its batch: the gradients of the critic and of the actor.

use offramp_nn::learning::Loss;
use offramp_nn::{Perceptron, PerceptronShape, argmax, softmax};

use crate::parameters::Parameters;
use crate::replay::{Replay, Transition};

/// What all parts of a batch are computed from.
pub(crate) struct Lesson<'l> {
    pub(crate) parameters: &'l Parameters,
    pub(crate) replay: &'l Replay,
    pub(crate) actor: &'l [f32],
    pub(crate) critic: &'l [f32],
    pub(crate) target: &'l [f32],
    /// β.
    pub(crate) entropy_weight: f32,
}

/// A part of a batch: its transitions, and what they teach.
pub(crate) struct Part {
    network: Perceptron<f32>,
    shape: PerceptronShape,
    /// Places of its transitions in the replay; then of the last steps that their targets follow.
    pub(crate) places: Vec<usize>,
    /// Row of `ends` from which each target bootstraps, if it does.
    bootstrap: Vec<Option<usize>>,
    /// Rows × width.
    states: Vec<f32>,
    /// The states that targets bootstrap from, rows × width.
    ends: Vec<f32>,
    actions: Vec<u32>,
    /// Discounted rewards up to the end of the followed trajectory; then the targets.
    returns: Vec<f32>,
    /// γ^Δ from the state to the end of the followed trajectory.
    discounts: Vec<f32>,
    /// Q of the states, rows × actions.
    values: Vec<f32>,
    /// π of a row.
    policy: Vec<f32>,
    d_outputs: Vec<f32>,
    /// Its share of the critic's gradient.
    pub(crate) critic_gradient: Vec<f32>,
    /// Its share of the actor's gradient.
    pub(crate) actor_gradient: Vec<f32>,
    /// Its share of the critic's loss.
    pub(crate) loss: f64,
}

impl Part {
    pub(crate) fn new(shape: PerceptronShape) -> Self {
        Self {
            network: Perceptron::new(shape),
            shape,
            places: Vec::new(),
            bootstrap: Vec::new(),
            states: Vec::new(),
            ends: Vec::new(),
            actions: Vec::new(),
            returns: Vec::new(),
            discounts: Vec::new(),
            values: Vec::new(),
            policy: Vec::new(),
            d_outputs: Vec::new(),
            critic_gradient: vec![0.0; shape.parameters()],
            actor_gradient: vec![0.0; shape.parameters()],
            loss: 0.0,
        }
    }

    /// Gradients and loss of the transitions at `places`.
    pub(crate) fn learn(&mut self, lesson: &Lesson<'_>) {
        self.gather(lesson);
        self.targets(lesson);
        self.critic_gradient(lesson);
        self.actor_gradient(lesson);
    }

    /// Follows each trajectory as far as it is trusted: `states`, `actions`, `returns`,
    /// `discounts`, `ends` and `bootstrap`.
    fn gather(&mut self, lesson: &Lesson<'_>) {
        let &Lesson { parameters, replay, actor, .. } = lesson;
        let Self { network, shape, places, policy, .. } = self;
        for part in [&mut self.states, &mut self.ends, &mut self.returns, &mut self.discounts] {
            part.clear();
        }
        self.actions.clear();
        let mut trusted = vec![1.0_f32; places.len()];
        let mut going = vec![true; places.len()];
        for &place in &*places {
            self.states.extend_from_slice(replay.state(place));
            let Transition { action, reward, discount, .. } = replay.transition(place);
            self.actions.push(action);
            self.returns.push(reward);
            self.discounts.push(discount);
        }
        // Every place is now the last step that is part of its target.
        for _ in 1..parameters.steps {
            self.ends.clear();
            let after: Vec<(usize, usize)> = (0..places.len())
                .filter(|&row| going[row])
                .filter_map(|row| Some((row, replay.after(places[row])?)))
                .collect();
            going.fill(false);
            after.iter().for_each(|&(_, next)| self.ends.extend_from_slice(replay.state(next)));
            if after.is_empty() {
                break;
            }
            let logits = network.forward(actor, &self.ends);
            for (&(row, next), logits) in after.iter().zip(logits.chunks_exact(shape.outputs)) {
                softmax(logits.iter().copied(), policy);
                let transition = replay.transition(next);
                let now = policy[transition.action as usize];
                trusted[row] *= (now / transition.probability.max(1e-6)).min(1.0);
                let known = transition.discount == 0.0 || replay.after(next).is_some();
                if known && f64::from(trusted[row]) >= parameters.trust {
                    self.returns[row] += self.discounts[row] * transition.reward;
                    self.discounts[row] *= transition.discount;
                    (places[row], going[row]) = (next, true);
                }
            }
        }
        // Where a trajectory ends, the critic takes over.
        self.ends.clear();
        self.bootstrap.clear();
        let mut ends = 0;
        for &place in &*places {
            let next = replay.after(place);
            if let Some(next) = next {
                self.ends.extend_from_slice(replay.state(next));
                ends += 1;
            }
            self.bootstrap.push(next.map(|_| ends - 1));
        }
    }

    /// Y = Σ γ^Δ r + γ^Δ Q_target(s', argmax_a Q(s', a)), where s' ends the followed trajectory:
    /// the evaluation network chooses, the target network values.
    fn targets(&mut self, lesson: &Lesson<'_>) {
        let Self { network, shape, ends, .. } = self;
        if ends.is_empty() {
            return;
        }
        let actions = shape.outputs;
        let choices: Vec<usize> =
            network.forward(lesson.critic, ends).chunks(actions).map(argmax).collect();
        let values = network.forward(lesson.target, ends);
        let bootstraps = self.bootstrap.iter().zip(&self.discounts).zip(&mut self.returns);
        for ((end, discount), target) in bootstraps {
            if let Some(end) = *end {
                *target += discount * values[end * actions + choices[end]];
            }
        }
    }

    /// The gradient of the mean Huber loss of Q(s, a) − Y; leaves Q in `values`.
    fn critic_gradient(&mut self, lesson: &Lesson<'_>) {
        let actions = self.shape.outputs;
        let share = 1.0 / lesson.parameters.batch as f32;
        let values = self.network.forward(lesson.critic, &self.states);
        self.d_outputs.clear();
        self.d_outputs.resize(values.len(), 0.0);
        self.loss = 0.0;
        for (row, (&action, &target)) in self.actions.iter().zip(&self.returns).enumerate() {
            let place = row * actions + action as usize;
            let (of_row, slope) = Loss::Huber(1.0).of(values[place] - target);
            self.loss += f64::from(of_row * share);
            self.d_outputs[place] = slope * share;
        }
        self.values.clear();
        self.values.extend_from_slice(values);
        self.critic_gradient.fill(0.0);
        self.network.backward(lesson.critic, &self.d_outputs, &mut self.critic_gradient);
    }

    /// The gradient, negated, of Σ_a π(a|s) Q(s, a) + β · entropy, over all actions.
    fn actor_gradient(&mut self, lesson: &Lesson<'_>) {
        let Self { policy, d_outputs, .. } = self;
        let (actions, entropy_weight) = (self.shape.outputs, lesson.entropy_weight);
        let share = 1.0 / lesson.parameters.batch as f32;
        let logits = self.network.forward(lesson.actor, &self.states);
        d_outputs.clear();
        let rows = logits.chunks_exact(actions).zip(self.values.chunks_exact(actions));
        for (logits, values) in rows {
            softmax(logits.iter().copied(), policy);
            let expected: f32 = policy.iter().zip(values).map(|(p, q)| p * q).sum();
            let log = |p: f32| p.max(1e-12).ln();
            let entropy: f32 = policy.iter().map(|&p| -p * log(p)).sum();
            let slopes = policy.iter().zip(values).map(|(&p, &q)| {
                let up = p * (q - expected) - entropy_weight * p * (log(p) + entropy);
                -up * share
            });
            d_outputs.extend(slopes);
        }
        self.actor_gradient.fill(0.0);
        self.network.backward(lesson.actor, d_outputs, &mut self.actor_gradient);
    }
}

#[cfg(test)]
mod tests;
