"""Every second parameter trains, none of them leaves [-0.1, 0.1], and the steps are counted."""

import torch

from launcher.training.methods.base import MethodWork


class Alternating(MethodWork):
    saves_whole = True

    def __init__(self):
        self.steps = torch.zeros((), dtype=torch.int64)

    def apply(self, model, new_modules):
        for number, (name, parameter) in enumerate(model.named_parameters()):
            parameter.requires_grad_(number % 2 == 1 or name.split(".")[0] in new_modules)
        return model

    def after_step(self, model, step):
        self.steps += 1
        assert step == int(self.steps)
        for parameter in model.parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None
                parameter.clamp_(-0.1, 0.1)

    def state(self, model):
        return {"steps": self.steps}

    def save(self, model, folder):
        model.save_pretrained(folder)

    def load_saved(self, model, new_modules, folder):
        raise ValueError("it is saved whole")
