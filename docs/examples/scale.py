def apply(model, new_modules):
    """Train the new layers and every bias."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.endswith("bias")
