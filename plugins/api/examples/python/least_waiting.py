"""An idle CPU computes; else the task goes where its device has the least waiting."""

import offramp_policy


class LeastWaiting:
    def __init__(self, context):
        pass

    def decide(self, observation):
        actions = []
        for row, device in enumerate(observation.devices):
            if observation.task(row, "compute_queue_slots") == 0.0:
                actions.append(0)
                continue
            backlog = observation.link(row, "backlog_mbit")
            servers = len(backlog)
            order = [(device + step) % servers for step in range(servers)]
            actions.append(1 + min(order, key=lambda server: backlog[server]))
        return actions


offramp_policy.run(LeastWaiting)
