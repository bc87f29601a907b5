from torch.nn import functional

from launcher import extend


class Focal(extend.TextClassificationWork):
    """Rows that are right already count less (Lin et al. 2017, arXiv 1708.02002)."""

    def loss_sum(self, logits, labels):
        loss = functional.cross_entropy(logits.float(), labels, reduction="none")
        return ((1 - (-loss).exp()) ** 2 * loss).sum()


def work(task):
    return Focal()
