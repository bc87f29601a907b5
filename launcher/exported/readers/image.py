"""The label of each image, and how likely each label is; it needs Pillow in the place of tokenizers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

from launcher.exported.readers.shares import label_of


class Reader:
    """Answers as `launcher predict` gives them; `threads` 0 takes all cores."""

    def __init__(self, folder: Any, threads: int = 0) -> None:
        self.about = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self.session = onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"), options)

    def predict(self, paths: Any) -> list[dict[str, Any]]:
        """The label of each image."""
        answers = []
        for path in paths:
            (logits,) = self.session.run(self.about["outputs"], {self.about["inputs"][0]: self._pixels(path)[None]})
            answers.append(label_of(self.about["labels"], logits[0]))
        return answers

    def _pixels(self, path: Any) -> Any:
        size = self.about["size"]
        image = ImageOps.exif_transpose(Image.open(path, formats=size["formats"]))
        if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image, height, width = image.convert("RGB"), size["height"], size["width"]
        if size["shorter"] is None:
            image = image.resize((width, height), size["resample"])
        else:
            short, long = sorted(image.size)
            sides = (size["shorter"], max(size["shorter"], int(size["shorter"] * long / short)))
            image = image.resize(sides if image.width <= image.height else sides[::-1], size["resample"])
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        mean, std = np.array(size["mean"]), np.array(size["std"])
        pixels = np.asarray(image, np.float32) * (size["scale"] / std).astype(np.float32)
        return np.ascontiguousarray((pixels + (-mean / std).astype(np.float32)).transpose(2, 0, 1))
