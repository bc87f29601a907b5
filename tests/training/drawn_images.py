"""Images that the tests make: the digits that scikit-learn brings, in class folders, and a small network for them."""

from PIL import Image


def write_digits(folder, each=20, labels=10, begin=0):
    """8 x 8 grey PNG files: `folder/zero/12.png`, so many of each label."""
    from sklearn.datasets import load_digits

    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"][:labels]
    pixels, digits = load_digits(return_X_y=True)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index, values in enumerate(pixels[digits == number][begin : begin + each]):
            image = (values.reshape(8, 8) * 255 / 16).astype("uint8")
            Image.fromarray(image).save(folder / name / f"{index}.png")
    return folder


RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "downsample_in_first_stage": False,
}
VIT = {
    "model_type": "vit",
    "image_size": 16,
    "patch_size": 4,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def save_body(values, folder, size=16):
    """A body of this configuration with random weights, and how its images are prepared."""
    from transformers import AutoConfig, AutoModel, set_seed

    from launcher.training.data.preparation import Preparation

    set_seed(0)
    kind = values["model_type"]
    config = AutoConfig.for_model(kind, **{name: value for name, value in values.items() if name != "model_type"})
    AutoModel.from_config(config).save_pretrained(folder)
    Preparation(size, size).save(folder)
    return folder
