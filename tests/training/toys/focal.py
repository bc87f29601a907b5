"""A toy task: text classification with the focal loss (Lin et al. 2017), selected by the number of its errors."""

from torch.nn import functional

from launcher import extend


class Focal(extend.TextClassificationWork):
    metric_names = ("accuracy", "errors")

    def __init__(self, gamma):
        self.gamma = gamma

    def loss_sum(self, logits, labels):
        told = functional.cross_entropy(logits.float(), labels, reduction="none")
        return ((1 - (-told).exp()) ** self.gamma * told).sum()

    def metrics(self, columns, predicted, labels):
        return {**super().metrics(columns, predicted, labels), "errors": float((columns["labels"] != predicted).sum())}

    def decode(self, *about):
        return {**super().decode(*about), "gamma": self.gamma}


def work(task, gamma=2.0):
    assert task.kind == "TextClassification"
    return Focal(gamma)
