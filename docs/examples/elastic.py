import torch


def apply(model, new_modules, strength=0.1):
    """Train everything; what was there before is drawn back to its start, the more the larger its gradients were."""
    for name, parameter in list(model.named_parameters()):
        parameter.requires_grad = True
        if not any(name.startswith(f"{module}.") for module in new_modules):
            model.register_buffer(buffer("start", name), parameter.detach().clone(), persistent=False)
            model.register_buffer(buffer("importance", name), torch.zeros_like(parameter.detach()), persistent=False)


def penalty(model, strength=0.1):
    drawn = [(importance * (weight - start).square()).sum() for weight, start, importance in drawn_back(model)]
    return strength * torch.stack(drawn).sum()


def after_step(model, step, strength=0.1):
    for weight, _, importance in drawn_back(model):
        if weight.grad is not None:
            gradient = weight.grad.full_tensor() if hasattr(weight.grad, "full_tensor") else weight.grad
            importance.lerp_(gradient.square(), 1 / step)


def buffer(what, name):
    return f"{what}_{name.replace('.', '_')}"


def drawn_back(model):
    kept = dict(model.named_buffers())
    for name, weight in model.named_parameters():
        if buffer("start", name) in kept:
            yield weight, kept[buffer("start", name)], kept[buffer("importance", name)]
