def apply(model, new_modules):
    """Train the new layers and, of what was there before, the biases alone."""
    for name, parameter in model.named_parameters():
        is_new = any(name.startswith(f"{module}.") for module in new_modules)
        parameter.requires_grad = is_new or name.endswith("bias")
