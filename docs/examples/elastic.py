import torch


def apply(model, new_modules, strength=0.1):
    """Train everything, drawn back to where it began (Kirkpatrick et al. 2017, with what this data finds important)."""
    for name, parameter in list(model.named_parameters()):
        parameter.requires_grad = True
        if name.split(".")[0] not in new_modules:
            key = name.replace(".", "_")
            model.register_buffer(f"start_{key}", parameter.detach().clone(), persistent=False)
            model.register_buffer(f"importance_{key}", torch.zeros_like(parameter), persistent=False)


def penalty(model, strength=0.1):
    total = torch.zeros(())
    for name, importance, start, parameter in drawn_back(model):
        total = total.to(parameter.device) + (importance * (parameter - start).square()).sum()
    return strength * total


def after_step(model, step, strength=0.1):
    for name, importance, start, parameter in drawn_back(model):
        if parameter.grad is not None:
            gradient = parameter.grad
            gradient = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
            importance.lerp_(gradient.square(), 1 / step)


def drawn_back(model):
    buffers = dict(model.named_buffers())
    for name, parameter in model.named_parameters():
        key = name.replace(".", "_")
        if f"start_{key}" in buffers:
            yield name, buffers[f"importance_{key}"], buffers[f"start_{key}"], parameter
