"""What a file of your own may import from us: these names stay, whatever moves inside.

    from launcher import extend

    class Focal(extend.TextClassificationWork):
        def loss_sum(self, logits, labels): ...

    def work(task):
        return Focal()

`CustomTask(file=…)` calls `work(task)`. A saved model carries such files: what they name here must last as long as it.
Heavy: it imports torch, so a recipe must not import it; the files that a recipe names are imported in the ranks only.
"""

from launcher.training.tasks import TaskWork
from launcher.training.tasks.confusion import Confusion, of_entities, of_targets
from launcher.training.tasks.multi_label_classification import Work as MultiLabelClassificationWork
from launcher.training.tasks.text_classification import Work as TextClassificationWork
from launcher.training.tasks.token_classification import Work as TokenClassificationWork

__all__ = [
    "Confusion",
    "MultiLabelClassificationWork",
    "TaskWork",
    "TextClassificationWork",
    "TokenClassificationWork",
    "of_entities",
    "of_targets",
]
