"""A toy task: text classification with the focal loss (Lin et al. 2017), selected by the number of its errors."""

from torch.nn import functional

from launcher import extend


class Focal(extend.TextClassificationWork):
    metric_names = ("accuracy", "errors")
    gamma = 2.0

    def loss(self, outputs, wanted):
        each = functional.cross_entropy(outputs["logits"].float(), wanted["labels"], reduction="none")
        return {"loss": ((1 - (-each).exp()) ** self.gamma * each).sum()}

    def score(self, split, kept):
        wrong = split.array("labels") != kept.values["predicted"]
        return {**super().score(split, kept), "errors": float(wrong.sum())}

    def tell(self, text, split, rows, kept):
        return {**super().tell(text, split, rows, kept), "gamma": self.gamma}


def work(task, reader, gamma=2.0):
    assert task.kind == "TextClassification"
    focal = Focal(task, reader)
    focal.gamma = gamma
    return focal
