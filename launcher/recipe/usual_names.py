"""What other programs and papers call the fields of nouns: a name that is not ours still leads to the right one."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.errors import did_you_mean

BESIDE: dict[tuple[str, str], str] = {
    ("NgramBag", "longest"): "ngrams ngram word_ngrams wordngrams n_grams ngram_range max_ngram ngram_size",
    ("NgramBag", "minimum_count"): "ngram_minimum_count min_ngram_count",
    ("NgramBag", "buckets"): "ngram_buckets",
    ("Lexicon", "files"): "lexicon lexicons lexicon_file lexicon_files word_list word_lists gazetteer",
}
"""Our objects beside the table of a static source: of each field what it was as the source's own, or is elsewhere."""
OURS: dict[str, str] = {
    "learning_rate": "lr rate eta peak_lr max_lr base_lr",
    "batch_size": "bs batch batchsize train_batch_size global_batch_size mini_batch_size",
    "micro_batch_size": "per_device_train_batch_size per_device_batch_size micro_bs microbatch "
    "gradient_accumulation_steps gradient_accumulation grad_accum accumulation accumulate_grad_batches",
    "epochs": "ep epoch num_epochs n_epochs num_train_epochs max_epochs nb_epoch",
    "max_steps": "steps num_steps total_steps iterations max_iter max_iters num_train_steps",
    "weight_decay": "wd decay l2 weightdecay",
    "warmup": "warmup_ratio warmup_steps warmup_proportion num_warmup_steps warm_up",
    "clip_norm": "max_grad_norm grad_clip gradient_clipping clip clip_grad_norm gradient_clip_val max_norm",
    "optimizer": "optim optimiser opt",
    "schedule": "scheduler lr_scheduler lr_scheduler_type lr_schedule",
    "precision": "fp16 bf16 fp32 dtype amp mixed_precision half torch_dtype",
    "recompute": "gradient_checkpointing activation_checkpointing grad_checkpointing",
    "compile": "torch_compile",
    "packing": "pack packed sample_packing padding_free neat_packing remove_padding",
    "seed": "random_seed random_state rng manual_seed",
    "patience": "early_stopping early_stopping_patience early_stop",
    "log_every": "logging_steps log_interval log_steps log_every_n_steps",
    "evaluate_every": "eval_steps eval_every eval_interval eval_strategy evaluation_strategy val_check_interval",
    "generate_every": "predict_every generation_every sample_every generate_steps",
    "generate_rows": "generation_rows max_eval_samples num_samples eval_samples",
    "max_new_tokens": "max_length max_tokens max_len max_gen_len max_output_tokens max_generated_tokens "
    "generation_max_length max_target_length",
    "min_new_tokens": "min_length min_tokens min_len",
    "num_beams": "beams beam beam_size n_beams beam_width generation_num_beams",
    "do_sample": "sample sampling",
    "no_repeat_ngram_size": "no_repeat_ngram no_repeat block_ngram_repeat",
    "repetition_penalty": "repeat_penalty rep_penalty presence_penalty frequency_penalty",
    "temperature": "temp t",
    "top_p": "nucleus p topp",
    "top_k": "topk k",
    "checkpoint_every": "save_steps save_every save_strategy save_interval",
    "keep_checkpoints": "save_total_limit keep",
    "select_by": "metric metric_for_best_model monitor best_metric",
    "r_drop": "rdrop r_drop_alpha",
    "fgm": "fgm_epsilon adversarial adv adversarial_training epsilon emb_epsilon",
    "max_length": "max_len maxlen max_seq_length max_seq_len seq_len seq_length sequence_length max_sequence_length "
    "max_position length truncation",
    "model": "model_name model_name_or_path pretrained_model_name_or_path pretrained checkpoint name path id",
    "rank": "r lora_r lora_rank",
    "alpha": "lora_alpha scaling",
    "dropout": "drop dropout_rate dropout_prob lora_dropout hidden_dropout_prob p",
    "targets": "target_modules modules target",
    "also_train": "modules_to_save",
    "bottleneck": "reduction_factor adapter_size bottleneck_size adapter_dim",
    "pattern": "names modules parameters",
    "hidden": "hidden_size hidden_dim units hidden_units size",
    "layers": "num_layers n_layers num_hidden_layers n_layer depth",
    "heads": "num_heads n_heads num_attention_heads n_head nhead",
    "feed_forward": "ffn intermediate_size dim_feedforward d_ff",
    "dimension": "dim dims size embedding_dim embed_dim vector_size d_model",
    "filters": "num_filters n_filters channels",
    "widths": "kernel_sizes kernel_size filter_sizes",
    "minimum_count": "min_count min_freq min_frequency mincount",
    "flip": "hflip horizontal_flip mirror random_flip",
    "rotation": "rotate degrees",
    "colour": "color jitter color_jitter",
    "size": "image_size img_size resolution",
    "batch_norm": "batchnorm bn",
    "beside": " ".join(BESIDE.values()),
    "longest": BESIDE["NgramBag", "longest"],
    "files": f"{BESIDE['Lexicon', 'files']} file path paths filename words",
    "buckets": "bucket",
    "shortest_subword": "minn min_n",
    "longest_subword": "maxn max_n",
    "file": "path filename model",
    "train": "train_file train_path train_data training file files path data data_files train_dataset",
    "validation": "dev val valid eval validation_file dev_file val_file eval_file dev_data val_data eval_dataset",
    "test": "test_file test_path test_data test_dataset",
    "validation_size": "val_size dev_size validation_split validation_fraction valid_size",
    "test_size": "test_split test_fraction",
    "augment": "augmentation eda augmenter",
    "copies": "num_aug n_aug",
    "deletion": "alpha_rd random_deletion delete p_rd",
    "replacement": "alpha_sr synonym_replacement",
    "swap": "alpha_rs random_swap",
    "synonyms": "synonym synonym_file thesaurus",
    "crf": "use_crf with_crf crf_layer",
    "text": "text_column text_col text_field sentence sentence1 text_a input x content question question_column",
    "text_pair": "text2 text_b sentence2 text_pair_column pair second_text hypothesis context context_column passage "
    "paragraph",
    "label": "label_column label_col labels target y class label_field answers answer answers_column",
    "answer_start": "start answer_start_column answer_position",
    "stride": "doc_stride overlap window_overlap max_stride",
    "longest_answer": "max_answer_length max_answer_len max_ans_length",
    "no_answer_threshold": "null_score_diff_threshold na_prob_thresh null_threshold no_answer_probability_threshold",
    "scored_as": "metric_definition metric_style",
    "target": "target_column tgt tgt_column summary_column translation output_column",
    "target_language": "tgt_lang target_lang tgt_language forced_bos_token language",
    "source_language": "src_lang source_lang src_language",
    "max_target_length": "max_output_length max_tgt_len max_summary_length val_max_target_length",
    "prefix": "source_prefix task_prefix",
    "label_separator": "label_sep labels_separator label_delimiter",
    "separator": "sep delimiter",
    "labels": "label_list label_names classes class_names id2label tags tag_set",
    "class_weights": "weights class_weight pos_weight weight",
    "label_smoothing": "smoothing label_smoothing_factor",
    "threshold": "cutoff",
    "tokens": "tokenizer tokenization tokenize tokeniser cut",
    "lowercase": "do_lower_case lower uncased",
    "options": "kwargs args arguments",
}
"""Our name of a field, and what it is called elsewhere."""


def meant(name: str, fields: Iterable[str]) -> list[str]:
    """The fields that a user who writes `name` may mean."""
    name = name.casefold().replace("-", "_").strip("_")
    return [field for field in fields if field == name or name in OURS.get(field, "").split()]


def _beside(name: str) -> tuple[str, str] | None:
    name = name.casefold().replace("-", "_").strip("_")
    return next((ours for ours, theirs in BESIDE.items() if name in theirs.split()), None)


def as_json(name: str, field: str) -> str:
    """How `--set` says what this name means, where `field` is the one that takes objects; else ''."""
    found = _beside(name) if field.endswith("beside") else None
    return f'set {field} as JSON: [{{"kind": "{found[0]}", "{found[1]}": …}}]' if found else ""


def suggestion(name: str, fields: Iterable[str]) -> str:
    """`did you mean 'rank'?`: by the usual names first, then by letters; else the list of what is known."""
    known = sorted(fields)
    matches = meant(name, known)
    if matches == ["beside"] and (ours := _beside(name)):
        return f"write beside=({ours[0]}({ours[1]}=…),)"
    return f"did you mean {' or '.join(map(repr, matches))}?" if matches else did_you_mean(name, known)
