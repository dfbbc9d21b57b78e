"""Keys that people know from elsewhere, with the key that says the same here."""

from __future__ import annotations

__all__ = ["IMPORT_KEYS", "PRECISIONS", "TRAINER"]

_CALLBACKS = "list callbacks at the top level: `callbacks`"
_CHECKPOINT = "the engine writes checkpoints; see `checkpoint`"
_ENGINE = "the engine decides it"

# Arguments of the Lightning Trainer that the engine owns, and what to write instead.
TRAINER = {
    "accumulate_grad_batches": "write optimizer.accumulate",
    "barebones": _ENGINE,
    "benchmark": "see trainer.deterministic",
    "callbacks": _CALLBACKS,
    "ckpt_path": "use --resume",
    "default_root_dir": "write run.dir",
    "enable_checkpointing": _CHECKPOINT,
    "enable_model_summary": "what will train is always shown",
    "enable_progress_bar": "use --quiet",
    "fast_dev_run": "write trainer.max_steps",
    "gradient_clip_algorithm": "write optimizer.clip, a bound on the global norm",
    "gradient_clip_val": "write optimizer.clip",
    "inference_mode": _ENGINE,
    "limit_predict_batches": _ENGINE,
    "limit_test_batches": "choose less data under `data`",
    "limit_train_batches": "write sampler.batches_per_epoch",
    "limit_val_batches": "choose less data under `data`",
    "logger": "list loggers at the top level: `loggers`",
    "max_time": "write trainer.max_steps or trainer.max_epochs",
    "min_epochs": "write it in the options of the callback that stops early",
    "min_steps": "write it in the options of the callback that stops early",
    "num_nodes": "write launch: {name: slurm, nodes: 2}, or give it to torchrun and write launch: torchrun",
    "num_sanity_val_steps": "a sanity validation is never run; `visioncore check --build` builds everything",
    "overfit_batches": "write sampler.batches_per_epoch",
    "plugins": "write a visioncore plugin; `plugins` at the top level says which may be used",
    "profiler": _ENGINE,
    "reload_dataloaders_every_n_epochs": "the sampler's plan covers every epoch",
    "strategy": _ENGINE,
    "sync_batchnorm": _ENGINE,
    "use_distributed_sampler": "the engine shares every global batch between processes",
    "val_check_interval": "write trainer.check_val_every_n_epoch; sampler.batches_per_epoch is the length of an epoch",
    "weights_save_path": "write run.dir",
}

# Spellings of `trainer.precision` that Lightning takes too.
PRECISIONS = {
    "16": "bf16-mixed",
    "16-mixed": "bf16-mixed",
    "16-true": "bf16-true",
    "32": "32-true",
    "64": "64-true",
    "bf16": "bf16-mixed",
    "fp16": "bf16-mixed",
    "fp32": "32-true",
    "fp64": "64-true",
}

# Keys with which other systems let a configuration name code.
IMPORT_KEYS = frozenset({"_args_", "_partial_", "_target_", "class_path", "init_args"})
