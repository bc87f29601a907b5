"""Small random models that write under every strategy, in ranks of their own: `python ranks_that_write.py FOLDER`.

Each model takes a step of training, writes, and takes another one. What comes back of rank 0 are the texts' tokens and
whether all is as before.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

VOCABULARY, ENDS = 40, [3, 8, 13, 19, 28, 33]
ROWS = 5
SECONDS = 100
"""After which a rank is taken to wait for ever."""
WORDS = {"max_new_tokens": 8, "min_new_tokens": 0, "num_beams": 1, "length_penalty": 1.0, "early_stopping": False}
WORDS |= {"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "do_sample": False, "temperature": 1.0, "top_k": 0}
WORDS |= {"top_p": 1.0, "min_p": 0.0, "seed": 0, "eos_token_id": ENDS, "pad_token_id": 0}
WAYS = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "drawn": {"do_sample": True, "temperature": 1.5, "top_k": 20, "top_p": 0.95},
}
SHARDING = {"zero_stage": 0, "offload_optimizer_device": "none", "offload_param_device": "none"}


def texts_of(orders, folder):
    """`{"fsdp2 2": {model: {way: [tokens of each row]}}}` of rank 0, of `{"fsdp2 2": [models]}`.

    One process imports the libraries and forks the ranks of one order after another.
    """
    (folder / "orders.json").write_text(json.dumps(orders))
    words = [sys.executable, __file__, str(folder)]
    made = subprocess.run(words, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500)
    assert made.returncode == 0, made.stderr.decode()[-5000:]
    return {name: json.loads((folder / name / "told.json").read_text()) for name in orders}


def model_of(name):
    """A small model with random weights; `name` may go on with a method: `llama lora`."""
    import torch
    import transformers

    torch.manual_seed(0)
    family, _, method = name.partition(" ")
    sizes = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": ENDS[0], "pad_token_id": 0}
    if family == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **sizes)
    elif family == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, **sizes
        )
    elif family == "t5":
        config = transformers.T5Config(
            d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0, **sizes
        )
    elif family == "bart":
        one = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48}
        other = {
            "decoder_layers": 2,
            "decoder_attention_heads": 2,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 32,
        }
        config = transformers.BartConfig(**one, **other, **sizes, decoder_start_token_id=1, forced_eos_token_id=None)
    elif family == "joined":
        bert = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
        two = [transformers.BertConfig(**bert, **sizes, max_position_embeddings=32) for _ in range(2)]
        config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(*two)
        config.decoder_start_token_id, config.pad_token_id = 1, 0
    writes_for_a_text = family in ("t5", "bart", "joined")
    kind = transformers.AutoModelForSeq2SeqLM if writes_for_a_text else transformers.AutoModelForCausalLM
    model = kind.from_config(config)
    with torch.no_grad():  # such that texts are of different lengths, and greedy ones no repetition of one token
        for parameter in model.parameters():
            parameter.mul_(6.0 if parameter.ndim > 1 else 1.0)
    from launcher.training.model_parts.text_to_text import read_and_write
    from launcher.training.model_parts.word_places import read_at_words

    (read_and_write if writes_for_a_text else read_at_words)(model)
    return with_method(model, method)


def with_method(model, method):
    """As the recipe's method changes it."""
    import torch

    from launcher import Adapter, LoRA, PrefixTuning, PromptTuning
    from launcher.training.methods import method_work

    nouns = {"lora": LoRA(rank=2), "adapter": Adapter(bottleneck=4)}
    nouns |= {"prompt": PromptTuning(tokens=3), "prefix": PrefixTuning(tokens=3)}
    if not method:
        return model
    if method == "packed":
        from launcher.training.model_parts.packing import pack

        pack(model)
        return model
    changed = method_work(nouns[method]).apply(model, [])
    with torch.no_grad():  # methods begin with nothing changed
        for parameter in changed.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.5)
    return changed


def prompts():
    """Rows of different lengths."""
    import numpy as np

    random = np.random.default_rng(0)
    return [random.integers(12, VOCABULARY, 3 + 2 * (row % 4)) for row in range(ROWS)]


def work_of(model):
    """A task that writes, of these rows."""
    import numpy as np

    from launcher.training.tasks.writing import Writes, left_padded

    class Work(Writes):
        tokenizer = None
        words = WORDS
        ends = ENDS

        def prompts(self, split, rows):
            given = left_padded([prompts()[row] for row in rows], 0)
            if model.config.is_encoder_decoder:
                width = given["input_ids"].shape[1]
                turned = [int(mask.sum()) - width for mask in given["attention_mask"]]  # padding to the right
                rolled = {name: zip(values, turned, strict=True) for name, values in given.items()}
                given = {name: np.stack([np.roll(*row) for row in rows]) for name, rows in rolled.items()}
            return given

        def limits(self):
            return self.words

    return Work()


def step(strategy, work):
    """One step of training, the same on every rank; the loss."""
    import numpy as np
    import torch

    given = work.prompts(None, np.arange(ROWS))
    inputs = {name: torch.from_numpy(values) for name, values in given.items()}
    if strategy.model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    assert strategy.wrapped.training
    with strategy.micro_batch(last=True):
        logits = strategy.outputs(inputs, ("logits",))["logits"]
        loss = logits.float().logsumexp(-1).mean()
        strategy.backward(loss / strategy.world.size)
    strategy.update(lambda: np.arange(VOCABULARY))
    return float(loss)


def by_hand(strategy, work, row):
    """The likeliest token after all before it, again and again: of one row alone, with no cache and no padding."""
    import numpy as np
    import torch

    given = work.prompts(None, np.array([row]))
    ids, model, tokens = torch.from_numpy(given["input_ids"]), strategy.model, []
    model.eval()
    with torch.no_grad():
        while len(tokens) < WORDS["max_new_tokens"]:
            behind = torch.tensor([tokens], dtype=torch.int64)
            if model.config.is_encoder_decoder:
                start = torch.full((1, 1), model.config.decoder_start_token_id)
                logits = model(input_ids=ids, decoder_input_ids=torch.cat([start, behind], dim=1)).logits
            else:
                logits = model(input_ids=torch.cat([ids, behind], dim=1), use_cache=False).logits
            token = int(logits[0, -1].argmax())
            if token in ENDS:
                break
            tokens.append(token)
    model.train()
    return tokens


def is_a_part(parameter):
    """Whether this rank holds no more than its share of it."""
    return hasattr(parameter, "placements") or (hasattr(parameter, "ds_numel") and not parameter.numel())


def written(name, kind, world):
    """One model under this strategy."""
    import numpy as np

    from launcher import Training
    from launcher.training import written as texts
    from launcher.training.batches.split import Split
    from launcher.training.strategies import build

    sharding = {
        **SHARDING,
        "zero_stage": int(kind[4:]) if kind.startswith("zero") else 0,
        "reshard_after_forward": True,
    }
    plan = SimpleNamespace(strategy=kind, precision="fp32", device="cpu", sharding=sharding, micro_batch_size=ROWS)
    texts.GROUPS = 1  # rows in twos, so that some are padded
    strategy, model = build(plan, world), model_of(name)
    work = work_of(model)
    strategy.rows_alone = False
    strategy.wrap(model, Training(learning_rate=1e-3, dropout=0))
    strategy.wrapped.train()
    cost = np.array([len(row) for row in prompts()])
    split = Split({}, {}, cost, np.arange(ROWS))
    losses, told = [step(strategy, work)], {}
    for way, words in WAYS.items():
        work.words = {**WORDS, **words}
        strategy.whole_fits = lambda way=way: way != "beams"  # gathered once for a group, or with each token
        tokens = texts.write(strategy.generate, work, split, np.arange(ROWS), world, 2)
        told[way] = [tokens.row(row).tolist() for row in range(ROWS)]
        assert strategy.wrapped.training
        assert all(map(is_a_part, strategy.model.parameters())) or kind not in ("fsdp2", "zero3")
    if kind == "single":
        told["by hand"] = [by_hand(strategy, work, row) for row in range(ROWS)]
    losses.append(step(strategy, work))
    return {**told, "losses": losses}


def one_rank(models, strategy, size, rank, folder):
    """One rank of an order: all its models, one after another."""
    import torch
    from torch import distributed

    from launcher.training.distributed.world import World

    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    if size > 1:
        store = distributed.FileStore(str(folder / "meeting"), size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    world = World(rank, rank, size, torch.device("cpu"))
    told = {name: written(name, strategy, world) for name in models}
    if rank == 0:
        (folder / "told.json").write_text(json.dumps(told))


def main(folder):
    """All orders; exit code 1 where a rank breaks or waits for ever."""
    import torch

    torch.set_num_threads(1)
    os.environ["DS_ACCELERATOR"] = "cpu"
    import accelerate  # noqa: F401 (imported before the ranks are forked, as is all that follows)
    import deepspeed  # noqa: F401
    import peft  # noqa: F401
    import transformers
    import transformers.models.gpt2.modeling_gpt2
    import transformers.models.llama.modeling_llama
    import transformers.models.t5.modeling_t5  # noqa: F401

    for name, models in json.loads((folder / "orders.json").read_text()).items():
        strategy, size = name.split()
        (folder / name).mkdir()
        ranks = []
        for rank in range(int(size)):
            if (child := os.fork()) == 0:
                signal.alarm(SECONDS)
                faulthandler.dump_traceback_later(SECONDS - 2)
                code = 1
                try:
                    one_rank(models, strategy, int(size), rank, folder / name)
                    code = 0
                except Exception:
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            ranks.append(child)
        if any([os.waitpid(child, 0)[1] for child in ranks]):
            sys.exit(f"under {name} a rank broke or waited for ever")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
