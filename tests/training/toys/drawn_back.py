"""A toy method with a life: everything trains, drawn back to where it began by how large gradients were (as in EWC)."""

import torch


def apply(model, new_modules, strength=1.0):
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(True)
        model.register_buffer(f"anchor_{number}", 0.9 * parameter.detach(), persistent=False)
        model.register_buffer(f"importance_{number}", torch.ones_like(parameter.detach()))
    model.register_buffer("steps", torch.zeros((), dtype=torch.int64))


def penalty(model, strength=1.0):
    told = 0.0
    for number, parameter in enumerate(model.parameters()):
        away = parameter - model.get_buffer(f"anchor_{number}")
        told = told + (model.get_buffer(f"importance_{number}") * away.square()).sum()
    return strength * told


def after_step(model, step, strength=1.0):
    model.steps += 1
    assert int(model.steps) == step
    for number, parameter in enumerate(model.parameters()):
        if parameter.grad is not None:
            gradient = getattr(parameter.grad, "full_tensor", lambda whole=parameter.grad: whole)()
            model.get_buffer(f"importance_{number}").mul_(0.9).add_(gradient.square(), alpha=10.0)
